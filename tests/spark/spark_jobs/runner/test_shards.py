"""The sharded runner, on a stage that only measures caption lengths: what is pending, kept, done again."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType

from schemas import samples, stage_runs
from schemas._table import column, sample_table
from spark_jobs.config import load_config
from spark_jobs.errors import StageError, WarehouseError
from spark_jobs.runner.pending import Input, ShardWork, input_shards
from spark_jobs.runner.shards import run_shards
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from tests.table_rows import filled, put_rows

LENGTHS = sample_table(
    "caption_lengths", "one caption's length", [column("length", IntegerType(), "Characters")]
)


def put_samples(spark, config, captions):
    """Write `samples` from {shard: [caption, ...]}."""
    rows = [
        filled(
            samples.TABLE,
            shard_id=shard,
            sample_id=f"{shard}-{n}",
            source_key=str(n),
            caption=caption,
            run_key="s",
        )
        for shard, texts in captions.items()
        for n, caption in enumerate(texts)
    ]
    put_rows(Tables(spark, config.warehouse), samples.TABLE, rows, stage="ingest")


def measure(inputs):
    """Length of each caption; "bad" fails."""
    bad = F.col("caption") == "bad"
    return inputs.select(
        "shard_id",
        "sample_id",
        F.when(~bad, F.length("caption")).alias("length"),
        F.when(bad, "failed").otherwise("ok").alias("status"),
        F.when(bad, F.lit("it is bad")).alias("error"),
    )


def work(*, compute=measure, params=None):
    return ShardWork(
        stage="lengths",
        output=LENGTHS,
        inputs=(Input(samples.TABLE, {"caption": "caption"}),),
        params=params or {"unit": "characters"},
        compute=compute,
    )


def lengths(spark, config):
    rows = Tables(spark, config.warehouse).read(LENGTHS).collect()
    return {row["sample_id"]: (row["length"], row["status"]) for row in rows}


def versions(spark, config):
    return Tables(spark, config.warehouse).version(LENGTHS)


@pytest.fixture
def corpus(spark, config):
    captions = {"a": ["one", "three"], "b": ["two"], "c": ["bad", "four"]}
    put_samples(spark, config, captions)
    return captions


def test_one_row_out_per_sample_in_with_its_status(spark, config, corpus):
    report = run_shards(spark, config, work())
    assert lengths(spark, config) == {
        "a-0": (3, "ok"),
        "a-1": (5, "ok"),
        "b-0": (3, "ok"),
        "c-0": (None, "failed"),
        "c-1": (4, "ok"),
    }
    assert (report.rows, report.failed, report.shards_done, report.shards_kept) == (5, 1, 3, 0)


def test_nothing_pending_writes_nothing(spark, config, corpus):
    run_shards(spark, config, work())
    before = versions(spark, config)
    report = run_shards(spark, config, work())
    assert report.did_nothing
    assert report.shards_kept == 3
    assert versions(spark, config) == before


def test_a_changed_shard_is_done_again_and_no_other(spark, config, corpus):
    run_shards(spark, config, work())
    put_samples(spark, config, {**corpus, "b": ["changed"]})
    report = run_shards(spark, config, work())
    assert (report.shards_done, report.shards_kept) == (1, 2)
    assert lengths(spark, config)["b-0"] == (7, "ok")


def test_rewriting_the_same_input_leaves_nothing_pending(spark, config, corpus):
    run_shards(spark, config, work())
    put_samples(spark, config, corpus)
    assert run_shards(spark, config, work()).did_nothing


def test_other_parameters_live_beside_the_first(spark, config, corpus):
    first = run_shards(spark, config, work()).run_keys[LENGTHS.name]
    second = run_shards(spark, config, work(params={"unit": "words"})).run_keys[LENGTHS.name]
    rows = Tables(spark, config.warehouse).read(LENGTHS).groupBy("run_key").count().collect()
    assert {row["run_key"]: row["count"] for row in rows} == {first: 5, second: 5}
    assert first != second


def test_going_back_to_the_first_parameters_makes_them_current_without_work(spark, config, corpus):
    first = run_shards(spark, config, work()).run_keys[LENGTHS.name]
    run_shards(spark, config, work(params={"unit": "words"}))
    report = run_shards(spark, config, work())
    assert report.rows == 0
    assert current_run_keys(Tables(spark, config.warehouse))["test", LENGTHS.name] == first


def test_a_limit_takes_the_same_shards_each_time_and_the_rest_follows(spark, config, corpus):
    limited = config.model_copy(update={"limit": 1})
    first = run_shards(spark, limited, work())
    assert (first.shards_done, run_shards(spark, limited, work()).did_nothing) == (1, True)
    report = run_shards(spark, config, work())
    assert (report.shards_done, report.shards_kept) == (2, 1)
    assert len(lengths(spark, config)) == 5


def test_retrying_keeps_good_rows_and_does_failed_ones_again(spark, config, corpus):
    run_shards(spark, config, work())

    def mended(inputs):
        assert inputs.count() == 1, "only the failed row is computed again"
        return measure(inputs.withColumn("caption", F.lit("mended")))

    retrying = config.model_copy(update={"retry_failed": True})
    run_shards(spark, retrying, work(compute=mended))
    after = lengths(spark, config)
    assert after["c-0"] == (6, "ok")
    assert (len(after), after["c-1"]) == (5, (4, "ok"))
    assert run_shards(spark, retrying, work()).did_nothing


def test_rows_of_vanished_shards_are_removed(spark, config, corpus):
    run_shards(spark, config, work())
    put_samples(spark, config, {"a": corpus["a"]})
    report = run_shards(spark, config, work())
    assert set(lengths(spark, config)) == {"a-0", "a-1"}
    assert "2 shard(s) whose input is gone were removed" in report.notes


def test_too_many_failures_stop_before_the_commit(spark, config, corpus):
    put_samples(spark, config, {"a": ["fine"], "z": ["bad"] * 20})
    with pytest.raises(StageError, match=r"20 of 21 samples .* failed.*max_failed_share.*it is bad"):
        run_shards(spark, config, work())
    assert lengths(spark, config) == {}


def test_an_error_in_a_later_chunk_keeps_the_finished_ones(spark, config, corpus):
    chunks = []

    def failing_later(inputs):
        chunks.append(sorted(row["shard_id"] for row in inputs.select("shard_id").distinct().collect()))
        if len(chunks) > 1:
            raise OSError("the machine died")
        return measure(inputs)

    model_like = ShardWork(**{**vars(work(compute=failing_later)), "batch_size": None})
    small_chunks = load_config(
        options={"warehouse": config.warehouse, "dataset": "test"}, overrides=("runner.first_chunk=1",)
    )
    with pytest.raises(OSError, match="machine died"):
        run_shards(spark, small_chunks, model_like)
    kept = lengths(spark, config)
    assert set(kept) == {"a-0", "a-1"}
    report = run_shards(spark, config, work())
    assert (report.shards_done, report.shards_kept) == (2, 1)
    assert len(lengths(spark, config)) == 5


def test_a_lost_row_stops_the_stage(spark, config, corpus):
    with pytest.raises(StageError, match="made 4 rows from 5 samples"):
        run_shards(spark, config, work(compute=lambda inputs: measure(inputs.where("sample_id <> 'a-0'"))))


def test_result_columns_are_checked_against_the_schema(spark, config, corpus):
    with pytest.raises(WarehouseError, match="length is double, expected int"):
        run_shards(
            spark,
            config,
            work(compute=lambda inputs: measure(inputs).withColumn("length", F.lit(1.5).cast("double"))),
        )


def test_a_dataset_that_was_never_ingested_names_the_stage_and_what_there_is(spark, config, corpus):
    other = config.model_copy(update={"dataset": "other"})
    with pytest.raises(StageError, match=r"run `parrot run ingest` first.*Datasets in the warehouse: test"):
        run_shards(spark, other, work())


def test_a_shard_that_is_being_written_is_neither_computed_nor_an_orphan(spark, config, corpus):
    both = (Input(samples.TABLE, {"caption": "caption"}), Input(LENGTHS, {"length": "length"}))
    run_shards(spark, config, work())
    tables = Tables(spark, config.warehouse)
    current = current_run_keys(tables)
    upstream = {name: current["test", name] for name in (samples.TABLE.name, LENGTHS.name)}
    put_samples(spark, config, {**corpus, "b": ["two", "and a half"]})
    found = input_shards(tables, both, dataset="test", upstream=upstream)
    assert [shard.shard_id for shard in found.ready] == ["a", "c"]
    assert found.waiting == ["b"]


def test_a_retry_is_not_judged_by_rows_that_are_stored_already(spark, config, corpus):
    put_samples(spark, config, {"a": ["fine"] * 40, "z": ["bad"] * 20})
    run_shards(spark, config, work())
    retrying = config.model_copy(update={"retry_failed": True})
    report = run_shards(spark, retrying, work())
    assert report.failed == 20
    assert len(lengths(spark, config)) == 60


def test_a_chunk_is_few_files_however_many_tasks_made_it(spark, config, corpus, tmp_path):
    run_shards(spark, config, work(compute=lambda inputs: measure(inputs.repartition(5))))
    files = list((tmp_path / "warehouse" / LENGTHS.name).rglob("*.parquet"))
    assert len(files) == 1


def test_a_failed_stage_is_logged(spark, config, corpus):
    def broken(inputs):
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        run_shards(spark, config, work(compute=broken))
    events = Tables(spark, config.warehouse).read(stage_runs.TABLE).where("stage = 'lengths'").collect()
    assert [row["event"] for row in events] == ["failed"]
