"""Stage `embed`'s batch function outside Spark: the same function that `mapInArrow` runs, over the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.spotting_quality import DATA, TrueImage, true_images
from schemas.images import REFERENCE_COLUMNS
from udfs.adapter import BATCH_COLUMN, SKIP_COLUMN, ImageTask, map_images

KINDS = ("photo", "parrot", "title", "product")

Batches = Iterable[pa.RecordBatch]


def drawn_from(count: int, *, data: Path = DATA) -> list[TrueImage]:
    """So many real images; where there are fewer, they come again under other ids."""
    found = true_images(data, kinds=KINDS, limit=count)
    return [
        TrueImage(number, found[number % len(found)].kind, "", found[number % len(found)].data)
        for number in range(count)
    ]


def embed_task(model: str, pretrained: str | None, cache: Path) -> ImageTask:
    """What stage `embed` sends to its workers."""
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import DoubleType, StringType, StructField, StructType

    from schemas import clip_embeddings
    from udfs.adapter import PHASES
    from udfs.clip_embedding import resolve

    factory = resolve(model, pretrained, cache_dir=cache)
    keys = [StructField(name, StringType()) for name in ("shard_id", "sample_id")]
    status = [StructField(name, StringType()) for name in ("status", "error")]
    seconds = [StructField(f"{phase}_seconds", DoubleType()) for phase in PHASES]
    schema = StructType([*keys, *clip_embeddings.TABLE.result_fields(), *status, *seconds])
    return ImageTask(
        factory=factory, output=to_arrow_schema(schema), constants=(("model", factory.model_id),)
    )


def rows_of(images: Sequence[TrueImage], folder: Path, *, batch: int) -> list[pa.RecordBatch]:
    """The images as files, and the rows that refer to them, a record batch per batch of the model."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for number, image in enumerate(images):
        path = folder / f"{image.sample_id:09d}.jpg"
        path.write_bytes(image.data)
        reference = dict.fromkeys(REFERENCE_COLUMNS) | {"image_uri": str(path)}
        rows.append(
            {
                "shard_id": "0",
                "sample_id": str(image.sample_id),
                BATCH_COLUMN: number // batch,
                SKIP_COLUMN: None,
                **reference,
                "caption": f"a picture of something, number {number}",
            }
        )
    return [pa.RecordBatch.from_pylist(rows[first : first + batch]) for first in range(0, len(rows), batch)]


def run_all(task: ImageTask, batches: Batches) -> list[dict[str, Any]]:
    """The rows that come out.

    Raises:
        AssertionError: If a row failed.
    """
    work: Callable[[Batches], Iterator[pa.RecordBatch]] = map_images(task)  # type: ignore[assignment]
    rows = [row for batch in work(batches) for row in batch.to_pylist()]
    assert all(row["status"] == "ok" for row in rows), [row["error"] for row in rows if row["error"]][:1]
    return rows
