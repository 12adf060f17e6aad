"""A number that an evaluation gives, with its interval and what chance would give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Z = 1.959964  # 95 %


@dataclass(frozen=True)
class Measure:
    """One number.

    Attributes:
        task: Task or data that it is measured on.
        metric: Name of the number.
        value: The number.
        samples: What it is a mean over.
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end.
        chance: What a model that knows nothing gives; None where that is not known.
    """

    task: str
    metric: str
    value: float
    samples: int
    low: float | None = None
    high: float | None = None
    chance: float | None = None


def share(task: str, metric: str, value: float, *, samples: int, chance: float | None = None) -> Measure:
    """A share of samples (accuracy, recall) with Wilson's interval."""
    middle = (value + _Z**2 / (2 * samples)) / (1 + _Z**2 / samples)
    half = _Z / (1 + _Z**2 / samples) * math.sqrt(value * (1 - value) / samples + _Z**2 / (4 * samples**2))
    return Measure(task, metric, value, samples, max(0.0, middle - half), min(1.0, middle + half), chance)


def mean(task: str, metric: str, values: NDArray[np.float64], *, chance: float | None = None) -> Measure:
    """A mean of values, shape (samples,), with the normal interval."""
    value = float(values.mean())
    half = _Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    low, high = (None, None) if math.isnan(half) else (value - half, value + half)
    return Measure(task, metric, value, len(values), low, high, chance)
