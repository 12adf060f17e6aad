"""From CRAFT's score maps to boxes as EasyOCR makes them, looking at each text component's own window only.

EasyOCR makes a map of the whole image's size for each component. The boxes are the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXT_THRESHOLD = 0.7
LINK_THRESHOLD = 0.4
LOW_TEXT = 0.4
MIN_COMPONENT_PX = 10
MIN_BOX_PX = 20
"""`readtext`'s defaults."""
_GROUPING = {
    "slope_ths": 0.1,
    "ycenter_ths": 0.5,
    "height_ths": 0.5,
    "width_ths": 0.5,
    "add_margin": 0.1,
    "sort_output": True,
}

_Boxes = tuple[list[list[int]], list[list[list[float]]]]


def text_boxes(scores: NDArray[np.float32], *, ratio: float) -> _Boxes:
    """The boxes that `easyocr.Reader.detect` makes of an image's scores with `readtext`'s settings.

    Args:
        scores: Of text and of link, shape (height, width, 2), at half the size that the detector saw.
        ratio: Size that the detector saw over size of the image.

    Returns:
        Level boxes as (left, right, top, bottom), and others by their corners, px of the image.
    """
    from easyocr.utils import group_text_box

    found = component_boxes(scores[:, :, 0], scores[:, :, 1])
    corners = np.array(found, dtype=np.float32).reshape(-1, 4, 2)
    corners *= np.array([1 / ratio * 2] * 2)  # multiplied in 64 bits, as EasyOCR does
    polygons = [box.astype(np.int32).reshape(-1) for box in corners]
    level, free = group_text_box(polygons, **_GROUPING)
    return (
        [box for box in level if max(box[1] - box[0], box[3] - box[2]) > MIN_BOX_PX],
        [box for box in free if max(_extent(box, 0), _extent(box, 1)) > MIN_BOX_PX],
    )


def component_boxes(text: NDArray[np.float32], link: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """A box around each component of text and link that is surely text, as `craft_utils.getDetBoxes_core`.

    Args:
        text: Scores of text, shape (height, width).
        link: Scores of link between letters, of the same shape.

    Returns:
        Per component the corners, shape (4, 2), x and y in px of the map.
    """
    import cv2

    is_text, is_link = text > LOW_TEXT, link > LINK_THRESHOLD
    count, labels, facts, _ = cv2.connectedComponentsWithStats(
        (is_text | is_link).astype(np.uint8), connectivity=4
    )
    found = []
    for label in range(1, count):
        if facts[label, cv2.CC_STAT_AREA] < MIN_COMPONENT_PX:
            continue
        left, top, width, height, area = (int(value) for value in facts[label])
        grown = int(math.sqrt(area * min(width, height) / (width * height)) * 2)
        rows = slice(max(0, top - grown), top + height + grown + 1)
        columns = slice(max(0, left - grown), left + width + grown + 1)
        inside = labels[rows, columns] == label
        if text[rows, columns][inside].max() < TEXT_THRESHOLD:
            continue
        link_only = is_link[rows, columns] & ~is_text[rows, columns]
        ink = (inside & ~link_only).astype(np.uint8)
        ink = cv2.dilate(ink, cv2.getStructuringElement(cv2.MORPH_RECT, (1 + grown, 1 + grown)))
        found.append(_box_around(ink, (columns.start, rows.start)))
    return found


def _box_around(ink: NDArray[Any], corner: tuple[int, int]) -> NDArray[np.float32]:
    """The smallest box around what is set, from the corner with the smallest x + y, clockwise."""
    import cv2

    # Points in px of the whole map: the rectangle's rounding depends on them.
    points = np.argwhere(ink)[:, ::-1] + np.array(corner)
    box = cv2.boxPoints(cv2.minAreaRect(points.astype(np.int32)))
    one, other = np.linalg.norm(box[0] - box[1]), np.linalg.norm(box[1] - box[2])
    if abs(1 - max(one, other) / (min(one, other) + 1e-5)) <= 0.1:
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)
    return cast("NDArray[np.float32]", np.roll(box, 4 - box.sum(axis=1).argmin(), 0))


def _extent(corners: list[list[float]], axis: int) -> float:
    values = [corner[axis] for corner in corners]
    return max(values) - min(values)
