"""Which words and which pairs of shape and colour the pool shows, and which it never shows."""

from __future__ import annotations

from spark_jobs.demo.captions import TEXT_WORDS
from spark_jobs.demo.scenes import COLOURS, SHAPES

LONGEST = 7
"""Letters of a word; a longer one does not fit a picture's width where its letters have 8 of 64 px."""

BRANDS = (
    "zenova", "kolvex", "marvano", "tebrix", "lumera", "orvanta", "vektor", "solara", "nordex", "pentara",
    "duvanto", "fabrox",
)  # fmt: skip
"""Made-up words: no model has met them before, so they can only be read."""

_SHORT = tuple(word for word in TEXT_WORDS if len(word) <= LONGEST and word not in BRANDS)
SEEN_BRANDS, HELD_OUT_BRANDS = BRANDS[:8], BRANDS[8:]
HELD_OUT_WORDS: tuple[str, ...] = (*_SHORT[5::12], *HELD_OUT_BRANDS)
"""Never written or said in the pool."""
FREQUENT_WORDS: tuple[str, ...] = (*_SHORT[0::6][:48], *SEEN_BRANDS)
"""Written in most pictures with words: reading is learnt from many pictures of few words."""
RARE_WORDS: tuple[str, ...] = tuple(
    word for word in _SHORT if word not in HELD_OUT_WORDS and word not in FREQUENT_WORDS
)
_HELD_OUT_STEP = 9

HELD_OUT_PAIRS: frozenset[tuple[str, str]] = frozenset(
    (shape, colour)
    for row, shape in enumerate(SHAPES)
    for column, colour in enumerate(COLOURS)
    if (4 * row + column) % _HELD_OUT_STEP == 0
)
"""Shape and colour that never come together in the pool; each of them comes with others."""
