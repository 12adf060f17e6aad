"""`parrot sql`: run a query over the tables and give the result, and nothing else."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from spark_jobs.errors import ConfigError, ParrotError
from spark_jobs.export.folder import Folder
from spark_jobs.runner.progress import output_console
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import register_views

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig

_FORMATS = ("table", "csv", "json")
_SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")
_PLAN = re.compile(r"(; line \d+ pos \d+);\n.*", re.DOTALL)


class QueryError(ParrotError):
    """Raised when a query is not valid or fails."""


def check_output(style: str, output: str | None) -> None:
    """Check format and output file before Spark starts.

    Raises:
        ConfigError: If the format or the file's suffix is not known, or its local folder does not exist.
    """
    if style not in _FORMATS:
        raise ConfigError(f"unknown format {style}; formats: {', '.join(_FORMATS)}")
    if output is None:
        return
    if _suffix(output) not in _SUFFIXES:
        raise ConfigError(f"cannot write {output}: the file must end in {', '.join(_SUFFIXES)}")
    parent = Path(output).resolve().parent
    if "://" not in output and not parent.is_dir():
        raise ConfigError(f"cannot write {output}: the folder {parent} does not exist")


def _suffix(output: str) -> str:
    return PurePosixPath(output).suffix


def run_query(spark: SparkSession, config: RunConfig, query: str, *, style: str, output: str | None) -> None:
    """Run a query over the warehouse's tables and write its result.

    Args:
        spark: The session.
        config: Names the warehouse.
        query: SQL.
        style: `table`, `csv` (RFC 4180, but lines end in a line feed alone) or `json` (one object per line), for
            standard output.
        output: A file or URI to write instead, whole or not at all: `.csv`, `.parquet`, or `.json` and `.jsonl` (one
            object per line); None for standard output.

    Raises:
        QueryError: If the query is not valid or fails.
    """
    tables = Tables(spark, config.warehouse)
    names = register_views(tables, query=query)
    try:
        frame = spark.sql(query)
        _refuse_equal_names(frame.columns)
        if output is not None:
            folder, _, name = output.rpartition("/")
            Folder(folder or ("/" if output.startswith("/") else ".")).put(
                name, lambda stream: _write_file(frame, stream, suffix=_suffix(output))
            )
            return
        rows = frame.toLocalIterator()
        if style == "csv":
            _write_csv(frame.columns, rows, sys.stdout)
        elif style == "json":
            _write_json(rows, sys.stdout)
        else:
            _print_table(frame.columns, rows)
    except Exception as error:
        raise QueryError(f"{_query_message(error)}\nTables and views: {', '.join(names)}") from error


def _refuse_equal_names(columns: list[str]) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise QueryError(f"the result has several columns called {', '.join(twice)}: give them names with AS")


def _query_message(error: Exception) -> str:
    """Spark's words without Java's stack trace and without the query's plan, which names what the user never wrote."""
    told = str(error).split("JVM stacktrace")[0].split("\n\tat ")[0].strip()
    return _PLAN.sub(r"\1", told)[:2000]


def _write_file(frame: DataFrame, stream: BinaryIO, *, suffix: str) -> None:
    if suffix == ".parquet":
        _write_parquet(frame, stream)
        return
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    if suffix == ".csv":
        _write_csv(frame.columns, frame.toLocalIterator(), text)
    else:
        _write_json(frame.toLocalIterator(), text)
    text.detach()  # flushed, and not closed: the stream is another's


def _write_json(rows: Any, file: TextIO) -> None:
    """One object per line."""
    for row in rows:
        file.write(json.dumps(row.asDict(recursive=True), default=str, ensure_ascii=False) + "\n")


def _write_csv(columns: list[str], rows: Any, file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    """A CSV cell: nested values as JSON, null as the empty cell."""
    if isinstance(value, (list, dict, tuple)):
        return json.dumps(_plain(value), default=str, ensure_ascii=False)
    return value


def _plain(value: Any) -> Any:
    if hasattr(value, "asDict"):
        return value.asDict(recursive=True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _write_parquet(frame: DataFrame, stream: BinaryIO) -> None:
    """Write one Parquet file, batch by batch."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark.sql.pandas.types import to_arrow_schema

    schema = to_arrow_schema(frame.schema)
    with pq.ParquetWriter(stream, schema) as writer:
        batch: list[dict[str, Any]] = []
        for row in frame.toLocalIterator():
            batch.append(row.asDict(recursive=True))
            if len(batch) == 10_000:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
                batch = []
        writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))


def _print_table(columns: list[str], rows: Any) -> None:
    from rich.table import Table

    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("null" if value is None else str(_cell(value)) for value in row))
    output_console().print(table)
