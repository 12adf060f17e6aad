"""Near-duplicates among the members of a cluster, after SemDeDup (arXiv 2303.09540). Pure functions on numpy.

SemDeDup orders a cluster's members and removes each whose largest cosine to any *earlier* member is above
1 - epsilon, whether or not that one is removed itself. So of every set of images that are chained by such pairs
the first is kept, and a member's fate follows from those before it: they are compared as they stream by.

Cosines are exact, not nearly so: the last digits of a floating-point product depend on the shape of its blocks,
on threads and on the library, and would decide pairs at the threshold. Here entries are integers (below) whose
products and sums a double holds without rounding, so that any blocking gives the same rows.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

BLOCK_ROWS = 4096
"""Earlier members per matrix product."""

_ROWS = 1024
"""Members that are compared at once."""

_DECIMALS = 6
_UNIT = 2.0**26
"""Entries are rounded to multiples of 2^-26 (7e-9 at most off; a cosine 2e-8 or so). Of two unit vectors the
products of entries sum up to 2^52 in magnitude by Cauchy and Schwarz, in any order: below 2^53 no double rounds."""


def near_duplicates(
    vectors: Floats, *, epsilon: float, block_rows: int = BLOCK_ROWS
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]:
    """SemDeDup's rule on one cluster that is in memory.

    Args:
        vectors: Members in the rule's order, shape (members, width); finite, of any length but 0.
        epsilon: A pair with a cosine above 1 - epsilon is a duplicate.
        block_rows: Earlier members per product; decides nothing but memory.

    Returns:
        Per member whether it is a duplicate, the earlier member that it is most similar to (the earliest of
        equally similar ones; -1 for the first), and that cosine to six decimals (nan for the first).
    """
    members = EarlierMembers(block_rows=block_rows)
    nearest, similarity = members.compare_and_add(vectors)
    return is_duplicate(similarity, epsilon), nearest, similarity


def is_duplicate(similarity: NDArray[np.float64], epsilon: float) -> NDArray[np.bool_]:
    """Whether similarities are above 1 - epsilon; nan is not."""
    # 1 - 0.07 is not the double nearest to 0.93, which the similarity is.
    return np.asarray(similarity > round(1 - epsilon, 9))


def usable(vectors: Floats) -> NDArray[np.bool_]:
    """Which vectors have a direction: finite, and not zero."""
    found = np.empty(len(vectors), bool)
    for first in range(
        0, len(vectors), _ROWS
    ):  # doubles of a whole batch would be the largest thing in memory
        norms = np.linalg.norm(vectors[first : first + _ROWS].astype(np.float64), axis=1)
        found[first : first + _ROWS] = np.isfinite(norms) & (norms > 0)
    return found


class EarlierMembers:
    """The members of one cluster that came so far, in the rule's order.

    Memory: 4 bytes per entry for members up to `memory_bytes`, the others are in a temporary file (deleted with
    the object); beside that a product's blocks, some 100 MB at 512 dimensions whatever the cluster's size.
    """

    def __init__(self, *, memory_bytes: int = 2**30, block_rows: int = BLOCK_ROWS) -> None:
        self._memory_bytes = memory_bytes
        self._block_rows = block_rows
        self._full: list[Ints] = []
        self._last: Ints | None = None
        self._filled = 0
        self._file: Any = None
        self._blocks_in_file = 0

    def __len__(self) -> int:
        return (len(self._full) + self._blocks_in_file) * self._block_rows + self._filled

    @property
    def bytes_in_file(self) -> int:
        """Size of the temporary file."""
        return 0 if self._last is None else self._blocks_in_file * self._last.nbytes

    def compare_and_add(self, vectors: Floats) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Compare each vector with all members before it, and make them members.

        Args:
            vectors: The next members in order, shape (rows, width).

        Returns:
            Position of the most similar earlier member, shape (rows,), int64, the earliest of equally similar
            ones, -1 where there is none; and its cosine to six decimals, shape (rows,), nan where there is none.

        Raises:
            ValueError: If a vector is zero or not finite, or of another width than the members.
        """
        if not usable(vectors).all():
            raise ValueError("a vector that is zero or not finite has no cosine")
        if self._last is not None and len(vectors) and vectors.shape[1] != self._last.shape[1]:
            raise ValueError(f"members have {self._last.shape[1]} dimensions, found {vectors.shape[1]}")
        nearest = np.full(len(vectors), -1, np.int64)
        best = np.full(len(vectors), -np.inf)
        for first in range(0, len(vectors), _ROWS):
            part = slice(first, first + _ROWS)
            rows = _whole(vectors[part])
            # Their own block last: of equally similar members the earliest is named.
            for start, block in self._blocks():
                _take_better(_cosines(rows, block), start, nearest=nearest[part], best=best[part])
            own = np.tril(np.ones((len(rows), len(rows)), bool), -1)
            cosines = np.where(own, _cosines(rows, rows), -np.inf)
            _take_better(cosines, len(self), nearest=nearest[part], best=best[part])
            self._add(rows)
        scaled = np.where(nearest >= 0, best, np.nan)
        return nearest, scaled / 10**_DECIMALS

    def _blocks(self) -> Iterator[tuple[int, Ints]]:
        """Members by block, with the position of a block's first."""
        yield from ((n * self._block_rows, block) for n, block in enumerate(self._full))
        start = len(self._full) * self._block_rows
        if self._last is None:
            return
        if self._file is not None:
            self._file.seek(0)
            for _ in range(self._blocks_in_file):
                content = self._file.read(self._last.nbytes)
                yield start, np.frombuffer(content, np.int32).reshape(self._last.shape)
                start += self._block_rows
        if self._filled:
            yield start, self._last[: self._filled]

    def _add(self, rows: Ints) -> None:
        taken = 0
        while taken < len(rows):
            if self._last is None:
                self._last = np.empty((self._block_rows, rows.shape[1]), np.int32)
            count = min(len(rows) - taken, self._block_rows - self._filled)
            self._last[self._filled : self._filled + count] = rows[taken : taken + count]
            self._filled += count
            taken += count
            if self._filled == self._block_rows:
                self._put_away(self._last)

    def _put_away(self, block: Ints) -> None:
        self._filled = 0
        # Once one block is in the file, all later ones must be, or they would change places.
        if not self._blocks_in_file and (len(self._full) + 1) * block.nbytes <= self._memory_bytes:
            self._full.append(block.copy())
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="parrot-members-")  # noqa: SIM115 - lives as long as we
            weakref.finalize(self, self._file.close)
        self._file.seek(self._blocks_in_file * block.nbytes)
        self._file.write(block.tobytes())
        self._blocks_in_file += 1


def _whole(vectors: Floats) -> Ints:
    """Unit vectors in multiples of 2^-26, shape (rows, width); a row's result depends on that row alone."""
    exact = vectors.astype(np.float64)
    exact /= np.sqrt((exact * exact).sum(axis=1))[:, None]
    return np.asarray(np.rint(exact * _UNIT), dtype=np.int32)


def _cosines(rows: Ints, block: Ints) -> NDArray[np.float64]:
    """Cosines in millionths, whole numbers, shape (rows, members of the block)."""
    products: Any = rows.astype(np.float64) @ block.astype(np.float64).T  # exact, see _UNIT
    products *= 10**_DECIMALS / _UNIT**2
    return np.asarray(np.rint(products, out=products))


def _take_better(
    cosines: NDArray[np.float64], start: int, *, nearest: NDArray[np.int64], best: NDArray[np.float64]
) -> None:
    """Update `nearest` and `best` in place where a later block holds a more similar member."""
    at = cosines.argmax(axis=1)
    found = cosines[np.arange(len(cosines)), at]
    better = found > best
    nearest[better] = at[better] + start
    best[better] = found[better]
