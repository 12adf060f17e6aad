"""Random polygons kept off an image's own text: what a random removal fills in must not be text.

Memes have their text at the same places, so that another image's polygons mostly lie on it. A polygon that would is
moved to the nearest place without text; its shape stays, and so does what it fills in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from udfs import geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from udfs.inpainting import Region

CELLS = 192
"""Cells along the longer side of the grid on which places are looked for."""


def kept_off(
    polygons: Sequence[NDArray[np.float64]],
    own: Sequence[NDArray[np.float64]],
    *,
    width: int,
    height: int,
    dilation: int = 0,
) -> list[NDArray[np.float64]]:
    """Move the polygons that would hit own text to where there is none.

    Each moves by itself to the nearest place that hits as little of the own text as possible (none, where it fits)
    and, among those, as little of the other polygons as possible. Large ones choose first.

    Args:
        polygons: What is to be filled in, each of shape (points, 2), px; clipped to the image.
        own: The image's own text, px.
        width: Image width, px.
        height: Image height, px.
        dilation: Both are widened by this before they are filled in, px.

    Returns:
        The polygons in their order; those without area in the image are empty.
    """
    cell = max(1.0, max(width, height) / CELLS)
    text = _Grid(width, height, cell)
    for polygon in own:
        text.draw(geometry.clip_to_image(polygon, width=width, height=height), reach=dilation + 1)
    placed = [geometry.clip_to_image(polygon, width=width, height=height) for polygon in polygons]
    taken = _Grid(width, height, cell)
    movers = []
    for index, polygon in enumerate(placed):
        if len(polygon) and text.hits(text.box(polygon, reach=dilation)):
            movers.append(index)
        else:
            taken.fill(polygon, reach=dilation)
    for index in sorted(movers, key=lambda place: (-geometry.area(placed[place]), place)):
        placed[index] = placed[index] + _shift(placed[index], text, taken, reach=dilation)
        taken.fill(placed[index], reach=dilation)
    return placed


def hit_share(random: Sequence[Region], own: Sequence[Region], *, width: int, height: int) -> float:
    """Share of the own text's pixels that a random removal fills in all the same, 0 to 1; 0 without own text."""
    text = _drawn(own, width=width, height=height)
    total = int(np.count_nonzero(text))
    return int(np.count_nonzero(text & _drawn(random, width=width, height=height))) / total if total else 0.0


def _drawn(regions: Sequence[Region], *, width: int, height: int) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), np.bool_)
    for region in regions:
        mask[region.place] |= region.mask > 0
    return mask


class _Grid:
    """Which cells of an image are occupied."""

    def __init__(self, width: int, height: int, cell: float) -> None:
        self.cell = cell
        self.cells = np.zeros((int(np.ceil(height / cell)), int(np.ceil(width / cell))), np.uint8)

    def box(self, polygon: NDArray[np.float64], *, reach: float) -> tuple[int, int, int, int]:
        """Cells around a polygon and `reach` px beyond: left, top, right, bottom, the latter two excluded.

        It may lie beyond the grid in part: what is wide at an edge is as wide elsewhere.
        """
        left, top = np.floor((polygon.min(axis=0) - reach) / self.cell + 1e-9).astype(int)
        right, bottom = np.ceil((polygon.max(axis=0) + reach) / self.cell - 1e-9).astype(int)
        return int(left), int(top), int(max(left + 1, right)), int(max(top + 1, bottom))

    def hits(self, box: tuple[int, int, int, int]) -> int:
        """Occupied cells of a box."""
        return int(np.count_nonzero(self.cells[self._place(box)]))

    def fill(self, polygon: NDArray[np.float64], *, reach: float) -> None:
        """Occupy the box of a polygon."""
        if len(polygon):
            self.cells[self._place(self.box(polygon, reach=reach))] = 1

    @staticmethod
    def _place(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
        left, top, right, bottom = box
        return slice(max(0, top), max(0, bottom)), slice(max(0, left), max(0, right))

    def draw(self, polygon: NDArray[np.float64], *, reach: float) -> None:
        """Occupy every cell that a polygon, widened by `reach` px, touches."""
        import cv2

        if not len(polygon):
            return
        own = np.zeros_like(self.cells)
        # The outline is drawn too, and a cell around it covers what rounding leaves out.
        cv2.fillPoly(own, [np.floor(polygon / self.cell).astype(np.int32)], 1)
        side = 2 * (1 + int(np.ceil(reach / self.cell))) + 1
        self.cells |= cv2.dilate(own, np.ones((side, side), np.uint8))

    def sums(self, width: int, height: int) -> NDArray[np.int64]:
        """Occupied cells of a box of that size, for each place of its upper left cell."""
        total = np.zeros((self.cells.shape[0] + 1, self.cells.shape[1] + 1), np.int64)
        total[1:, 1:] = self.cells.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
        found: NDArray[np.int64] = (
            total[height:, width:]
            - total[:-height, width:]
            - total[height:, :-width]
            + total[:-height, :-width]
        )
        return found


def _shift(polygon: NDArray[np.float64], text: _Grid, taken: _Grid, *, reach: float) -> NDArray[np.float64]:
    """How far the polygon moves, (x, y) in px."""
    left, top, right, bottom = text.box(polygon, reach=reach)
    rows, columns = text.cells.shape
    size = min(right - left, columns), min(bottom - top, rows)
    on_text, on_others = text.sums(*size), taken.sums(*size)
    row, column = np.indices(on_text.shape)
    distance = (row - top) ** 2 + (column - left) ** 2
    best = on_text == on_text.min()
    best &= on_others == on_others[best].min()
    down, along = np.unravel_index(np.argmin(np.where(best, distance, distance.max() + 1)), best.shape)
    return np.array([along - left, down - top], np.float64) * text.cell
