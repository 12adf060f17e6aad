"""A warehouse of synthetic measures, and the same rows as a pandas frame: the input of subset tests."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from schemas import TABLES
from spark_jobs.warehouse.tables import Tables
from tests.table_rows import filled, put_rows

SHARDS = 4
MAKERS = {
    "samples": "ingest",
    "clip_embeddings": "embed",
    "cluster_assignments": "cluster",
    "spotted_text": "spot_text",
    "caption_overlap": "overlap",
    "text_removal_scores": "remove_text",
    "aesthetic_scores": "aesthetic",
    "near_duplicates": "deduplicate",
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
    "one big\u3000house",  # three words to Python, two to a regular expression of ASCII
    "a dog",
)
# Beside the bounds of built-in subsets: the same number as text, as a float and as a double is on one side.
_SCORES = (0.27, 0.28, 0.29, 0.3, 0.31, 0.35)
_RELATIVE = (-0.2, -0.01, 0.0, 0.01, 0.09, 0.1, 0.19, 0.2, 0.29, 0.3, 0.4)


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
            "clip_score": some(np.round(draw.normal(0.28, 0.06, count), 2).tolist()),
            "cluster": some(draw.choice(7, count, p=[0.4, 0.3, 0.1, 0.1, 0.06, 0.03, 0.01]).tolist()),
            "image_type": pd.Series(np.where(is_read, types, None), dtype=object),
            "cotr": pd.Series(
                [rate if ok else None for rate, ok in zip(rates.tolist(), is_read, strict=True)], dtype=object
            ),
            "confidence": np.round(draw.uniform(0.3, 1.0, count), 4),
        }
    )
    # Text of which no word counts; an own generator, so that nothing else changes.
    unsure = np.random.default_rng(seed + 1).random(count) < 0.2
    frame["is_unsure"] = unsure & (frame.image_type == "text_not_concurrent")
    return frame.join(_of_late_stages(frame, draw, some))


def _of_late_stages(frame, draw, some):
    """Removal scores, aesthetics, duplicates, and the scores that the source ships."""
    count = len(frame)
    is_scored = frame.image_type.notna() & frame.caption.notna()
    has_text = is_scored & (frame.image_type != "no_text")
    has_co_emb = is_scored & (frame.image_type == "concurrent")
    raw = pd.Series(draw.choice(_SCORES, count))
    rsa, rsc = (pd.Series(draw.choice(_RELATIVE, count)) for _ in range(2))
    return pd.DataFrame(
        {
            "score_raw": raw.astype(object).where(is_scored, None),
            "score_all_removed": (raw - rsa).round(2).astype(object).where(has_text, None),
            "rsa": rsa.astype(object).where(has_text, None),
            "rsc": rsc.astype(object).where(has_co_emb, None),
            "aesthetic_score": some(draw.choice([4.0, 4.4, 4.5, 4.6, 6.0], count).tolist()),
            "is_duplicate": some((draw.random(count) < 0.3).tolist()),
            # Other people's files hold NaN as well as nulls.
            "similarity": some(draw.choice([*_SCORES, float("nan")], count).tolist()),
            "aesthetic": some(draw.choice([4.4, 4.5, 4.6, 6.0, float("nan")], count).tolist()),
        }
    )


def put_measures(
    spark, warehouse, frame, *, dataset="test", partitions=2, shuffled=None, tables=MAKERS
) -> None:
    """Write the frame's tables; with `shuffled` in another order of rows."""
    rows = frame if shuffled is None else frame.sample(frac=1, random_state=shuffled)
    door = Tables(spark, str(warehouse))
    for name in tables:
        spec = TABLES[name]
        values = [filled(spec, **values) for row in rows.itertuples() for values in _rows(name, row, dataset)]
        put_rows(door, spec, values, stage=MAKERS[name], partitions=partitions)


def _rows(table, row, dataset):
    common = {
        "dataset": dataset,
        "shard_id": row.shard_id,
        "sample_id": row.sample_id,
        "status": "ok" if row.is_sound else "failed",
        "run_key": f"{table}-key",
        "input_key": row.shard_id,
    }
    if row.image_type is None and table in ("caption_overlap", "text_removal_scores"):
        common["status"] = "skipped"
    return [{**common, **own} for own in _OWN[table](row)]


def _of_removal(row):
    """Two models side by side; the one that is not that of `clip_embeddings` has other scores."""
    names = ("score_raw", "score_all_removed", "rsa", "rsc")
    own = {name: getattr(row, name) for name in names}
    others = {name: None if value is None else 0.5 - value for name, value in own.items()}
    return [{"model": "m", "fill": "telea", **own}, {"model": "another", "fill": "telea", **others}]


_OWN = {
    "samples": lambda row: [
        {
            "caption": row.caption,
            "width": row.width,
            "height": row.height,
            "similarity": row.similarity,
            "aesthetic": row.aesthetic,
        }
    ],
    "clip_embeddings": lambda row: [{"model": "m", "clip_score": row.clip_score}],
    "cluster_assignments": lambda row: [{"model_version": "m", "cluster": row.cluster, "cluster_group": 0}],
    "spotted_text": lambda row: [{"spotter": "s", "lines": [], "words": []}],
    "caption_overlap": lambda row: [_overlap(row)],
    "text_removal_scores": _of_removal,
    "aesthetic_scores": lambda row: [{"head": "h", "aesthetic_score": row.aesthetic_score}],
    "near_duplicates": lambda row: [{"cluster": row.cluster, "is_duplicate": row.is_duplicate}],
}


def _overlap(row):
    if row.image_type is None:
        return {}
    has_word = any(character.isalnum() for character in row.caption or "")
    counts = row.image_type != "no_text" and not row.is_unsure
    return {
        "image_type": row.image_type,
        "text_detected": row.image_type != "no_text",
        "spotted_word_count": int(counts),
        "mean_confidence": float(row.confidence) if counts else None,
        "cotr": row.cotr if has_word else None,
        "cotr_reason": None if has_word else "no_words",
        "caption_words": ["a"] if has_word else [],
        "co_emb_words": [],
    }
