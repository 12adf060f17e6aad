"""Format `img2dataset-urls`: Parquet files of URL, caption and ids, as img2dataset takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from spark_jobs.export.base import FileFacts, Format, Settings
from spark_jobs.export.parquet import GROUP_ROWS, count

COLUMNS = ("url", "caption", "dataset", "shard_id", "sample_id", "source_id")


def write(stream: BinaryIO, batches: Iterator[Any], settings: Settings) -> FileFacts:
    """Write one file; samples without a URL are left out of it, and named."""
    import pyarrow as pa
    from pyarrow import compute, parquet

    table = pa.Table.from_batches(batches).select(list(COLUMNS))
    has_url = compute.greater(compute.fill_null(compute.utf8_length(table["url"]), 0), 0)
    kept = table.filter(has_url)
    facts = FileFacts(rows=kept.num_rows)
    for row in table.filter(compute.invert(has_url)).select(["shard_id", "sample_id"]).to_pylist():
        facts.fault(row, "no URL")
    parquet.write_table(kept, stream, compression="zstd", row_group_size=GROUP_ROWS)
    return facts


FORMAT = Format(
    name="img2dataset-urls",
    meaning="Parquet files of url, caption and ids for img2dataset",
    file_name="urls-{file:05d}.parquet",
    rows_per_file=1_000_000,
    write=write,
    count=count,
)
