"""A warehouse that an earlier version wrote is read and continued: equal keys, nothing done again."""

from __future__ import annotations

import shutil

import pytest

from spark_jobs.pipeline import select
from tests.golden.warehouse import (
    STAGES,
    configuration,
    images_in_store,
    keys,
    recorded,
    run_all,
    unpacked,
    versions,
)

pytest.importorskip("moto.server", reason="the extra `dev` is not installed")
pytest.importorskip("s3fs", reason="the extra `s3` is not installed")

# Tables that follow from the others without a model.
REBUILT = ("ingest", "overlap", "ngrams", "statistics", "curate")


@pytest.fixture
def folder(tmp_path, monkeypatch, spark):
    with images_in_store(unpacked(tmp_path), monkeypatch, spark):
        yield tmp_path


def test_a_run_over_an_earlier_versions_warehouse_does_nothing(spark, folder):
    config = configuration(folder)
    before, page = versions(spark, config), (folder / "warehouse/report.html").stat().st_mtime_ns
    assert len(before) > 25
    reports = run_all(spark, config)
    assert {report.stage for report in reports if not report.did_nothing} == set()
    assert versions(spark, config) == before
    assert (folder / "warehouse/report.html").stat().st_mtime_ns == page
    assert {report.stage: report.run_keys for report in reports} == recorded()["stages"]
    assert [report.stage for report in reports] == list(STAGES)


def test_tables_that_are_made_again_get_the_keys_that_they_had(spark, folder):
    config = configuration(folder)
    assert keys(spark, config) == recorded()["tables"]
    made = {name for stage in select(REBUILT) for name in stage.writes}
    for name in made:
        shutil.rmtree(folder / "warehouse" / name)
    reports = run_all(spark, config, REBUILT)
    assert {report.stage for report in reports if report.did_nothing} == set()
    assert keys(spark, config) == recorded()["tables"]
