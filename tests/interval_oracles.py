"""Intervals as scipy computes them, for the tests of published numbers."""

from __future__ import annotations

import pytest
from scipy import stats


def wilson(part, whole):
    """Ends of the 95 % interval of a share; None without a whole."""
    if not whole:
        return None, None
    found = stats.binomtest(int(part), int(whole)).proportion_ci(0.95, method="wilson")
    return found.low, found.high


def student(values, *, is_rate=False):
    """Ends of the 95 % interval of a mean; None below two values."""
    values = [float(value) for value in values]
    if len(values) < 2:
        return None, None
    mean, error = sum(values) / len(values), stats.sem(values)
    half = stats.t.ppf(0.975, len(values) - 1) * error
    low, high = mean - half, mean + half
    return (max(0.0, low), min(1.0, high)) if is_rate else (low, high)


def has_interval(row, name, expected):
    """Assert the interval beside a number; Student's quantile is an expansion, good to 0.3 % from 3 values on."""
    low, high = expected
    if low is None:
        assert (row[f"{name}_low"], row[f"{name}_high"]) == (None, None) or (
            row[f"{name}_low"] != row[f"{name}_low"]  # pandas reads null as NaN
        )
        return
    tolerance = 0.06 * (high - low) + 1e-9 if high > low else 1e-7
    tight = 0.004 * (high - low) + 1e-7
    allowed = tolerance if row.get("images", 3) == 2 else tight
    assert row[f"{name}_low"] == pytest.approx(low, abs=allowed), name
    assert row[f"{name}_high"] == pytest.approx(high, abs=allowed), name
