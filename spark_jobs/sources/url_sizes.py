"""Are WIDTH and HEIGHT swapped? Asked of the sizes that URLs state.

laion2B-en stores them exchanged, laion400m does not, and the columns have the same names (laion-prepro's
big_join.py exchanges them on read). Many URLs name the size of the thumbnail they lead to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PAIR = re.compile(r"(?<![0-9A-Za-z])(\d{2,4})x(\d{2,4})(?!\d)")
_WIDTH = re.compile(r"(?<![a-z])(?:w|width)[=_](\d{2,4})(?!\d)", re.IGNORECASE)
_HEIGHT = re.compile(r"(?<![a-z])(?:h|height)[=_](\d{2,4})(?!\d)", re.IGNORECASE)
MIN_VOTES = 3


@dataclass(frozen=True)
class SizeVotes:
    """How many URLs speak for either reading of a table's sizes.

    Attributes:
        as_written: URLs that state (width, height) as the columns do.
        swapped: URLs that state them the other way round.
    """

    as_written: int = 0
    swapped: int = 0

    @property
    def is_enough(self) -> bool:
        """Whether the votes decide: at least `MIN_VOTES`, two thirds of them for one reading."""
        more, less = max(self.as_written, self.swapped), min(self.as_written, self.swapped)
        return more + less >= MIN_VOTES and more >= 2 * less

    @property
    def say_swapped(self) -> bool:
        """Whether the columns are to be exchanged."""
        return self.is_enough and self.swapped > self.as_written


def stated_size(url: str) -> tuple[int, int] | None:
    """Width and height in px that a URL states (`_300x200.jpg`, `?w=300&h=200`); None if it states none."""
    width, height = _WIDTH.search(url), _HEIGHT.search(url)
    if width and height:
        return int(width[1]), int(height[1])
    pairs = _PAIR.findall(url)
    return (int(pairs[-1][0]), int(pairs[-1][1])) if pairs else None


def count_votes(rows: Iterable[tuple[str | None, int | None, int | None]]) -> SizeVotes:
    """Compare the sizes of rows with those that their URLs state; squares and other sizes do not vote.

    Args:
        rows: URL, width and height as written.
    """
    as_written = swapped = 0
    for url, width, height in rows:
        stated = stated_size(url) if url else None
        if stated is not None and width != height:
            as_written += stated == (width, height)
            swapped += stated == (height, width)
    return SizeVotes(as_written, swapped)
