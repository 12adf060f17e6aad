"""Format `parquet`: a row per member with its measures, with or without the image's bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from spark_jobs.export.base import FileFacts, Format, Settings
from spark_jobs.export.image_bytes import image_bytes

# A training reader (petastorm, pyarrow's dataset) takes a row group at a time and shuffles between them: small
# enough that some fit in a worker's memory, large enough for a request to object storage.
GROUP_ROWS = 10_000
GROUP_BYTES = 64 << 20


def write(stream: BinaryIO, batches: Iterator[Any], settings: Settings) -> FileFacts:
    """Write one Parquet file."""
    return (
        _write_with_images(stream, batches, settings)
        if settings.with_images
        else _write(stream, batches, settings)
    )


def _write(stream: BinaryIO, batches: Iterator[Any], settings: Settings) -> FileFacts:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_batches(batches).select(list(settings.columns))
    parquet.write_table(table, stream, compression="zstd", row_group_size=GROUP_ROWS)
    return FileFacts(rows=table.num_rows)


def _write_with_images(stream: BinaryIO, batches: Iterator[Any], settings: Settings) -> FileFacts:
    import pyarrow as pa
    from pyarrow import parquet

    whole = pa.Table.from_batches(batches)
    table = whole.select(list(settings.columns))
    rows = whole.to_pylist()
    facts = FileFacts(rows=len(rows))
    schema = table.schema.append(pa.field("image", pa.binary()))
    with (
        image_bytes(rows, max_bytes=settings.max_bytes) as found,
        parquet.ParquetWriter(
            stream, schema, compression="zstd", use_dictionary=list(settings.columns)
        ) as writer,
    ):
        first, held, size = 0, list[bytes | None](), 0
        for index, row in enumerate(rows):
            data = found[index]
            if data is None:
                facts.fault(row, found.faults[index])
            held.append(data)
            size += len(data or b"")
            if size >= GROUP_BYTES or len(held) >= GROUP_ROWS or index == len(rows) - 1:
                group = table.slice(first, len(held)).append_column(
                    schema.field("image"), pa.array(held, pa.binary())
                )
                writer.write_table(group, row_group_size=len(held))
                first, held, size = index + 1, [], 0
        facts.formats.update(found.formats.values())
    return facts


def count(stream: Any) -> int:
    """Rows of a file."""
    from pyarrow import parquet

    return int(parquet.ParquetFile(stream).metadata.num_rows)


FORMAT = Format(
    name="parquet",
    meaning="a row per member: ids, URL, caption, sizes, the source's scores and the measures",
    file_name="part-{file:05d}.parquet",
    rows_per_file=100_000,
    write=write,
    count=count,
    measures=True,
)
