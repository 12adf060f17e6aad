"""Captions files to rows: CSV and TSV with a header line, and JSON lines."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from spark_jobs.errors import SourceError
from spark_jobs.sources.metadata import storable
from spark_jobs.sources.storage import extension_of, open_file

CAPTIONS_EXTENSIONS = frozenset({"csv", "tsv", "jsonl"})

# A quote that is never closed makes one field of the rest of the file; this ends it. csv's own limit,
# 131072, is below captions that occur.
_MAX_FIELD_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class CaptionLine:
    """One record of a captions file.

    Attributes:
        number: Line on which it begins, from 1.
        row: Column names and values (`bytes` where a CSV value is not UTF-8); empty if it cannot be parsed.
        fault: Why it cannot be parsed, or that it is not UTF-8; None if it is sound.
    """

    number: int
    row: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None


def read_captions_file(uri: str, *, name: str) -> tuple[list[str], list[CaptionLine]]:
    """Read a captions file whole.

    Args:
        uri: The file; its extension tells the format.
        name: Names the file in faults.

    Returns:
        Column names (of JSON lines: all that occur), and the records in order.

    Raises:
        SourceError: If a CSV or TSV file has no header line.
    """
    with open_file(uri) as file:
        data = file.read()
    if extension_of(name) == "jsonl":
        return _read_json_lines(data, name)
    return _read_delimited(data, name, delimiter="\t" if extension_of(name) == "tsv" else ",")


def _read_delimited(data: bytes, name: str, *, delimiter: str) -> tuple[list[str], list[CaptionLine]]:
    # Bytes that are not UTF-8 survive as surrogates until the row that has them is known.
    lines = list(io.StringIO(data.decode("utf-8-sig", "surrogateescape"), newline=""))
    records = _split_records(lines, delimiter)
    number, header = next(records, (1, []))
    if isinstance(header, str) or not any(column.strip() for column in header):
        found = header if isinstance(header, str) else "nothing"
        raise SourceError(f"{name} has no header line: expected column names on line {number}, found {found}")
    header = [storable(column.strip()) for column in header]
    return header, [
        _delimited_line(number, fields, header=header, name=name) for number, fields in records if fields
    ]


def _split_records(lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Line number and fields of each record, or the fault; reading goes on at the line after a fault."""
    csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    first = 0
    while first < len(lines):
        rest = (lines[index] for index in range(first, len(lines)))
        reader = csv.reader(rest, delimiter=delimiter, strict=True)
        begin = first
        try:
            for fields in reader:
                yield begin + 1, fields
                begin = first + reader.line_num
            return
        except csv.Error as error:
            yield begin + 1, str(error)
        first = begin + 1


def _delimited_line(number: int, fields: list[str] | str, *, header: list[str], name: str) -> CaptionLine:
    if isinstance(fields, str):
        return CaptionLine(number, fault=f"{name} line {number} cannot be parsed: {fields}")
    if len(fields) != len(header):
        fault = f"{name} line {number} has {len(fields)} fields where the header has {len(header)}"
        return CaptionLine(number, fault=fault)
    return CaptionLine(number, dict(zip(header, map(_utf8_or_bytes, fields), strict=True)))


def _utf8_or_bytes(text: str) -> str | bytes:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
    return text


def _read_json_lines(data: bytes, name: str) -> tuple[list[str], list[CaptionLine]]:
    lines = [
        _json_line(number, line, name)
        for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1)
        if line.strip()
    ]
    return list(dict.fromkeys(column for line in lines for column in line.row)), lines


def _json_line(number: int, line: bytes, name: str) -> CaptionLine:
    where = f"{name} line {number}"
    fault = None
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        fault = f"{where} is not UTF-8 (byte 0x{line[error.start]:02X} at position {error.start})"
        text = line.decode("utf-8", "replace")
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return CaptionLine(number, fault=f"{where} cannot be parsed: {error}")
    if not isinstance(row, dict):
        return CaptionLine(number, fault=f"{where} is no JSON object but a {type(row).__name__}")
    return CaptionLine(number, {storable(column): value for column, value in row.items()}, fault)
