"""Drawn rows of `text_removal_scores` and what goes with them, for the tests of its statistics."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd

from schemas import cluster_assignments, text_removal_scores
from schemas.text_removal_scores import DIFFERENCES, RANDOM_VARIANTS, VARIANTS
from tests.table_rows import filled, frame_of
from udfs.tokens import normalised_words

# Caption and spotted words with their confidence, by sample; None: text was not spotted.
PAIRS = {
    "a-parrot": ("NO 1 sale", [("NO", 0.9), ("1", 0.9)]),
    "a-part": ("sale of shoes", [("SALE!", 0.8), ("open", 0.7), ("dim", 0.1)]),
    "a-other": ("a dog", [("cat", 0.5)]),
    "a-no-text": ("a hill", []),
    "a-dim-only": ("a dim hill", [("dim", 0.1)]),
    "a-no-caption": (None, [("word", 0.9)]),
    "a-damaged": ("broken word", [("word", 0.9)]),
    "a-unspotted": ("what it says", None),
    "b-alone": ("alone at night", [("alone", 0.9)]),
    "b-no-text": ("nothing", []),
}


def removal_row(number, model, *, run_key="r", **values):
    """One row; what is not given is null, and relative scores follow from the scores."""
    row = dict.fromkeys(text_removal_scores.TABLE.columns)
    row |= {"dataset": "d", "shard_id": "0", "sample_id": f"{number:04d}", "model": model, "fill": "telea"}
    row |= {"status": "ok", "run_key": run_key, "input_key": "i", **values}
    row |= {name: difference(row[first], row[second]) for name, (first, second) in DIFFERENCES.items()}
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
                values = {"mask_share_all_removed": 0.2, "has_text": True}  # no caption
            else:
                # From 0.3 to 0.4 no text, but for a sample whose only text does not count.
                values = {"score_raw": draw.uniform(0.2, 0.4), "has_text": fate >= 0.4 or fate < 0.22}
                variants = [] if fate < 0.4 else [*VARIANTS] if fate < 0.8 else ["all_removed"]
                for variant in variants:
                    values |= {
                        f"score_{variant}": draw.uniform(0.15, 0.4),
                        f"mask_share_{variant}": draw.random(),
                    }
                    if variant in RANDOM_VARIANTS:
                        values[f"hit_share_{variant}"] = max(0.0, draw.uniform(-0.5, 0.5))
            rows.append(removal_row(number, model, **values))
    return rows


def scores_frame(spark, rows):
    spec = text_removal_scores.TABLE
    return frame_of(spark, spec, [filled(spec, **row) for row in rows])


def assignments_frame(spark, clusters):
    """Assignments by sample number; None: no image vector."""
    spec = cluster_assignments.TABLE
    rows = [
        filled(
            spec,
            dataset="d",
            sample_id=f"{number:04d}",
            cluster=cluster,
            cluster_group=None if cluster is None else cluster // 2,
        )
        for number, cluster in enumerate(clusters)
    ]
    return frame_of(spark, spec, rows)


def by_image_type(rows):
    """The oracle's view: one row per (sample, model, image type) that has a score, in single precision."""
    found = []
    for row in rows:
        if row["status"] != "ok":
            continue
        counts = row["mask_share_all_removed"] is not None
        scores = {"raw_with_text": row["score_raw"]} if counts else {}
        if not row["has_text"]:
            scores["raw_without_text"] = row["score_raw"]
        if row["mask_share_co_removed"] is not None:
            scores["raw_concurrent"] = row["score_raw"]
        scores |= {variant: row[f"score_{variant}"] for variant in VARIANTS}
        found += [
            {
                "model": row["model"],
                "number": int(row["sample_id"]),
                "type": name,
                "score": np.float32(score),
                "hit": row[f"hit_share_{name}"] if name in RANDOM_VARIANTS else None,
            }
            for name, score in scores.items()
            if score is not None
        ]
    return pd.DataFrame(found, columns=["model", "number", "type", "score", "hit"]).astype(
        {"score": "float64", "hit": "float64"}
    )


def counted(name, confidence=0.3):
    """Texts that overlap counts, with their place among the words."""
    words = PAIRS[name][1] or []
    return [(text, place) for place, (text, sure) in enumerate(words) if sure >= confidence]


def used_words(name):
    caption = set(normalised_words(PAIRS[name][0]))
    return [(place, not caption.isdisjoint(normalised_words(text)), None) for text, place in counted(name)]
