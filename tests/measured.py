"""A warehouse of synthetic measures, and the same rows as a pandas frame: the input of subset tests."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from schemas import TABLES
from spark_jobs.runner.run_log import RunLog
from spark_jobs.tables import Tables

SHARDS = 4
MAKERS = {
    "samples": "ingest",
    "clip_embeddings": "embed",
    "cluster_assignments": "cluster",
    "spotted_text": "spot_text",
    "caption_overlap": "overlap",
}
_CAPTIONS = (
    "a red car in the street",
    "ein rotes Auto auf der Straße vor dem Haus",
    "sale",
    "une voiture rouge dans la rue de la ville",
    "two dogs play in the garden of the house",
    None,
    "   ",
    "12345",
)


def synthetic(count: int = 600, *, seed: int = 0) -> pd.DataFrame:
    """One row per sample with every measure; about a tenth is not measured in each table."""
    draw = np.random.default_rng(seed)

    def some(values, *, missing=0.1):
        kept = draw.random(count) >= missing
        return pd.Series(
            [value if keep else None for value, keep in zip(values, kept, strict=True)], dtype=object
        )

    types = draw.choice(["no_text", "text_not_concurrent", "concurrent"], count, p=[0.4, 0.3, 0.3])
    rates = np.where(types == "concurrent", draw.choice([0.25, 0.3, 0.5, 0.8, 1.0], count), 0.0)
    is_read = draw.random(count) >= 0.1
    frame = pd.DataFrame(
        {
            "sample_id": [hashlib.md5(str(n).encode()).hexdigest() for n in range(count)],
            "shard_id": [f"{n % SHARDS:05d}" for n in range(count)],
            "is_sound": draw.random(count) >= 0.05,
            "caption": draw.choice(np.array(_CAPTIONS, dtype=object), count),
            "width": some(draw.integers(50, 1500, count).tolist(), missing=0.05),
            "height": some(draw.integers(50, 1500, count).tolist(), missing=0.05),
            # Two digits: many equal scores, so that ties matter.
            "clip_score": some(np.round(draw.normal(0.28, 0.06, count), 2).astype(np.float32).tolist()),
            "cluster": some(draw.choice(7, count, p=[0.4, 0.3, 0.1, 0.1, 0.06, 0.03, 0.01]).tolist()),
            "image_type": pd.Series(np.where(is_read, types, None), dtype=object),
            "cotr": pd.Series(
                [rate if ok else None for rate, ok in zip(rates.tolist(), is_read, strict=True)], dtype=object
            ),
            "confidence": np.round(draw.uniform(0.3, 1.0, count), 4),
        }
    )
    return frame


def put_measures(
    spark, warehouse, frame, *, dataset="test", partitions=2, shuffled=None, tables=MAKERS
) -> None:
    """Write the frame's tables; with `shuffled` in another order of rows."""
    rows = frame if shuffled is None else frame.sample(frac=1, random_state=shuffled)
    door = Tables(spark, str(warehouse))
    for name in tables:
        spec = TABLES[name]
        door.create(spec)
        values = [
            tuple(_row(name, row, dataset).get(column) for column in spec.columns)
            for row in rows.itertuples()
        ]
        written = spark.createDataFrame(values, spec.schema, verifySchema=False).repartition(partitions)
        door.replace(spec, written, dataset=dataset, run_key=f"{name}-key")
        log = RunLog(door, spec, stage=MAKERS[name], dataset=dataset, run_key=f"{name}-key", params={})
        log.add("finished", seconds=0.0, shards=0, counts={})


def _row(table, row, dataset):
    common = {
        "dataset": dataset,
        "shard_id": row.shard_id,
        "sample_id": row.sample_id,
        "status": "ok" if row.is_sound else "failed",
        "run_key": f"{table}-key",
        "input_key": row.shard_id,
    }
    own = {
        "samples": lambda: {"caption": row.caption, "width": row.width, "height": row.height},
        "clip_embeddings": lambda: {"model": "m", "clip_score": row.clip_score},
        "cluster_assignments": lambda: {"model_version": "m", "cluster": row.cluster, "cluster_group": 0},
        "spotted_text": lambda: {"spotter": "s", "lines": _lines(row), "words": []},
        "caption_overlap": lambda: {
            "image_type": row.image_type,
            "cotr": row.cotr,
            "caption_words": ["a"],
            "co_emb_words": [],
        },
    }[table]()
    if table == "caption_overlap" and row.image_type is None:
        own["status"] = "skipped"
    return {**common, **own}


def _lines(row):
    if row.image_type is None or row.image_type == "no_text":
        return []
    return [("text", float(row.confidence), [])]
