"""Polygons of embedded text: clipping to the image, areas, and cutting a line into words.

Coordinates are px of the EXIF-upright image: x to the right, y down, origin at the top left corner of the
top left pixel, so that an image covers the rectangle (0, 0) to (width, height). A polygon is an array of
shape (points, 2). Whatever has no area (fewer than 3 points, collinear, not finite, outside the image)
becomes the empty polygon, of shape (0, 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from udfs.bidirectional import visual_spans

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_QUAD_POINTS = 4
_WORD = re.compile(r"\S+")
# A side of a clipped polygon shorter than this is rounding, not shape (px).
_SAME_POINT = 1e-9
# Corners beyond this are no image coordinates (px).
_FARTHEST = 1e9


@dataclass(frozen=True)
class CutWord:
    """A word of a line.

    Attributes:
        text: The word.
        polygon: Its part of the line's polygon, shape (4, 2), px, not clipped; (0, 2) where the line's
            polygon is empty.
    """

    text: str
    polygon: NDArray[np.float64]


def empty_polygon() -> NDArray[np.float64]:
    """The polygon without points, shape (0, 2)."""
    return np.empty((0, 2), dtype=np.float64)


def as_polygon(points: ArrayLike) -> NDArray[np.float64]:
    """Turn any list of corners into a polygon.

    Args:
        points: Corners in order, px; anything that numpy reads as shape (points, 2).

    Returns:
        Array of shape (points, 2), float64; the empty polygon where the corners are no finite numbers or
        span no area.
    """
    try:
        polygon = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):  # ragged or not numeric
        return empty_polygon()
    if polygon.ndim != 2 or polygon.shape[1] != 2:
        return empty_polygon()
    if not (np.abs(polygon) <= _FARTHEST).all():  # also where a coordinate is no number
        return empty_polygon()
    return polygon if area(polygon) > 0 else empty_polygon()


def area(polygon: NDArray[np.float64]) -> float:
    """Area by the shoelace formula, px squared; 0 for fewer than 3 points.

    A polygon that crosses itself counts its loops against each other.
    """
    if len(polygon) < 3:
        return 0.0
    # Relative to the first corner: products of large coordinates would cancel badly, and the edge back to it
    # adds nothing.
    x, y = (polygon - polygon[0]).T
    return float(abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2.0)


def clip_to_image(points: ArrayLike, *, width: float, height: float) -> NDArray[np.float64]:
    """Cut a polygon to the image rectangle (Sutherland and Hodgman, 1974).

    Args:
        points: Corners in order, px.
        width: Image width, px.
        height: Image height, px.

    Returns:
        The part inside (0, 0) to (width, height), shape (points, 2), corners in the order given. Parts of a
        concave polygon that the image's edge separates stay joined along that edge, which adds no area.
    """
    polygon = as_polygon(points)
    edges = ((0, 0.0, False), (0, float(width), True), (1, 0.0, False), (1, float(height), True))
    for axis, limit, keep_below in edges:
        polygon = _clip_half_plane(polygon, axis=axis, limit=limit, keep_below=keep_below)
    distinct = _without_repeats(polygon)
    return distinct if area(distinct) > 0 else empty_polygon()


def text_area_ratio(polygons: Iterable[NDArray[np.float64]], *, width: float, height: float) -> float:
    """Share of the image that text covers: sum of clipped polygon areas over the image's area.

    Overlapping polygons count twice, so only overlap can lift the ratio above 1.

    Args:
        polygons: Polygons of the lines, px; clipped here.
        width: Image width, px.
        height: Image height, px.

    Returns:
        Ratio, 0 without polygons or without an image area.
    """
    image_area = float(width) * float(height)
    if image_area <= 0:
        return 0.0
    covered = sum(area(clip_to_image(polygon, width=width, height=height)) for polygon in polygons)
    return float(covered / image_area)


def cut_words(
    text: str, points: ArrayLike, *, spans: Sequence[tuple[int, int]] | None = None
) -> list[CutWord]:
    """Cut a line into its words, each with its share of the line's polygon.

    A word takes the share of the line that its characters have among all characters of the text, spaces
    included, along the top edge (corner 0 to 1) and along the bottom edge (corner 3 to 2). Right-to-left scripts are
    cut from the right.

    Args:
        text: The line's reading, in logical order.
        points: The line's corners from the top left, clockwise, px. Other than 4 corners are replaced by their
            bounding rectangle.
        spans: Places of the words in the text, (start, end); None: the whitespace words.

    Returns:
        The words in the order of the text; without spans as `text.split()` gives them.
    """
    quad = _as_quad(as_polygon(points))
    if spans is None:
        spans = [match.span() for match in _WORD.finditer(text)]
    return [
        CutWord(text[start:end], _between(quad, left, right) if len(quad) else empty_polygon())
        for (start, end), (left, right) in zip(spans, visual_spans(text, spans), strict=True)
    ]


def to_points(polygon: NDArray[np.float64]) -> list[dict[str, float]]:
    """The polygon as the tables hold it: a list of {"x": px, "y": px}."""
    return [{"x": float(x), "y": float(y)} for x, y in polygon]


def from_points(points: Sequence[dict[str, float]]) -> NDArray[np.float64]:
    """The polygon of a table's list of {"x": px, "y": px}; the empty polygon where that spans no area."""
    return as_polygon([(point["x"], point["y"]) for point in points])


def _clip_half_plane(
    polygon: NDArray[np.float64], *, axis: int, limit: float, keep_below: bool
) -> NDArray[np.float64]:
    sign = 1.0 if keep_below else -1.0
    beyond = sign * (polygon[:, axis] - limit)  # > 0: outside
    if not (beyond > 0).any():
        return polygon
    kept: list[NDArray[np.float64]] = []
    for here in range(len(polygon)):
        before = here - 1
        if (beyond[before] > 0) != (beyond[here] > 0):
            share = beyond[before] / (beyond[before] - beyond[here])
            crossing = polygon[before] + share * (polygon[here] - polygon[before])
            crossing[axis] = limit  # exactly, not up to rounding
            kept.append(crossing)
        if beyond[here] <= 0:
            kept.append(polygon[here])
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def _without_repeats(polygon: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(polygon):
        return polygon
    steps = np.abs(polygon - np.roll(polygon, 1, axis=0)).max(axis=1)
    distinct: NDArray[np.float64] = polygon[steps > _SAME_POINT]
    return distinct


def _as_quad(polygon: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(polygon) in (0, _QUAD_POINTS):
        return polygon
    (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)


def _between(quad: NDArray[np.float64], start: float, end: float) -> NDArray[np.float64]:
    top, bottom = quad[1] - quad[0], quad[2] - quad[3]
    return np.array(
        [quad[0] + start * top, quad[0] + end * top, quad[3] + end * bottom, quad[3] + start * bottom]
    )
