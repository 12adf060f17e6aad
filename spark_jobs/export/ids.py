"""Format `ids`: CSV files of dataset, shard, sample id and the source's own id."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from spark_jobs.export.base import FileFacts, Format, Settings

COLUMNS = ("dataset", "shard_id", "sample_id", "source_id")


def write(stream: BinaryIO, batches: Iterator[Any], settings: Settings) -> FileFacts:
    """Write one CSV file with a header line."""
    stream.write((",".join(COLUMNS) + "\n").encode())
    facts = FileFacts()
    for batch in batches:
        text = io.StringIO()
        columns = [batch.column(name).to_pylist() for name in COLUMNS]
        csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
        stream.write(text.getvalue().encode())
        facts.rows += batch.num_rows
    return facts


def count(stream: Any) -> int:
    """Rows of a file, without its header line."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    return sum(1 for _ in csv.reader(text)) - 1


FORMAT = Format(
    name="ids",
    meaning="CSV files of dataset, shard_id, sample_id, source_id",
    file_name="ids-{file:05d}.csv",
    rows_per_file=10_000_000,
    write=write,
    count=count,
)
