"""The Arrow function of stage `ingest`: shards of a source in, rows of `samples` and `images` out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from schemas import images, samples
from spark_jobs.sources import SOURCES
from spark_jobs.sources.base import SourceOptions, SourceRecord, SourceShard

_ROWS_PER_BATCH = 1000
_DESCRIBED = tuple(field.name for field in samples.TABLE.result_fields() if field.name != "source_key")
# Column by the name that a record gives it.
_STORED = {
    name: name.removeprefix("image_") for name in (field.name for field in images.TABLE.result_fields())
}


@dataclass(frozen=True)
class Reading:
    """How shards are read; pickled to workers.

    Attributes:
        kind: Kind of the source.
        options: How it is read.
        dataset: Dataset of the rows.
        run_key: Their run key.
    """

    kind: str
    options: SourceOptions
    dataset: str
    run_key: str


def source_rows(
    batches: Iterable[pa.RecordBatch], *, reading: Reading, output: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """All rows of the shards, in order.

    Args:
        batches: A shard per row: `shard_id`, `fingerprint`, `payload` (JSON) and `input_key`.
        reading: How they are read.
        output: `sample` and `image` (rows of the two tables) and `dirt`, the kinds of dirt found in a sample.
    """
    for batch in batches:
        for row in batch.to_pylist():
            shard = SourceShard(row["shard_id"], row["fingerprint"], json.loads(row["payload"]))
            origin = {
                "dataset": reading.dataset,
                "run_key": reading.run_key,
                "shard_id": shard.shard_id,
                "input_key": row["input_key"],
            }
            yield from _shard_rows(shard, origin, reading=reading, output=output)


def _shard_rows(
    shard: SourceShard, origin: dict[str, str], *, reading: Reading, output: pa.Schema
) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, Any]] = []
    for record in SOURCES[reading.kind].read(shard, reading.options):
        rows.append(_row(record, origin))
        if len(rows) == _ROWS_PER_BATCH:
            yield pa.RecordBatch.from_pylist(rows, schema=output)
            rows = []
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=output)


def _row(record: SourceRecord, origin: dict[str, str]) -> dict[str, Any]:
    keys = {**origin, "sample_id": record.sample_id()}
    sample = {
        **keys,
        **{name: getattr(record, name, None) for name in _DESCRIBED},
        "source_key": record.key,
        "status": "failed" if record.sample_error else "ok",
        "error": record.sample_error,
    }
    stored = {name: getattr(record.image, field, None) for name, field in _STORED.items()}
    image = {**keys, **stored, **_image_status(record)}
    return {"sample": sample, "image": None if record.has_only_url else image, "dirt": record.dirt}


def _image_status(record: SourceRecord) -> dict[str, str | None]:
    if record.sample_error:
        return {"status": "skipped", "error": record.sample_error}
    if record.image_error:
        return {"status": "failed", "error": record.image_error}
    return {"status": "ok", "error": None}
