"""Text removal: polygons of an image filled in from what is around them (paper section 5.1).

Only the surroundings of the polygons are worked on, and the result is pixel for pixel that of one
`cv2.inpaint` call over the whole image: Telea's method (2004) looks no farther from the mask than `margin_of`.
A fill is one function; to add one, write it and give it a name in `FILLS`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from udfs import geometry
from udfs.names import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_SUBPIXEL_BITS = 4  # fillPoly takes corners as integers: here sixteenths of a px
# OpenCV weighs by 1 / (v * sqrt(v)), v being squared distances: in single precision where an image has one
# channel, else in double. Up to this radius both round to the same weights.
_SAME_WEIGHTS_RADIUS = 3


@dataclass(frozen=True)
class InpaintParams:
    """What decides a filled image.

    Attributes:
        fill: Key of `FILLS`.
        radius: Neighbourhood that Telea's method averages over, px (OpenCV's `inpaintRadius`), 1 to 100.
        dilation: Polygons are widened by this much on all sides, px; at least 0.
    """

    fill: str = "telea"
    radius: int = 3
    dilation: int = 0

    def as_json(self) -> dict[str, Any]:
        """The parameters as JSON types."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Region:
    """Polygons that are near each other, with the part of the image that decides what fills them.

    Attributes:
        left: First column of the part, px.
        top: First row of the part, px.
        mask: The part's mask, shape (height, width), uint8: 255 where text is removed, else 0.
    """

    left: int
    top: int
    mask: NDArray[np.uint8]

    @property
    def place(self) -> tuple[slice, slice]:
        """The part as an index into the image."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @cached_property
    def identity(self) -> Hashable:
        """Equal for regions that remove the same pixels of an image."""
        return self.left, self.top, self.mask.shape, self.mask.tobytes()


Fill = Callable[["NDArray[np.uint8]", "NDArray[np.uint8]", InpaintParams], "NDArray[np.uint8]"]
"""From a part of an image (height, width, 3), its mask and the parameters to the filled part."""


def inpaint(
    pixels: NDArray[np.uint8], polygons: Sequence[ArrayLike], params: InpaintParams
) -> NDArray[np.uint8]:
    """Fill polygons of an image in.

    Args:
        pixels: Image, shape (height, width, 3), uint8; not changed.
        polygons: Polygons, each of shape (points, 2), px of the image; those without area in it are ignored.
        params: How to fill.

    Returns:
        A new image of the same shape. Where the polygons cover all of it there is nothing to fill from, and
        Telea's method leaves it as it is (as OpenCV does).

    Raises:
        ValueError: If there is no such fill.
    """
    height, width = pixels.shape[:2]
    return fill_regions(pixels, regions_of(polygons, width=width, height=height, params=params), params)


def fill_regions(
    pixels: NDArray[np.uint8],
    regions: Sequence[Region],
    params: InpaintParams,
    *,
    done: dict[Hashable, NDArray[np.uint8]] | None = None,
) -> NDArray[np.uint8]:
    """`inpaint` for regions as `regions_of` gives them.

    Args:
        pixels: As for `inpaint`.
        regions: What to fill.
        params: How to fill.
        done: Filled parts of this image by `Region.identity`, taken from here and added to: several variants
            of an image often share lines of text.
    """
    import cv2

    fill = fill_named(params.fill)
    done = {} if done is None else done
    filled = pixels.copy()
    for region in regions:
        if region.identity not in done:
            done[region.identity] = fill(np.ascontiguousarray(pixels[region.place]), region.mask, params)
        cv2.copyTo(done[region.identity], region.mask, filled[region.place])
    return filled


def regions_of(
    polygons: Sequence[ArrayLike], *, width: int, height: int, params: InpaintParams
) -> list[Region]:
    """Group polygons that may influence each other, and draw each group's mask.

    Args:
        polygons: As for `inpaint`.
        width: Image width, px.
        height: Image height, px.
        params: Dilation, and radius for the margin.

    Returns:
        Regions, whose masks are farther from each other than `margin_of` (the parts around them may overlap);
        none where no polygon has an area in the image.
    """
    clipped = [_clipped(polygon, width=width, height=height) for polygon in polygons]
    drawn = [polygon for polygon in clipped if len(polygon)]
    if not drawn:
        return []
    margin = margin_of(params)
    # A pixel for rounding, so that a box holds all that is drawn of its polygon.
    reach = params.dilation + 1.0
    low = np.floor(np.array([polygon.min(axis=0) for polygon in drawn], np.float64)) - reach
    high = np.ceil(np.array([polygon.max(axis=0) for polygon in drawn], np.float64)) + reach
    regions = []
    for members in _touching(low - margin / 2, high + margin / 2):
        left, top = np.maximum(low[members].min(axis=0) - margin, 0).astype(int)
        right, bottom = np.minimum(high[members].max(axis=0) + margin, (width, height)).astype(int)
        shifted = [drawn[index] - (left, top) for index in members]
        mask = _mask(shifted, width=right - left, height=bottom - top, dilation=params.dilation)
        if mask.any():
            regions.append(Region(int(left), int(top), mask))
    return regions


def mask_share(regions: Sequence[Region], *, width: int, height: int) -> float:
    """Share of the image's pixels that the regions remove, 0 to 1."""
    return sum(int(np.count_nonzero(region.mask)) for region in regions) / (width * height)


