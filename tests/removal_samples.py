"""Drawn rows of `text_removal_scores` and what goes with them, for the tests of its statistics."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd

from schemas import cluster_assignments, text_removal_scores
from schemas.text_removal_scores import VARIANTS

FIELDS = text_removal_scores.TABLE.columns


def removal_row(number, model, *, run_key="r", **values):
    """One row; what is not given is null, and relative scores follow from the scores."""
    row = dict.fromkeys(FIELDS)
    row |= {"dataset": "d", "shard_id": "0", "sample_id": f"{number:04d}", "model": model, "fill": "telea"}
    row |= {"status": "ok", "run_key": run_key, "input_key": "i", **values}
    raw, without_all, without_co = (
        row[name] for name in ("score_raw", "score_all_removed", "score_co_removed")
    )
    row["rsa"] = difference(raw, without_all)
    row["rsc"] = difference(raw, without_co)
    row["co_minus_all"] = difference(without_co, without_all)
    return row


def difference(first, second):
    # Both are single precision in the table, and so is their difference.
    return None if first is None or second is None else float(np.float32(first) - np.float32(second))


def drawn_rows(models, count, seed):
    """Rows of samples without text, with text, with co-emb text, without caption, failed and skipped."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        fate = draw.random()
        for model in models:
            values = {}
            if fate < 0.1:
                values = {"status": draw.choice(["failed", "skipped"]), "error": "why"}
            elif fate < 0.2:
                values = {"mask_share_all_removed": 0.2}  # no caption
            else:
                values = {"score_raw": draw.uniform(0.2, 0.4)}
                variants = [] if fate < 0.4 else [*VARIANTS] if fate < 0.8 else ["all_removed"]
                for variant in variants:
                    values |= {
                        f"score_{variant}": draw.uniform(0.15, 0.4),
                        f"mask_share_{variant}": draw.random(),
                    }
            rows.append(removal_row(number, model, **values))
    return rows


def scores_frame(spark, rows):
    values = [tuple(row[name] for name in FIELDS) for row in rows]
    return spark.createDataFrame(values, text_removal_scores.TABLE.schema)


def assignments_frame(spark, clusters):
    """Assignments by sample number; None: no image vector."""
    rows = [
        (
            "d",
            "0",
            f"{number:04d}",
            "v",
            cluster,
            None if cluster is None else cluster // 2,
            0.5,
            "ok",
            None,
            "a",
            "i",
        )
        for number, cluster in enumerate(clusters)
    ]
    return spark.createDataFrame(rows, cluster_assignments.TABLE.schema)


def by_image_type(rows):
    """The oracle's view: one row per (sample, model, image type) that has a score, in single precision."""
    found = []
    for row in rows:
        if row["status"] != "ok":
            continue
        has_text = row["mask_share_all_removed"] is not None
        scores = {"raw_with_text" if has_text else "raw_without_text": row["score_raw"]}
        scores |= {variant: row[f"score_{variant}"] for variant in VARIANTS}
        found += [
            {"model": row["model"], "number": int(row["sample_id"]), "type": name, "score": np.float32(score)}
            for name, score in scores.items()
            if score is not None
        ]
    return pd.DataFrame(found, columns=["model", "number", "type", "score"]).astype({"score": "float64"})
