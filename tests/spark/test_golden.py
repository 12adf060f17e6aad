"""A warehouse that an earlier version wrote is read and continued: equal keys, nothing done again."""

from __future__ import annotations

import shutil

import pytest

from spark_jobs.pipeline import select
from tests.golden.warehouse import (
    STAGES,
    added,
    configuration,
    images_in_store,
    keys,
    portable,
    portable_stages,
    recorded,
    run_all,
    unpacked,
    versions,
)

pytest.importorskip("moto.server", reason="the extra `dev` is not installed")
pytest.importorskip("s3fs", reason="the extra `s3` is not installed")

# What was counted and removed in another way since, and whose keys hold open_clip's version now: done anew from what is
# there, and what reads it. OCR, the costly one, stays.
CHANGED = (
    "embed",
    "cluster",
    "deduplicate",
    "overlap",
    "remove_text",
    "ngrams",
    "render_text",
    "statistics",
    "curate",
    "report",
)


@pytest.fixture
def folder(tmp_path, monkeypatch, spark):
    with images_in_store(unpacked(tmp_path), monkeypatch, spark):
        yield tmp_path


def test_an_earlier_versions_warehouse_is_continued_and_then_there_is_nothing_to_do(spark, folder):
    config = configuration(folder)
    before, older = versions(spark, config), keys(spark, config)
    assert len(before) > 25
    reports = run_all(spark, config)
    assert [report.stage for report in reports] == list(STAGES)
    assert {report.stage for report in reports if not report.did_nothing} <= set(CHANGED)
    made_keys = {report.stage: report.run_keys for report in reports}
    assert portable_stages(made_keys) == portable_stages(recorded()["stages"])
    made = {name for stage in select(CHANGED) for name in stage.writes}
    after = versions(spark, config)
    assert {name for name in before if after[name] != before[name]} <= made | {"stage_runs"}
    assert portable(added(keys(spark, config), older)) == portable(recorded()["tables"])
    page = (folder / "warehouse/report.html").stat().st_mtime_ns
    assert all(report.did_nothing for report in run_all(spark, config))
    assert versions(spark, config) == after
    assert (folder / "warehouse/report.html").stat().st_mtime_ns == page


def test_tables_that_are_made_again_get_the_keys_that_they_had(spark, folder):
    config = configuration(folder)
    rebuilt = ("ingest", *(stage for stage in CHANGED if stage != "report"))
    made = {name for stage in select(rebuilt) for name in stage.writes}
    stored = {name for name in made if (folder / "warehouse" / name).exists()}
    assert len(stored) > 20, "the earlier version had most of these tables"
    for name in stored:
        shutil.rmtree(folder / "warehouse" / name)
    reports = run_all(spark, config, rebuilt)
    assert {report.stage for report in reports if report.did_nothing} == set()
    assert portable(keys(spark, config)) == portable(recorded()["tables"])
