"""Parquet files of a source: footer facts, and rows of a range, read by path and in small pieces."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_jobs.sources import storage

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_jobs.sources.storage import StoredFile

_BUFFER_BYTES = 1 << 20  # column chunks are streamed, not loaded: they reach some hundred MB
BATCH_ROWS = 1000


class ParquetFault(ValueError):
    """Raised for a file that is no sound Parquet. The message completes "FILE cannot be read: "."""


@dataclass(frozen=True)
class ParquetFacts:
    """What a footer says.

    Attributes:
        columns: Type (Arrow's name) by column.
        row_groups: Rows of each row group.
    """

    columns: dict[str, str]
    row_groups: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return sum(self.row_groups)


@contextlib.contextmanager
def open_parquet(uri: str) -> Iterator[Any]:
    """Open a file as pyarrow's `ParquetFile`.

    Raises:
        ParquetFault: If it is no Parquet, or what is read inside the block is damaged.
        OSError: If the storage fails.
    """
    import pyarrow as pa  # here, so that listing sources stays quick
    from pyarrow import parquet

    try:
        with storage.open_file(uri) as file:
            yield parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES)
    except (pa.ArrowException, ValueError) as error:
        raise ParquetFault(" ".join(str(error).split())) from error
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:
            raise  # the storage failed; what pyarrow finds corrupt is an OSError without a number
        raise ParquetFault(" ".join(str(error).split())) from error


def read_facts(uri: str) -> ParquetFacts:
    """Read a file's footer.

    Raises:
        ParquetFault: If it is no Parquet.
        OSError: If the storage fails.
    """
    with open_parquet(uri) as file:
        columns = {field.name: str(field.type) for field in file.schema_arrow}
        groups = tuple(file.metadata.row_group(index).num_rows for index in range(file.num_row_groups))
    return ParquetFacts(columns, groups)


def first_columns(files: Sequence[StoredFile]) -> dict[str, str] | None:
    """Columns of the first table that can be read; None where there is none."""
    for file in (file for file in files if file.extension == "parquet"):
        try:
            return read_facts(file.uri).columns
        except (ParquetFault, OSError):
            continue
    return None


def read_rows(
    uri: str,
    columns: Sequence[str],
    *,
    start: int = 0,
    stop: int | None = None,
    batch_rows: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Read rows of a range, of the row groups that it touches and no others.

    Text comes as bytes: a value that is not UTF-8 must not cost its batch.

    Args:
        uri: The file.
        columns: Columns wanted.
        start: First row.
        stop: Row after the last; None for the file's end.
        batch_rows: Rows held at a time; None: `BATCH_ROWS`.

    Raises:
        ParquetFault: If the file is damaged, at the first row that cannot be read.
        OSError: If the storage fails.
    """
    with open_parquet(uri) as file:
        first, groups = _touched(file.metadata, start, stop)
        if not groups:
            return
        size = batch_rows or BATCH_ROWS
        for batch in file.iter_batches(batch_size=size, row_groups=groups, columns=list(columns)):
            low, high = max(start - first, 0), batch.num_rows if stop is None else stop - first
            first += batch.num_rows
            if high <= 0:
                return
            wanted = batch.slice(low, max(high - low, 0))
            values = [_values(column) for column in wanted.columns]
            for row in zip(*values, strict=True):
                yield dict(zip(wanted.schema.names, row, strict=True))


def _touched(metadata: Any, start: int, stop: int | None) -> tuple[int, list[int]]:
    """First row of the first row group that a range touches, and the row groups."""
    groups: list[int] = []
    begin = first = 0
    for index in range(metadata.num_row_groups):
        end = begin + metadata.row_group(index).num_rows
        if end > start and (stop is None or begin < stop):
            first = first if groups else begin
            groups.append(index)
        begin = end
    return first, groups


def _values(column: pa.Array) -> list[Any]:
    import pyarrow as pa

    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if pa.types.is_timestamp(column.type):  # nanoseconds need pandas, and no field is a time
        return [None] * len(column)
    return list((column.cast(pa.large_binary()) if is_text else column).to_pylist())
