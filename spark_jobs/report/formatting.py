"""Numbers as the report prints them. What is missing (no row, null, NaN) reads `n/a`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MISSING = "n/a"


def number(row: Mapping[str, Any] | None, name: str) -> float | None:
    """Read a number of a row; None where the row or the value is missing or is not finite."""
    value = None if row is None else row.get(name)
    return finite(value)


def finite(value: float | None) -> float | None:
    """Return `value`, or None where it is None, NaN or infinite."""
    return value if value is not None and math.isfinite(value) else None


def count(value: float | None) -> str:
    """Whole number with thousands separators: `1,985,284,122`."""
    known = finite(value)
    return MISSING if known is None else f"{round(known):,}"


def percent(share: float | None) -> str:
    """Share as a percentage with the paper's two digits: .546 reads `54.60%`."""
    known = finite(share)
    return MISSING if known is None else f"{known * 100:,.2f}%"


def score(value: float | None) -> str:
    """CLIP score with the paper's four digits: `0.3021`."""
    known = finite(value)
    return MISSING if known is None else f"{known:.4f}"


def ratio(part: float | None, whole: float | None) -> float | None:
    """`part / whole`; None where either is missing or the whole is 0."""
    return None if part is None or not whole else part / whole


FEW = 30
"""Fewer images than this are marked: their intervals say nearly nothing."""


def ends(row: Mapping[str, Any] | None, name: str) -> tuple[float, float] | None:
    """The 95 % interval that stands beside a number; None where there is none."""
    low, high = number(row, f"{name}_low"), number(row, f"{name}_high")
    return None if low is None or high is None else (low, high)


def percent_interval(row: Mapping[str, Any] | None, name: str) -> str | None:
    """The interval of a share: `33.12` to `39.80%`, with a dash; None where there is none."""
    found = ends(row, name)
    return (
        None
        if found is None
        else f"{found[0] * 100:,.2f}\N{EN DASH}{found[1] * 100:,.2f}%".replace("-", "\N{MINUS SIGN}")
    )


def score_interval(row: Mapping[str, Any] | None, name: str) -> str | None:
    """The interval of a CLIP score: `0.2911 to 0.3107`; None where there is none."""
    found = ends(row, name)
    return None if found is None else f"{score(found[0])} to {score(found[1])}"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign: `+12.30`."""
    known = finite(difference)
    return MISSING if known is None else f"{known * 100:+,.2f}".replace("-", "\N{MINUS SIGN}")


def points_interval(row: Mapping[str, Any] | None, name: str) -> str | None:
    """The interval of a difference of shares: `+9.80 to +14.81`; None where there is none."""
    found = ends(row, name)
    return None if found is None else f"{points(found[0])} to {points(found[1])}"
