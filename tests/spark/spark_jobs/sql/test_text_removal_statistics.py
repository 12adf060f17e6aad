from __future__ import annotations

import random
from decimal import Decimal

import pandas as pd
import pytest

from schemas import cluster_assignments, stage_runs, stat_text_removal, text_removal_scores
from schemas.stat_relative_score import BIN_WIDTH, RELATIVE_SCORES
from schemas.stat_text_removal import REMOVAL_IMAGE_TYPES
from spark_jobs.runner.statistics import Statistic, run_statistics
from spark_jobs.sql.steps import run_steps
from spark_jobs.sql.text_removal import (
    relative_score_steps,
    text_removal_cluster_steps,
    text_removal_steps,
)
from spark_jobs.warehouse.tables import Tables
from tests.interval_oracles import has_interval, student, wilson
from tests.removal_samples import (
    assignments_frame,
    by_image_type,
    drawn_rows,
    removal_row,
    scores_frame,
)


def drawn_clusters(count, seed):
    draw = random.Random(seed)
    return [None if draw.random() < 0.1 else draw.randrange(7) for _ in range(count)]


def rows_of(spark, steps, **frames):
    return [row.asDict(recursive=True) for row in run_steps(spark, steps, frames).collect()]


@pytest.mark.parametrize("models", [("A",), ("A", "B/b")], ids=["one model", "two models"])
@pytest.mark.oracle("stat_text_removal")
def test_table_2_equals_pandas(spark, models):
    rows, clusters = drawn_rows(models, 120, 3), drawn_clusters(120, 4)
    found = rows_of(
        spark,
        text_removal_steps(),
        scores=scores_frame(spark, rows),
        assignments=assignments_frame(spark, clusters),
    )
    assert sorted((row["model"], row["image_type"]) for row in found) == sorted(
        (model, name) for model in models for name in REMOVAL_IMAGE_TYPES
    )
    expected = by_image_type(rows)
    expected["group"] = [
        None if clusters[number] is None else clusters[number] // 2 for number in expected.number
    ]
    for row in found:
        part = expected[(expected.model == row["model"]) & (expected.type == row["image_type"])]
        means = part.dropna(subset=["group", "score"]).groupby("group").score.mean()
        assert row["images"] == len(part) > 3
        assert row["mean"] == pytest.approx(part.score.mean(), abs=1e-12)
        has_interval(row, "mean", student(part.score))
        has_interval(row, "mean_over_groups", student(means))
        assert row["std"] == pytest.approx(part.score.std(), abs=1e-9)
        assert row["groups"] == len(means) == 4
        assert row["mean_over_groups"] == pytest.approx(means.mean(), abs=1e-12)
        assert row["spread_over_groups"] == pytest.approx(means.std(), abs=1e-9)
        if row["image_type"].startswith("random_"):
            assert row["images_hit"] == (part.hit > 0).sum() > 3
            assert row["mean_hit_share"] == pytest.approx(part.hit.mean(), abs=1e-12)
        else:
            assert (row["images_hit"], row["mean_hit_share"]) == (None, None)


def test_table_2_without_clusters_and_without_some_image_types(spark):
    rows = [
        removal_row(0, "A", score_raw=0.25, has_text=False),
        removal_row(1, "A", status="failed", error="why"),
        removal_row(2, "A", score_raw=0.75, has_text=True),  # of which no word counts
    ]
    empty = spark.createDataFrame([], cluster_assignments.TABLE.schema)
    found = {
        row["image_type"]: row
        for row in rows_of(spark, text_removal_steps(), scores=scores_frame(spark, rows), assignments=empty)
    }
    assert set(found) == set(REMOVAL_IMAGE_TYPES)
    assert (found["raw_without_text"]["images"], found["raw_without_text"]["mean"]) == (1, 0.25)
    assert found["raw_without_text"]["std"] is None
    for name in REMOVAL_IMAGE_TYPES:
        assert [found[name][key] for key in ("groups", "mean_over_groups", "spread_over_groups")] == [
            None
        ] * 3
        if name != "raw_without_text":
            assert (found[name]["images"], found[name]["mean"]) == (0, None)


