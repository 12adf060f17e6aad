"""The two rates of overlap: of words that are equal, and of words that are alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein


def cotr(common: int, *, of: int) -> float | None:
    """Co-embedded text rate: caption words that the picture shows too, over all; None of a caption without words."""
    return common / of if of else None


def fuzzy_cotr(caption_words: Sequence[str], spotted_words: Sequence[str]) -> float | None:
    """Mean over caption words of the best similarity to any spotted word.

    The similarity is `1 - levenshtein / length of the longer word`, lengths in code points.

    Args:
        caption_words: Distinct words; their similarities are added in this order.
        spotted_words: Distinct words.

    Returns:
        0 to 1; 0 without text, None of a caption without words.
    """
    if not caption_words:
        return None
    if not spotted_words:
        return 0.0
    similarities = process.cdist(
        caption_words, spotted_words, scorer=Levenshtein.normalized_similarity, dtype=np.float64
    )
    total = 0.0
    for best in similarities.max(axis=1).tolist():
        total += best  # not `sum`, which from Python 3.12 on rounds in another way
    return total / len(caption_words)
