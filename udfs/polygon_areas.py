"""Areas of many polygons at once, as Arrow holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray


def polygon_areas(polygons: pa.ListArray) -> NDArray[np.float64]:
    """Areas by the shoelace formula; terms are added in the order of the points, so equal polygons give equal bits.

    Args:
        polygons: list<struct<x float, y float>>, px.

    Returns:
        Areas in px², float64 of shape (polygons,); 0 of null and of fewer than three points.
    """
    lengths = np.asarray(polygons.value_lengths().fill_null(0), dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    points = polygons.flatten()
    x, y = (values.to_numpy(zero_copy_only=False).astype(np.float64) for values in points.flatten())
    totals = np.zeros(len(lengths))
    for place in range(lengths.max(initial=0)):
        rows = np.flatnonzero(lengths > place)
        this = starts[rows] + place
        following = starts[rows] + (place + 1) % lengths[rows]
        totals[rows] = totals[rows] + x[this] * y[following] - y[this] * x[following]
    return np.where(lengths > 2, np.abs(totals) / 2, 0.0)