@pytest.mark.oracle("stat_text_removal_cluster")
def test_means_by_cluster_and_group_equal_pandas_and_add_up(spark):
    rows, clusters = drawn_rows(("A", "B"), 100, 5), drawn_clusters(100, 6)
    found = pd.DataFrame(
        rows_of(
            spark,
            text_removal_cluster_steps(),
            scores=scores_frame(spark, rows),
            assignments=assignments_frame(spark, clusters),
        )
    )
    expected = by_image_type(rows)
    expected["cluster"] = [-1 if clusters[number] is None else clusters[number] for number in expected.number]
    expected["group"] = expected.cluster.map(lambda cluster: -1 if cluster < 0 else cluster // 2)
    for level in ("cluster", "group"):
        part = found[(found.level == level) & (found.images > 0)]
        keys = ["model", "image_type", "cluster_id"]
        oracle = expected.groupby(["model", "type", level]).score.agg(["count", "mean"])
        part = part.set_index(keys).sort_index()
        assert part.index.tolist() == oracle.sort_index().index.tolist()
        assert part.images.tolist() == oracle["count"].tolist()
        assert part["mean"].tolist() == pytest.approx(oracle["mean"].tolist(), abs=1e-12)
        scores = expected.groupby(["model", "type", level]).score
        for place, row in part.iterrows():
            has_interval(row.to_dict(), "mean", student(scores.get_group(place)))
        assert part.images.sum() == len(expected)  # nothing is lost or counted twice
    assert -1 in set(found.cluster_id)


@pytest.mark.parametrize("models", [("A",), ("A", "B")], ids=["one model", "two models"])
@pytest.mark.oracle("stat_relative_score")
def test_relative_scores_equal_pandas(spark, models):
    rows = drawn_rows(models, 150, 8)
    found = rows_of(spark, relative_score_steps(), scores=scores_frame(spark, rows))
    frame = pd.DataFrame([row for row in rows if row["status"] == "ok"])
    assert len(found) == len(models) * len(RELATIVE_SCORES)
    for row in found:
        values = frame[frame.model == row["model"]][row["relative_score"]].dropna().astype("float64")
        assert row["images"] == len(values) > 30
        assert row["mean"] == pytest.approx(values.mean(), abs=1e-12)
        assert row["std"] == pytest.approx(values.std(), abs=1e-9)
        assert row["images_below_zero"] == (values < 0).sum() > 0
        assert row["share_below_zero"] == pytest.approx((values < 0).mean())
        has_interval(row, "mean", student(values))
        has_interval(row, "share_below_zero", wilson((values < 0).sum(), len(values)))
        for name, share in (("p05", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95)):
            assert row[name] == pytest.approx(values.round(4).quantile(share), abs=1e-9)
        bins = [(bin_["low"], bin_["images"]) for bin_ in row["histogram"]]
        assert bins == sorted(bins)
        tenths = [Decimal(round(float(value), 6)).quantize(Decimal("0.000001")) for value in values]
        for low, images in bins:
            start = Decimal(str(low))
            inside = [start <= tenth < start + Decimal(str(BIN_WIDTH)) for tenth in tenths]
            assert images == sum(inside) > 0
        assert sum(images for _, images in bins) == len(values)
        # A bin lies on one side of 0, so that rises can be told from drops.
        assert sum(images for low, images in bins if low < 0) == row["images_below_zero"]


def test_a_difference_on_a_boundary_is_in_the_bin_that_begins_there(spark):
    """0.58 * 50 is 28.999999999999996 in doubles, and single precision is off in the eighth digit."""
    edges = [-0.58, -0.06, -0.02, 0.0, 0.02, 0.06, 0.14, 0.58]
    rows = [removal_row(n, "A", score_raw=edge, score_all_removed=0.0) for n, edge in enumerate(edges)]
    rows.append(removal_row(99, "A", score_raw=-1e-8, score_all_removed=0.0))
    found = rows_of(spark, relative_score_steps(), scores=scores_frame(spark, rows))
    (rsa,) = (row for row in found if row["relative_score"] == "rsa")
    bins = {bin_["low"]: bin_["images"] for bin_ in rsa["histogram"]}
    assert bins == {-0.58: 1, -0.06: 1, -0.02: 2, 0.0: 1, 0.02: 1, 0.06: 1, 0.14: 1, 0.58: 1}
    assert rsa["images_below_zero"] == 4


def test_relative_scores_that_no_image_has(spark):
    rows = [removal_row(0, "A", score_raw=0.25), removal_row(1, "A", score_raw=0.25, score_all_removed=0.5)]
    found = {
        row["relative_score"]: row
        for row in rows_of(spark, relative_score_steps(), scores=scores_frame(spark, rows))
    }
    assert (found["rsa"]["images"], found["rsa"]["share_below_zero"]) == (1, 1.0)
    assert found["rsa"]["histogram"] == [{"low": -0.26, "images": 1}]
    for name in set(RELATIVE_SCORES) - {"rsa"}:
        assert (found[name]["images"], found[name]["mean"], found[name]["histogram"]) == (0, None, [])
        assert found[name]["share_below_zero"] is None


def test_clusters_that_come_later_fill_the_groups_figures_and_nothing_is_done_twice(spark, config):
    tables = Tables(spark, config.warehouse)
    statistic = Statistic(
        output=stat_text_removal.TABLE,
        reads={"scores": text_removal_scores.TABLE},
        reads_if_made={"assignments": cluster_assignments.TABLE},
        steps=text_removal_steps(),
    )
    config = config.model_copy(update={"dataset": "d"})

    def groups():
        report = run_statistics(spark, config, (statistic,))
        run_key = report.run_keys[stat_text_removal.TABLE.name]
        stored = tables.read(stat_text_removal.TABLE, dataset="d", run_key=run_key)
        return report.rows, {row["groups"] for row in stored.collect()}

    for spec in (text_removal_scores.TABLE, cluster_assignments.TABLE, stage_runs.TABLE):
        tables.create(spec)
    tables.replace(
        text_removal_scores.TABLE, scores_frame(spark, drawn_rows(("A",), 20, 9)), dataset="d", run_key="r"
    )
    assert groups() == (7, {None})
    clusters = assignments_frame(spark, [number % 4 for number in range(20)])
    tables.replace(cluster_assignments.TABLE, clusters, dataset="d", run_key="a")
    assert groups() == (7, {2})
    assert groups()[0] == 0
