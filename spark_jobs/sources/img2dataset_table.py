"""The table that img2dataset writes beside each shard's images, and the records it makes with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spark_jobs.sources.base import SourceRecord
from spark_jobs.sources.metadata import METADATA_COLUMNS, Described, describe, to_text
from spark_jobs.sources.parquet_file import ParquetFault, read_facts, read_rows
from spark_jobs.sources.tar_samples import TarSample

_OWN_COLUMNS = ("key", "status", "error_message")


@dataclass(frozen=True)
class TableRow:
    """One row of a shard's table."""

    described: Described
    image_error: str | None


def read_table(uri: str | None, name: str) -> tuple[dict[tuple[str, int], TableRow], str | None]:
    """Rows of a table by key and occurrence, as far as it can be read, and what is wrong with it."""
    rows: dict[tuple[str, int], TableRow] = {}
    keys = RowKeys(name)
    if uri is None:
        return rows, None
    try:
        for values in read_rows(uri, wanted_columns(read_facts(uri).columns)):
            handle, row = keys.row(values)
            rows[handle] = row
    except ParquetFault as fault:
        return rows, f"cannot be read: {fault}"
    return rows, None


def wanted_columns(columns: Iterable[str]) -> list[str]:
    """The columns of a table that are read.

    Raises:
        ParquetFault: If it has no `key`.
    """
    names = list(columns)
    if "key" not in names:
        raise ParquetFault(f"no column `key`, which img2dataset writes (columns: {', '.join(names)})")
    return [name for name in names if name in _OWN_COLUMNS or name.lower() in METADATA_COLUMNS]


class RowKeys:
    """Gives the rows of one table, in order, their key and occurrence."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._number = 0
        self._occurrences: Counter[str] = Counter()

    def row(self, values: Mapping[str, Any]) -> tuple[tuple[str, int], TableRow]:
        """Key and occurrence of the next row, and what it says."""
        key = to_text(values.get("key"))
        handle = key or f"row {self._number}"
        occurrence = self._occurrences[handle]
        where = f"{self._name} row {self._number}"
        self._occurrences[handle] += 1
        self._number += 1
        return (handle, occurrence), _table_row(values, where=where, key=key, is_repeated=occurrence > 0)


def _table_row(values: Mapping[str, Any], *, where: str, key: str | None, is_repeated: bool) -> TableRow:
    described = describe(values, where=where)
    if key is None:
        described = replace(described, fault=f"{where} has no key")
    elif is_repeated:
        described = replace(described, fault=f"duplicate key {key} at {where}")
    status, message = to_text(values.get("status")), to_text(values.get("error_message"))
    if status in (None, "success"):
        return TableRow(described, None)
    return TableRow(described, f"{status}: {message.strip()}" if message else status)


def image_record(
    file: str, row: TableRow | None, sample: TarSample, *, tar_fault: str | None = None
) -> SourceRecord:
    """Join a table's row with what was stored under its key.

    Args:
        file: The tar, table or folder that the sample is of.
        row: The table's row; None where there is none.
        sample: Image, json and txt of the key, as far as they are there.
        tar_fault: What is wrong with the whole tar, in words that follow "which"; None if nothing is.
    """
    fields: dict[str, Any] = {}
    faults = [sample.fault]
    for part in (row.described if row else None, sample.from_json, sample.from_txt):
        if part is not None and "caption" not in fields:
            fields = {**part.fields, **fields}
            faults.append(part.fault)
    image_error = row.image_error if row else None
    if image_error is None and sample.image is None:
        absence = f"image of key {sample.key} is not in {file}"
        image_error = sample.image_fault or (f"{absence}, which {tar_fault}" if tar_fault else absence)
    return SourceRecord(
        file=file,
        key=sample.key,
        occurrence=sample.occurrence,
        sample_error="; ".join(fault for fault in faults if fault) or None,
        image=None if image_error else sample.image,
        image_error=image_error,
        **fields,
    )


def file_record(name: str, fault: str) -> SourceRecord:
    """The record of what befell a whole file: its name is the key, and nothing can be used."""
    error = f"{name} {fault}"
    return SourceRecord(file=name, key=name.rpartition("/")[2], sample_error=error, image_error=error)
