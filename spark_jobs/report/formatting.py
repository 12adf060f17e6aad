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
