"""From a source's own columns to the fields of `SourceRecord`: one mapping for every kind of source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

CAPTION_COLUMNS = ("caption", "text", "title")

# Field of SourceRecord: the names it goes by, lower case, best first. The first that the source has is
# taken. `width` comes after `original_width`: img2dataset calls the size after its own resize `width`.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "source_id": ("sample_id", "uid", "id", "hash"),
    "url": ("url", "image_url", "raw_url"),
    "width": ("original_width", "width"),
    "height": ("original_height", "height"),
    "similarity": (
        "similarity",
        "clip_l14_similarity_score",
        "clip_b32_similarity_score",
        "clip_similarity",
        "clip_similarity_vitb32",
        "clip_similarity_vitl14",
        "matched_sim",
    ),
    "aesthetic": (
        "aesthetic",
        "aesthetic_score",
        "ase_scores",
        "ase_score",
        "aesthetic_score_laion_v2",
    ),
    "punsafe": ("punsafe", "p_unsafe", "unsafe_score", "nsfw_score_opennsfw2", "nsfw_score_gantman"),
    "pwatermark": ("pwatermark", "p_watermark", "watermark_score"),
    "nsfw": ("nsfw",),
}
URL_COLUMNS = _COLUMNS["url"]
METADATA_COLUMNS = frozenset(name for names in (*_COLUMNS.values(), CAPTION_COLUMNS) for name in names)

_BOM = "\ufeff"
_MAX_INT32 = 2**31 - 1


@dataclass(frozen=True)
class Described:
    """What one part of a source (a table row, a json or txt member) says of a pair.

    Attributes:
        fields: Fields of `SourceRecord`; a field whose column is missing is missing here.
        fault: Why the pair cannot be used as it stands; None if it can.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None


def field_of(column: str) -> str | None:
    """The field of `SourceRecord` that a column of this name gives; None for a column that is not read."""
    name = column.strip().lower()
    if name in CAPTION_COLUMNS:
        return "caption"
    return next((field for field, columns in _COLUMNS.items() if name in columns), None)


def describe(row: Mapping[str, Any], *, where: str, caption_column: str | None = None) -> Described:
    """Map a row to the fields of `SourceRecord`.

    Args:
        row: Column names, in any case, and values; `bytes` are text that is to be UTF-8.
        where: Names the row in a fault, e.g. `00000.parquet row 7`.
        caption_column: Column of the caption; None to take the first of `CAPTION_COLUMNS` there is.
    """
    by_name = lower_case_names(row)
    fields: dict[str, Any] = {}
    for name, columns in _COLUMNS.items():
        column = next((column for column in columns if column in by_name), None)
        if column is not None:
            fields[name] = _CONVERTERS[name](by_name[column])
    wanted = CAPTION_COLUMNS if caption_column is None else (caption_column.strip().lower(),)
    column = next((column for column in wanted if column in by_name), None)
    if column is None:
        return Described(fields)
    fields["caption"], fault = caption_text(by_name[column], where=where)
    return Described(fields, fault)


def lower_case_names(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row by lower-case column names; of columns that differ in case only the first with a value."""
    by_name: dict[str, Any] = {}
    for name, value in row.items():
        if by_name.get(name.strip().lower()) is None:
            by_name[name.strip().lower()] = value
    return by_name


def caption_text(value: object, *, where: str) -> tuple[str | None, str | None]:
    """Make a caption storable.

    Args:
        value: The caption as the source holds it; `bytes` are to be UTF-8.
        where: Names the place in a fault.

    Returns:
        The caption (bytes that are not UTF-8 replaced), and its fault or None.
    """
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8").removeprefix(_BOM), None
        except UnicodeDecodeError as error:
            fault = (
                f"caption is not UTF-8 (byte 0x{value[error.start]:02X} at position {error.start} of {where})"
            )
            return value.decode("utf-8", "replace").removeprefix(_BOM), fault
    if isinstance(value, list | tuple | dict):
        return None, f"caption is a {type(value).__name__}, not a text ({where})"
    return to_text(value), None


def storable(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates: json can spell them, UTF-8 cannot hold them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def to_text(value: object) -> str | None:
    """Text of a value; numbers without exponent, whole doubles as integers; None for NaN and infinity."""
    if value is None or isinstance(value, bool | str | bytes):
        return _plain_text(value)
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value == int(value) else format(Decimal(str(value)), "f")
    return storable(str(value))


def _plain_text(value: bool | str | bytes | None) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else storable(str(value))


def _to_label(value: object) -> str | None:
    return to_text(value) or None


def _to_float(value: object) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(to_text(value) or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _to_pixels(value: object) -> int | None:
    number = _to_float(value)
    return int(number) if number is not None and 0 < number <= _MAX_INT32 else None


_CONVERTERS = {
    "source_id": _to_label,
    "url": _to_label,
    "width": _to_pixels,
    "height": _to_pixels,
    "similarity": _to_float,
    "aesthetic": _to_float,
    "punsafe": _to_float,
    "pwatermark": _to_float,
    "nsfw": _to_label,
}
