"""What filters and subsets select, and the best-scored of a group, against pandas on the same rows."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest

from schemas import caption_overlap, clip_embeddings, cluster_assignments
from spark_jobs.sql.selections import (
    CURATIONS,
    TOP_SAMPLES,
    cluster_top_steps,
    curation_score_steps,
    score_filter_steps,
)
from spark_jobs.sql.steps import run_steps
from spark_jobs.subsets.definition import built_in
from tests.interval_oracles import has_interval, student, wilson
from tests.removal_samples import removal_row, scores_frame
from tests.table_rows import filled, frame_of

KINDS = ("no_text", "text_not_concurrent", "concurrent")


def drawn(count, seed):
    """Samples with scores, also on thresholds, some without a caption word, without a score, without a cluster."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        kind = draw.choice(KINDS)
        score = draw.choice([draw.uniform(-0.05, 0.6), 0.28, 0.3, 0.1, None])
        rows.append(
            {
                "sample_id": f"{number:04d}",
                "status": "skipped" if draw.random() < 0.05 else "ok",
                "caption_words": [] if draw.random() < 0.05 else ["a", "b"],
                "image_type": kind,
                "cotr": draw.choice([0.3, 0.5, 0.8, 1.0]) if kind == "concurrent" else 0.0,
                "score": None if score is None else float(np.float32(score)),
                "group": None if draw.random() < 0.1 else draw.randrange(5),
                "removed": draw.uniform(-0.1, 0.5) if kind != "no_text" else None,
                "co_removed": draw.uniform(-0.1, 0.5) if kind == "concurrent" else None,
            }
        )
    return rows


def frames_of(spark, rows):
    measures = ("sample_id", "status", "caption_words", "image_type", "cotr")
    overlap = [filled(caption_overlap.TABLE, **{name: r[name] for name in measures}) for r in rows]
    embeddings = [
        filled(clip_embeddings.TABLE, sample_id=r["sample_id"], clip_score=r["score"], model="m")
        for r in rows
    ]
    clusters = [
        filled(cluster_assignments.TABLE, sample_id=r["sample_id"], cluster_group=r["group"]) for r in rows
    ]
    return {
        "overlap": frame_of(spark, caption_overlap.TABLE, overlap),
        "embeddings": frame_of(spark, clip_embeddings.TABLE, embeddings),
        "assignments": frame_of(spark, cluster_assignments.TABLE, clusters),
    }


def counted(rows):
    """What pandas sees: images of Table 1 that have a score."""
    frame = pd.DataFrame(rows)
    return frame[(frame.status == "ok") & frame.caption_words.map(bool) & frame.score.notna()]


@pytest.mark.oracle("stat_score_filter")
def test_what_a_filter_keeps_equals_pandas(spark):
    rows = drawn(500, 3)
    found = [row.asDict() for row in run_steps(spark, score_filter_steps(), frames_of(spark, rows)).collect()]
    images = counted(rows)
    assert sorted(row["threshold"] for row in found) == [-1, *(n / 100 for n in range(51))]
    for row in found:
        # A score of 0.28 is not below 0.28, though single precision holds 0.28 as a little less or more.
        kept = images[images.score.round(6) >= row["threshold"]]
        concurrent = (kept.image_type == "concurrent").sum()
        text = (kept.image_type != "no_text").sum()
        assert (row["images"], row["images_with_text"], row["images_concurrent"]) == (
            len(kept),
            text,
            concurrent,
        )
        for name, part, whole in (
            ("share_kept", len(kept), len(images)),
            ("share_with_text", text, len(kept)),
            ("share_concurrent", concurrent, len(kept)),
        ):
            assert row[name] == pytest.approx(part / whole)
            has_interval(row, name, wilson(part, whole))
    before = next(row for row in found if row["threshold"] == -1)
    assert (before["share_kept"], before["images"]) == (1.0, len(images))


@pytest.mark.parametrize("is_removed", [True, False], ids=["text removed", "only embedded"])
@pytest.mark.oracle("stat_curation_score")
def test_scores_of_the_papers_subsets_equal_pandas(spark, is_removed):
    rows = drawn(400, 5)
    removal = [
        removal_row(
            number,
            "m",
            score_raw=row["score"],
            score_all_removed=row["removed"],
            score_co_removed=row["co_removed"],
        )
        for number, row in enumerate(rows)
    ]
    scores = scores_frame(spark, removal if is_removed else [])
    found = run_steps(spark, curation_score_steps(), {**frames_of(spark, rows), "scores": scores}).collect()
    images = counted(rows)
    images = images.assign(
        **{name: [removal[int(n)][name] for n in images.sample_id] for name in ("rsa", "rsc")}
    )
    if not is_removed:
        images[["rsa", "rsc"]] = np.nan
    images[["rsa", "rsc"]] = images[["rsa", "rsc"]].astype(float)
    text = images[images.image_type != "no_text"]
    expected = {
        "random": images,
        "without_text": images[images.image_type == "no_text"],
        "with_text": text,
        "cotr_eq_0": text[text.cotr == 0],
        **{f"cotr_ge_{low}": text[text.cotr >= low] for low in (0.3, 0.5, 0.8)},
        "cotr_eq_1": text[text.cotr == 1],
    }
    for name in ("rsa", "rsc"):
        expected |= {f"{name}_lt_0": images[images[name] < 0], f"{name}_ge_0": images[images[name] >= 0]}
        expected |= {f"{name}_ge_{low}": images[images[name] >= low] for low in (0.1, 0.2, 0.3)}
    assert {row["subset_id"] for row in found} == set(expected)
    for row in found:
        part = expected[row["subset_id"]]
        assert (row["model"], row["images"]) == ("m", len(part))
        if len(part):
            assert row["mean_clip_score"] == pytest.approx(part.score.mean(), abs=1e-9)
        else:
            assert row["mean_clip_score"] is None
            assert not is_removed
        has_interval(row.asDict(), "mean_clip_score", student(part.score))


def test_the_papers_subsets_are_built_in():
    assert {entry.subset_id for entry in CURATIONS} <= set(built_in())


@pytest.mark.oracle("stat_cluster_top")
def test_the_best_scored_of_each_group_equal_pandas(spark):
    rows = drawn(200, 7)
    found = [row.asDict() for row in run_steps(spark, cluster_top_steps(), frames_of(spark, rows)).collect()]
    images = counted(rows).dropna(subset=["group"])
    best = (
        images.sort_values(["score", "sample_id"], ascending=[False, True]).groupby("group").head(TOP_SAMPLES)
    )
    expected = {
        (int(group), place): (row.sample_id, row.image_type)
        for group, part in best.groupby("group")
        for place, row in enumerate(part.itertuples(), start=1)
    }
    assert len(expected) == 5 * TOP_SAMPLES
    assert {(r["cluster_group"], r["place"]): (r["sample_id"], r["image_type"]) for r in found} == expected
