"""The Arrow function of stage `download`: one row of `images` per sample, fetched where it lacks its image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import pyarrow as pa

from schemas import images
from schemas._table import KEY_COLUMNS
from spark_jobs.sources.fetch import Fetched, FetchOptions, fetch_images
from udfs.adapter import BATCH_COLUMN

MEASURES = tuple(field.name for field in images.TABLE.result_fields())
ASKED = ("url", "caption", "sample_status", "sample_error", "known_status", "known_error")
"""What is read of a sample beside key, batch and the measures of the image that it has."""


def fetch_rows(
    batches: Iterable[pa.RecordBatch], *, options: FetchOptions, output: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """One row per row, in order; each batch of a shard (column `batch`) is one tar."""
    rows = (row for batch in batches for row in batch.to_pylist())
    for (shard_id, _), group in groupby(rows, key=lambda row: (row["shard_id"], row[BATCH_COLUMN])):
        held = list(group)
        wanted = [row for row in held if _is_wanted(row)]
        fetched = fetch_images(wanted, options, shard_id=shard_id) if wanted else {}
        made = [_row(row, fetched.get(row["sample_id"])) for row in held]
        yield pa.RecordBatch.from_pylist(made, schema=output)


def _is_wanted(row: dict[str, Any]) -> bool:
    return row["known_status"] is None and row["sample_status"] == "ok" and bool(row["url"])


def _row(row: dict[str, Any], fetched: Fetched | None) -> dict[str, Any]:
    keys = {name: row[name] for name in KEY_COLUMNS}
    if row["known_status"] is not None:
        known = {name: row[name] for name in MEASURES}
        return {**keys, **known, "status": row["known_status"], "error": row["known_error"]}
    if fetched is None:
        return {**keys, "status": "skipped", "error": row["sample_error"] or "the sample has no URL"}
    if fetched.image is None:
        return {**keys, "status": "failed", "error": fetched.error}
    image = fetched.image
    return {
        **keys,
        "image_uri": image.uri,
        "image_offset": image.offset,
        "image_length": image.length,
        "format": image.format,
        "width": image.width,
        "height": image.height,
        "sha256": image.sha256,
        "status": "ok",
        "error": None,
    }
