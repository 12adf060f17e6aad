"""The views for people, over a warehouse that an earlier version wrote, and over planted rows."""

from __future__ import annotations

import datetime
import shutil

import pytest

from schemas import (
    caption_overlap,
    cluster_assignments,
    stage_runs,
    stat_overall,
)
from spark_jobs.views import VIEWS
from spark_jobs.views.clusters import CLUSTER_PROFILE
from spark_jobs.views.expressions import error_code, host, language
from spark_jobs.views.runs import JOB_RUNS, STAT_HISTORY
from spark_jobs.views.view import Relations
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import register_views
from tests.golden.warehouse import unpacked
from tests.table_rows import filled, frame_of


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    return unpacked(tmp_path_factory.mktemp("golden")) / "warehouse"


def planted(spark, *tables):
    """Views of a session, in place of tables; returns how they are named."""
    for spec, rows in tables:
        frame = frame_of(spark, spec, rows)
        frame.createOrReplaceTempView(spec.name)
        frame.createOrReplaceTempView(f"{spec.name}_all")
    return Relations({spec.name: spec.columns for spec, _ in tables})


def rows_of(spark, view, relations):
    return [row.asDict() for row in spark.sql(view.sql(relations)).collect()]


def test_views_answer_over_an_older_warehouse(spark, warehouse):
    names = register_views(Tables(spark, str(warehouse)))
    assert {view.name for view in VIEWS} <= set(names)
    for view in VIEWS:
        frame = spark.table(view.name)
        assert [(field.name, field.dataType) for field in frame.schema] == [
            (field.name, field.dataType) for field in view.columns
        ]
        comments = [field.metadata["comment"] for field in frame.schema]
        assert comments == [field.metadata["comment"] for field in view.columns]
    for name in ("parrot_captions", "cluster_profile", "subset_profile", "failures", "stat_history"):
        assert spark.table(name).limit(1).count() == 1, name
    counts = spark.sql(
        "SELECT count(*) AS rows, count(DISTINCT sample_id) AS ids, (SELECT count(*) FROM samples) AS samples, "
        "count(cotr) AS cotr, count(clip_score) AS scores, count(cluster) AS clusters, count(rsa) AS rsa, "
        "count_if(size(subsets) > 0) AS members FROM sample_profile"
    ).first()
    assert counts["rows"] == counts["ids"] == counts["samples"]
    assert min(counts) > 0


def test_missing_tables_give_null_columns_and_no_failure(spark, warehouse, tmp_path):
    folder = tmp_path / "warehouse"
    shutil.copytree(warehouse, folder)
    for path in folder.iterdir():
        if path.is_dir() and path.name not in ("samples", "stage_runs"):
            shutil.rmtree(path)
    register_views(Tables(spark, str(folder)))
    row = spark.sql(
        "SELECT count(*) AS n, count(caption) AS captions, count(cotr) AS cotr, count(image_type) AS types, "
        "min(status) AS status FROM sample_profile"
    ).first()
    assert row["n"] > 0 < row["captions"]
    assert (row["cotr"], row["types"], row["status"]) == (0, 0, "ok")
    for name in ("parrot_captions", "cluster_profile", "subset_profile"):
        assert spark.table(name).count() == 0, name
    assert spark.table("job_runs").count() > 0


def value_of(spark, expression, value):
    frame = spark.createDataFrame([(value,)], "value string")
    return frame.selectExpr(f"{expression('value')} AS found").first()["found"]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://Images.Example.org/a/b.jpg", "images.example.org"),
        ("http://me:secret@host.org:8080?x=http://other.org", "host.org"),
        ("s3://bucket/key", "bucket"),
        ("not a url", None),
        ("http:///x", None),
        (None, None),
    ],
)
def test_host(spark, url, found):
    assert value_of(spark, host, url) == found


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("a red car in the street", "en"),
        ("ein rotes Auto auf der Straße vor dem Haus", "de"),
        ("une voiture rouge dans la rue de la ville", "fr"),
        ("El coche rojo en la calle", "es"),
        ("красный автомобиль", "ru"),
        ("東京タワーの写真", "ja"),
        ("SALE 50%", None),
        ("", None),
        (None, None),
    ],
)
def test_language_by_script_or_short_words(spark, caption, found):
    assert value_of(spark, language, caption) == found


