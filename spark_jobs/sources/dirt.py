"""What is odd about a row of metadata but does not cost it: kinds of dirt, to be counted."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from spark_jobs.sources.metadata import CAPTION_COLUMNS, field_of, to_text

_URL = re.compile(r"https?://[^/\s?#]+\.?[^\s]*$", re.IGNORECASE)
# UTF-8 that was read as Latin-1 or Windows-1252 on its way: the lead byte of a sequence and its followers.
_FOLLOWER = (
    "\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d\u2018-\u2019"
)
_FOLLOWER += "\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178"
_MOJIBAKE = re.compile(
    f"[\u00c2\u00c3][{_FOLLOWER}]|\u00e2[{_FOLLOWER}]{{2}}"
    "|[\u00c4-\u00df][\u0080-\u00bf]|[\u00e0-\u00ef][\u0080-\u00bf]{2}|[\u00f0-\u00f4][\u0080-\u00bf]{3}"
)
_REPLACEMENT = "\ufffd"
_LABELS = frozenset({"UNLIKELY", "UNSURE", "LIKELY", "NSFW", "?"})
_EXACT_IN_A_DOUBLE = 2**53
_SIZES = ("width", "height")
_SCORES = {
    "similarity": ("similarity", -1.0, 1.0),
    "punsafe": ("punsafe", 0.0, 1.0),
    "pwatermark": ("pwatermark", 0.0, 1.0),
    "aesthetic": ("aesthetic score", -math.inf, math.inf),
}


def kinds_of_dirt(row: Mapping[str, Any], *, caption_column: str | None = None) -> tuple[str, ...]:
    """Name what is odd about a row.

    Args:
        row: Column names and values as `describe` takes them. Only columns that are there can be dirty.
        caption_column: Column of the caption; None to take the first of `CAPTION_COLUMNS` there is.

    Returns:
        Kinds, each at most once, in plural (`null captions`).
    """
    kinds: dict[str, None] = {}
    caption = _caption_column(row, caption_column)
    for column, value in row.items():
        field = "caption" if column == caption else field_of(column)
        if field == "caption":
            found = _of_caption(value) if column == caption else None
        elif field in _SIZES:
            found = _of_size(value)
        elif field in _SCORES:
            name, low, high = _SCORES[field]
            found = _of_score(value, name, low=low, high=high)
        elif field == "url":
            found = _of_url(value)
        elif field == "source_id":
            found = _of_id(value)
        else:
            found = _of_label(value) if field == "nsfw" else None
        if found is not None:
            kinds[found] = None
    return tuple(kinds)


def _caption_column(row: Mapping[str, Any], forced: str | None) -> str | None:
    wanted = CAPTION_COLUMNS if forced is None else (forced.strip().lower(),)
    by_name = {column.strip().lower(): column for column in reversed(list(row))}
    return next((by_name[name] for name in wanted if name in by_name), None)


def _is_null(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _of_url(value: object) -> str | None:
    if _is_null(value) or not (text := (to_text(value) or "").strip()):
        return "null URLs"
    return None if _URL.match(text) else "malformed URLs"


def _of_caption(value: object) -> str | None:
    if _is_null(value):
        return "null captions"
    text = to_text(value) or ""
    if not text.strip():
        return "empty captions"
    if _REPLACEMENT in text:
        return "captions with lost characters"
    return "mojibake captions" if _MOJIBAKE.search(text) else None


def _of_id(value: object) -> str | None:
    if _is_null(value) or value == b"":
        return "null ids"
    # A table with nulls that went through pandas holds its 64-bit ids as doubles.
    return "inexact ids" if isinstance(value, float) and abs(value) >= _EXACT_IN_A_DOUBLE else None


def _of_size(value: object) -> str | None:
    number = _number(value)
    if number is None:
        return "null sizes" if _is_null(value) else "sizes that are no numbers"
    return "non-positive sizes" if number <= 0 else None


def _of_score(value: object, name: str, *, low: float, high: float) -> str | None:
    if _is_null(value):
        return f"null {name}"
    number = _number(value)
    if number is None:
        return f"{name} that is no number"
    # Cosines of half precision reach a little above 1.
    return None if low - 0.01 <= number <= high + 0.01 else f"{name} out of range"


def _of_label(value: object) -> str | None:
    label = to_text(value)
    return None if not label or label.upper() in _LABELS else "unknown NSFW labels"


def _number(value: object) -> float | None:
    try:
        number = float(to_text(value) or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
