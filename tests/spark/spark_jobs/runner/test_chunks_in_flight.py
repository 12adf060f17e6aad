"""Chunks of a stage in flight on Spark: they run at once, and are committed one by one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from schemas import stage_runs
from spark_jobs.config import load_config
from spark_jobs.errors import StageError
from spark_jobs.runner.shards import run_shards
from spark_jobs.warehouse.tables import Tables
from tests.spark.spark_jobs.runner.test_shards import LENGTHS, lengths, measure, put_samples, work

_PATIENCE_SECONDS = 60


@pytest.fixture
def corpus(spark, config):
    put_samples(spark, config, {"a": ["one"], "b": ["three"], "c": ["seven", "ten"]})


def of_single_shards(config, in_flight, *settings):
    """The configuration with a shard a chunk."""
    return load_config(
        options={"warehouse": config.warehouse, "dataset": "test"},
        overrides=("runner.first_chunk=1", f"runner.chunks_in_flight={in_flight}", *settings),
    )


def per_caption(does):
    """A stage that does something in a worker with each sample's shard, and returns the caption to be measured."""

    def compute(inputs):
        asked = F.udf(does, "string")
        return measure(inputs.withColumn("caption", asked("shard_id", "caption")))

    return work(compute=compute)


def meeting(folder):
    """Both `a` and `b` leave a mark, and wait for the other's."""

    def does(shard, caption):
        marks = {"a": "b", "b": "a"}
        if shard in marks:
            Path(folder, shard).touch()
            end = time.monotonic() + _PATIENCE_SECONDS
            while not Path(folder, marks[shard]).exists():
                if time.monotonic() > end:
                    return "bad"
                time.sleep(0.05)
        return caption

    return does


def test_a_chunk_is_computed_while_the_one_before_is(spark, config, corpus, tmp_path):
    report = run_shards(spark, of_single_shards(config, 2), per_caption(meeting(str(tmp_path))))
    assert (report.failed, report.shards_done) == (0, 3)
    commits = Tables(spark, config.warehouse).read(stage_runs.TABLE).where("event = 'chunk'").collect()
    assert len(commits) == 3
    assert len({row["table_version"] for row in commits}) == 3
    assert 0 < sum(row["seconds"] for row in commits) <= report.seconds


def test_rows_do_not_depend_on_the_chunks_in_flight(spark, config, corpus):
    found = []
    for in_flight in (1, 2, 3):
        each = work(params={"in_flight": in_flight})
        report = run_shards(spark, of_single_shards(config, in_flight), each)
        rows = Tables(spark, config.warehouse).read(
            LENGTHS, dataset="test", run_key=report.run_keys[LENGTHS.name]
        )
        found.append(sorted(tuple(row) for row in rows.drop("run_key").collect()))
    assert len(found[0]) == 4
    assert found[0] == found[1] == found[2]


def test_a_chunk_that_fails_ends_the_next_one(spark, config, corpus, tmp_path):
    mark = tmp_path / "c ran"

    def does(shard, caption):
        if shard == "a":
            return caption
        if shard == "b":  # fails once the next one runs
            end = time.monotonic() + _PATIENCE_SECONDS
            while not mark.exists() and time.monotonic() < end:
                time.sleep(0.05)
            return "bad"
        if caption == "seven":  # two that slept could take both cores before `b` has begun
            mark.touch()
            time.sleep(10 * _PATIENCE_SECONDS)
        return caption

    settings = ("runner.max_failed_share=0.1", "runner.min_failed_rows=1")
    started = time.monotonic()
    with pytest.raises(StageError, match="1 of 1 samples of a chunk failed"):
        run_shards(spark, of_single_shards(config, 2, *settings), per_caption(does))
    assert mark.exists()
    assert set(lengths(spark, config)) == {"a-0"}
    while running := spark.sparkContext.statusTracker().getActiveJobsIds():
        assert time.monotonic() - started < 5 * _PATIENCE_SECONDS, f"still running: {running}"
        time.sleep(0.1)


def test_what_was_computed_before_an_error_is_kept(spark, config, corpus):
    def does(shard, caption):
        if shard == "b":
            raise OSError("the machine died")
        return caption

    with pytest.raises(Exception, match="the machine died"):
        run_shards(spark, of_single_shards(config, 2), per_caption(does))
    assert set(lengths(spark, config)) == {"a-0"}