@pytest.mark.parametrize(
    ("error", "found"),
    [
        ("failed_to_download: HTTP Error 404: Not Found", "http_404"),
        ("overlap: spot_text: image: failed_to_download: <urlopen error timed out>", "timed_out"),
        ("overlap: spot_text: cannot be decoded: OSError: truncated (126 bytes)", "cannot_be_decoded"),
        ("cannot be decoded: OSError: truncated (7 bytes)", "cannot_be_decoded"),
        ("decoder crashed (signal 11)", "decoder_crashed"),
        ("404", "other"),
        (None, None),
    ],
)
def test_kind_of_an_error(spark, error, found):
    assert value_of(spark, error_code, error) == found


def test_a_clusters_label_is_what_its_captions_have_and_others_have_not(spark):
    captions = [["a", "black", "cat", "sleeps"]] * 4 + [["a", "black", "car", "drives"]] * 4
    assigned = [
        filled(cluster_assignments.TABLE, sample_id=str(n), cluster=n // 4, cluster_group=0) for n in range(8)
    ]
    said = [
        filled(caption_overlap.TABLE, sample_id=str(n), caption_words=words)
        for n, words in enumerate(captions)
    ]
    relations = planted(spark, (cluster_assignments.TABLE, assigned), (caption_overlap.TABLE, said))
    rows = {(row["level"], row["cluster_id"]): row for row in rows_of(spark, CLUSTER_PROFILE, relations)}
    assert rows["cluster", 0]["label"] == "cat, sleeps"
    assert rows["cluster", 1]["label_words"] == ["car", "drives"]
    assert (rows["group", 0]["samples"], rows["group", 0]["label"]) == (8, "")
    assert rows["cluster", 0]["cotr"] is None, "statistics have not run"


def logged(event, *, hour=0, run_id="run", stage="overlap", table="caption_overlap", **values):
    start = datetime.datetime(2026, 1, 1, hour)
    counts = {"rows_out": 0, "rows_failed": 0, "rows_skipped": 0}
    own = {"run_id": run_id, "stage": stage, "table_name": table, "event": event, "started_at": start}
    return filled(stage_runs.TABLE, **{"seconds": 60.0, **counts, **own, **values})


def test_a_job_is_finished_failed_or_neither(spark):
    log = [
        logged("chunk", rows_out=5, run_id="a"),
        logged("chunk", hour=1, rows_out=4, rows_failed=1, run_id="a"),
        logged("finished", rows_out=9, rows_failed=1, seconds=7200.0, run_id="a"),
        logged("chunk", rows_out=5, run_id="killed"),
        logged("failed", run_id="failed"),
        logged("finished", stage="ingest", table="samples", rows_out=9, run_id="b"),
        logged("finished", stage="ingest", table="images", rows_out=9, run_id="b"),
    ]
    relations = planted(spark, (stage_runs.TABLE, log))
    rows = {row["run_id"]: row for row in rows_of(spark, JOB_RUNS, relations)}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "a": "finished",
        "killed": "not_finished",
        "failed": "failed",
        "b": "finished",
    }
    assert (rows["a"]["rows"], rows["a"]["failed"], rows["a"]["seconds"]) == (9, 1, 7200.0)
    assert rows["killed"]["rows"] == 5
    assert (rows["b"]["rows"], rows["b"]["tables"]) == (9, ["images", "samples"])


def test_numbers_of_earlier_runs_stay_when_data_have_grown(spark):
    statistic = {"stage": "statistics", "table": "stat_overall"}
    log = [
        logged("finished", run_id=run, hour=hour, run_key="same", results=results, **statistic)
        for run, hour, results in (
            ("last_month", 1, {"cotr_in_total": 0.2, "cotr_in_total_low": 0.1}),
            ("now", 9, {"cotr_in_total": 0.3}),
        )
    ]
    log.append(logged("finished", run_id="older_version", run_key="other", results=None, **statistic))
    overall = [
        filled(stat_overall.TABLE, run_key=run_key, cotr_in_total=value)
        for run_key, value in (("same", 0.3), ("other", 0.7))
    ]
    relations = planted(spark, (stage_runs.TABLE, log), (stat_overall.TABLE, overall))
    found = {
        row["run_id"]: (row["value"], row["low"], row["finished_at"].hour)
        for row in rows_of(spark, STAT_HISTORY, relations)
        if row["number"] == "cotr_in_total"
    }
    assert found == {
        "last_month": (0.2, 0.1, 1),
        "now": (0.3, None, 9),
        "older_version": (0.7, None, 0),
    }