def margin_of(params: InpaintParams) -> int:
    """How far around the mask a fill may look, px; pieces farther apart do not influence each other.

    Twice the radius plus two. OpenCV's method reads colours up to radius + 1 from the mask, and how far pixels up to
    the radius are from it. Those distances are spread outwards from all pieces at once, so that another piece
    matters where it is nearer to such a pixel. (On random masks, the farthest piece that mattered was at
    2 * radius - 1.)
    """
    return 2 * params.radius + 2


def fill_named(name: str) -> Fill:
    """The fill of that name.

    Raises:
        ValueError: If there is none; names those there are.
    """
    if name not in FILLS:
        hint = did_you_mean(name, FILLS)
        raise ValueError(f"Unknown fill {name!r}.{hint} Known: {', '.join(FILLS)}.")
    return FILLS[name]


def _telea(part: NDArray[np.uint8], mask: NDArray[np.uint8], params: InpaintParams) -> NDArray[np.uint8]:
    """OpenCV's fast marching method after Telea, 2004: the paper's choice."""
    import cv2

    filled: NDArray[np.uint8]
    if params.radius <= _SAME_WEIGHTS_RADIUS and _is_grey(part):
        # Three equal channels are three times the work for the same pixels: bars of memes, scans.
        grey = cv2.inpaint(np.ascontiguousarray(part[:, :, 0]), mask, params.radius, cv2.INPAINT_TELEA)
        filled = cv2.merge([grey, grey, grey])
    else:
        filled = cv2.inpaint(part, mask, params.radius, cv2.INPAINT_TELEA)
    return filled


def _is_grey(part: NDArray[np.uint8]) -> bool:
    # A few pixels tell most colour pictures.
    return all(bool((some == some[:, :, :1]).all()) for some in (part[::8, ::8], part))


def _mean_color(part: NDArray[np.uint8], mask: NDArray[np.uint8], params: InpaintParams) -> NDArray[np.uint8]:
    """Each connected piece of the mask in the mean colour of what surrounds it, as T-MARS describes its fill.

    Surroundings are the unmasked pixels within `margin_of`. Where there are none, the piece's own mean is
    taken, which is what Fondant's variant of T-MARS does everywhere.
    """
    import cv2

    filled = part.copy()
    side = 2 * margin_of(params) + 1
    kernel = np.ones((side, side), np.uint8)
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    for label in range(1, count):
        piece = (labels == label).astype(np.uint8)
        around = (cv2.dilate(piece, kernel) > 0) & (mask == 0)
        source = part[around] if around.any() else part[piece > 0]
        filled[piece > 0] = np.rint(source.mean(axis=0)).astype(np.uint8)
    return filled


FILLS: dict[str, Fill] = {"telea": _telea, "mean_color": _mean_color}
"""Name in the configuration -> fill."""


def _clipped(points: ArrayLike, *, width: int, height: int) -> NDArray[np.float64]:
    """`clip_to_image`, with the short way out for what lies inside, as spotted words do."""
    polygon = geometry.as_polygon(points)
    if (polygon >= 0).all() and (polygon <= (width, height)).all():
        return polygon
    return geometry.clip_to_image(polygon, width=width, height=height)


def _touching(low: NDArray[np.float64], high: NDArray[np.float64]) -> list[list[int]]:
    """Groups of boxes (corners of shape (boxes, 2)) that touch or overlap, directly or through others."""
    left = set(range(len(low)))
    groups = []
    while left:
        group, todo = [], [left.pop()]
        while todo:
            here = todo.pop()
            group.append(here)
            others = np.array(sorted(left), dtype=int)
            meets = (low[others] <= high[here]).all(axis=1) & (high[others] >= low[here]).all(axis=1)
            found = others[meets].tolist()
            left.difference_update(found)
            todo.extend(found)
        groups.append(sorted(group))
    return groups


def _mask(
    polygons: Sequence[NDArray[np.float64]], *, width: int, height: int, dilation: int
) -> NDArray[np.uint8]:
    import cv2

    mask = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        # Half a px: a pixel's centre is at integer coordinates there. One call each: in a common one, two
        # polygons would cancel where they overlap.
        corners = np.rint((polygon - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255, shift=_SUBPIXEL_BITS)
    if dilation:
        side = 2 * dilation + 1
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return mask
