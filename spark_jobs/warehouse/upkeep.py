"""What Delta tables need now and then: fewer files, and none that no version shows any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas._table import TableSpec
from spark_jobs.warehouse.addresses import quoted

if TYPE_CHECKING:
    from spark_jobs.warehouse.tables import Tables

KEEP_HOURS = 7 * 24  # Delta's own: readers of an older version, and writers, may still need younger files


@dataclass(frozen=True)
class Size:
    """A table's current files.

    Attributes:
        files: How many.
        bytes: Their size together.
    """

    files: int
    bytes: int


def size_of(tables: Tables, spec: TableSpec) -> Size:
    """Files of a table's current version."""
    detail = tables.detail(spec)
    return Size(int(detail["numFiles"]), int(detail["sizeInBytes"]))


def remove_rows(tables: Tables, spec: TableSpec, *, dataset: str, run_key: str) -> None:
    """Remove the rows of a dataset and run key: whole partitions, so that nothing is rewritten.

    Raises:
        StageError: If a run is writing there.
    """
    with tables.writing(spec, dataset=dataset, run_key=run_key):
        tables.delta(spec).delete(f"dataset = {quoted(dataset)} AND run_key = {quoted(run_key)}")


def compact(tables: Tables, spec: TableSpec) -> None:
    """Put small files of a partition together; rows and what runs know of them stay as they are."""
    tables.delta(spec).optimize().executeCompaction()


def vacuum(tables: Tables, spec: TableSpec) -> None:
    """Delete files that no version of the last week shows."""
    tables.delta(spec).vacuum(KEEP_HOURS)
