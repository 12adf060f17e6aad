from __future__ import annotations

import datetime
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql.functions import lit
from pyspark.sql.types import StructType

from schemas import caption_overlap, samples, stage_runs, stat_overall
from spark_jobs.errors import StageError, WarehouseError
from spark_jobs.runner.run_log import LogCommit, RunLog
from spark_jobs.warehouse.addresses import check_writable
from spark_jobs.warehouse.query_cache import Question
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys, publish_views, register_views
from tests.table_rows import filled, frame_of


def sample_rows(spark, shards, *, dataset="test", run_key="r1", caption="a caption"):
    """Rows of `samples`: two per shard."""
    rows = [
        filled(
            samples.TABLE,
            dataset=dataset,
            shard_id=shard,
            sample_id=f"{shard}-{n}",
            source_key=str(n),
            caption=caption,
            run_key=run_key,
        )
        for shard in shards
        for n in range(2)
    ]
    return frame_of(spark, samples.TABLE, rows)


@pytest.fixture
def tables(spark, tmp_path):
    tables = Tables(spark, str(tmp_path / "warehouse"))
    tables.create(samples.TABLE)
    return tables


def captions(tables, spec=samples.TABLE):
    return {row["sample_id"]: row["caption"] for row in tables.read(spec).collect()}


def log(tables, spec, event, *, dataset, run_key):
    entry = RunLog(tables, spec, stage="stage", dataset=dataset, run_key=run_key, params={})
    entry.add(event, seconds=0.0, shards=0, counts={})
    entry.flush()


def finish(tables, spec, *, dataset, run_key):
    log(tables, spec, "finished", dataset=dataset, run_key=run_key)


def test_tables_are_delta_with_comments_and_partitions(tables, tmp_path, spark):
    assert (tmp_path / "warehouse" / "samples" / "_delta_log").is_dir()
    detail = spark.sql(f"DESCRIBE DETAIL delta.`{tmp_path}/warehouse/samples`").collect()[0]
    assert detail["partitionColumns"] == ["dataset", "run_key"]
    comments = {
        field.name: field.metadata.get("comment") for field in tables.read(samples.TABLE).schema.fields
    }
    assert comments["caption"] == samples.TABLE.schema["caption"].metadata["comment"]


def test_replacing_shards_leaves_other_shards_datasets_and_run_keys(tables, spark):
    for dataset, run_key in (("test", "r1"), ("test", "r2"), ("other", "r1")):
        frame = sample_rows(spark, ["0", "1"], dataset=dataset, run_key=run_key)
        tables.replace(samples.TABLE, frame, dataset=dataset, run_key=run_key, shards=["0", "1"])
    new = sample_rows(spark, ["1"], caption="new")
    tables.replace(samples.TABLE, new, dataset="test", run_key="r1", shards=["1"])
    counts = {
        (row["dataset"], row["run_key"], row["shard_id"], row["caption"]): row["count"]
        for row in tables.read(samples.TABLE)
        .groupBy("dataset", "run_key", "shard_id", "caption")
        .count()
        .collect()
    }
    assert counts == {
        ("test", "r1", "0", "a caption"): 2,
        ("test", "r1", "1", "new"): 2,
        ("test", "r2", "0", "a caption"): 2,
        ("test", "r2", "1", "a caption"): 2,
        ("other", "r1", "0", "a caption"): 2,
        ("other", "r1", "1", "a caption"): 2,
    }


def test_each_replacement_is_one_version(tables, spark):
    before = tables.version(samples.TABLE)
    for expected in (1, 2):
        frame = sample_rows(spark, ["0"])
        version = tables.replace(samples.TABLE, frame, dataset="test", run_key="r1", shards=["0"])
        assert version == before + expected
    history = tables.delta(samples.TABLE).history(1).collect()[0]["version"]
    assert tables.version(samples.TABLE) == history


def test_quotes_in_shard_ids_are_data(tables, spark):
    shard = 'it\'s \\ "odd"'
    frame = sample_rows(spark, [shard])
    tables.replace(samples.TABLE, frame, dataset="test", run_key="r1", shards=[shard])
    tables.replace(samples.TABLE, frame, dataset="test", run_key="r1", shards=[shard])
    assert tables.read(samples.TABLE).count() == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop("caption"), r"missing caption \(string\)"),
        (lambda frame: frame.withColumn("extra", frame["width"]), "not in the schema: extra"),
        (lambda frame: frame.withColumn("width", frame["caption"]), "width is string, expected int"),
    ],
    ids=["missing", "extra", "mistyped"],
)
def test_rows_that_do_not_fit_the_schema_are_refused(tables, spark, change, message):
    with pytest.raises(WarehouseError, match=message):
        tables.replace(
            samples.TABLE, change(sample_rows(spark, ["0"])), dataset="test", run_key="r1", shards=["0"]
        )


def test_a_table_of_another_schema_is_refused(spark, tmp_path):
    tables = Tables(spark, str(tmp_path))
    spark.range(1).write.format("delta").save(str(tmp_path / "samples"))
    with pytest.raises(WarehouseError, match="does not fit table samples: not in the schema: id"):
        tables.create(samples.TABLE)


def test_a_missing_table_names_the_stage_that_makes_it(tables):
    with pytest.raises(StageError, match="run `parrot run overlap` first"):
        tables.read(caption_overlap.TABLE)


def test_views_show_the_run_key_that_finished_last(tables, spark):
    for run_key in ("r1", "r2"):
        frame = sample_rows(spark, ["0"], run_key=run_key, caption=run_key)
        tables.replace(samples.TABLE, frame, dataset="test", run_key=run_key, shards=["0"])
        finish(tables, samples.TABLE, dataset="test", run_key=run_key)
    finish(tables, samples.TABLE, dataset="test", run_key="r1")
    names = register_views(tables)
    assert {"samples", "samples_all", "stage_runs"} <= set(names)
    assert {row["caption"] for row in spark.sql("SELECT caption FROM samples").collect()} == {"r1"}
    assert spark.sql("SELECT * FROM samples_all").count() == 4


def test_without_a_log_a_single_run_key_is_current(tables, spark):
    tables.replace(samples.TABLE, sample_rows(spark, ["0"]), dataset="test", run_key="r1", shards=["0"])
    assert current_run_keys(tables) == {("test", "samples"): "r1"}


def test_what_was_only_begun_is_not_current_whatever_other_datasets_have(tables, spark):
    begun = sample_rows(spark, ["0"])
    tables.replace(samples.TABLE, begun, dataset="test", run_key="r1", shards=["0"])
    log(tables, samples.TABLE, "failed", dataset="test", run_key="r1")
    assert current_run_keys(tables) == {}
    finish(tables, samples.TABLE, dataset="other", run_key="r1")
    assert current_run_keys(tables) == {("other", "samples"): "r1"}
    finish(tables, samples.TABLE, dataset="test", run_key="r1")
    log(tables, samples.TABLE, "failed", dataset="test", run_key="r2")
    assert current_run_keys(tables) == {("other", "samples"): "r1", ("test", "samples"): "r1"}


def test_a_second_writer_of_the_same_rows_stops(tables, spark, tmp_path):
    other = Tables(spark, str(tmp_path / "warehouse"))
    with (
        tables.writing(samples.TABLE, dataset="test", run_key="r1"),
        other.writing(samples.TABLE, dataset="test", run_key="r2"),
        pytest.raises(StageError, match="another run is writing samples of dataset test"),
        other.writing(samples.TABLE, dataset="test", run_key="r1"),
    ):
        pytest.fail("the second writer got in")
    with other.writing(samples.TABLE, dataset="test", run_key="r1"):
        pass


def test_a_catalog_holds_name_all_and_the_current_rows_by_name(spark):
    spark.sql("CREATE DATABASE IF NOT EXISTS parrot_test")
    try:
        tables = Tables(spark, "spark_catalog.parrot_test")
        tables.create(samples.TABLE)
        tables.replace(samples.TABLE, sample_rows(spark, ["0"]), dataset="test", run_key="r1", shards=["0"])
        tables.replace(samples.TABLE, sample_rows(spark, ["0"]), dataset="test", run_key="r1", shards=["0"])
        assert spark.table("spark_catalog.parrot_test.samples_all").count() == 2
        assert captions(tables) == {"0-0": "a caption", "0-1": "a caption"}
        publish_views(tables)
        assert spark.table("spark_catalog.parrot_test.samples").count() == 2
        people = spark.table("spark_catalog.parrot_test.sample_profile")
        assert {row["caption"] for row in people.select("caption").collect()} == {"a caption"}
        described = spark.sql("DESCRIBE spark_catalog.parrot_test.sample_profile").collect()
        assert {row["col_name"]: row["comment"] for row in described}["host"].startswith("Host of the URL")
        assert spark.table("spark_catalog.parrot_test.parrot_captions").count() == 0
        frame = sample_rows(spark, ["0"], run_key="r2", caption="newer")
        tables.replace(samples.TABLE, frame, dataset="test", run_key="r2", shards=["0"])
        for run_key in ("r1", "r2"):
            finish(tables, samples.TABLE, dataset="test", run_key=run_key)
        publish_views(tables)
        newest = spark.table("spark_catalog.parrot_test.samples").select("caption").distinct().collect()
        assert [row["caption"] for row in newest] == ["newer"]
        assert spark.table("spark_catalog.parrot_test.samples_all").count() == 4
    finally:
        spark.sql("DROP DATABASE parrot_test CASCADE")


def test_the_log_keeps_what_ran(tables):
    finish(tables, stat_overall.TABLE, dataset="test", run_key="r9")
    (row,) = tables.read(stage_runs.TABLE).collect()
    assert (row["event"], row["table_name"], row["run_key"]) == ("finished", "stat_overall", "r9")
    age = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - row["started_at"]
    assert abs(age) < datetime.timedelta(minutes=5)


def test_logs_of_one_commit_are_one_version_also_after_an_error(tables):
    tables.create(stat_overall.TABLE)

    def log_two(*, fails):
        with LogCommit(tables) as commit:
            for spec in (stat_overall.TABLE, samples.TABLE):
                log = RunLog(commit, spec, stage="stage", dataset="test", run_key="r1", params={})
                log.add("finished", seconds=0.0, shards=0, counts={})
            if fails:
                raise StageError("the third one fails")

    log_two(fails=False)
    version = tables.version(stage_runs.TABLE)
    with pytest.raises(StageError, match="the third one"):
        log_two(fails=True)
    assert tables.version(stage_runs.TABLE) == version + 1
    assert tables.read(stage_runs.TABLE).count() == 4
    assert current_run_keys(tables) == {("test", "stat_overall"): "r1", ("test", "samples"): "r1"}


def test_a_table_is_asked_again_only_when_it_has_changed(tables, spark, tmp_path):
    asked = []

    def answer(of=tables, run_key="r1"):
        def ask():
            asked.append(run_key)
            return [(run_key, of.read(samples.TABLE, run_key=run_key).count())]

        return of.answer(samples.TABLE, Question("rows", version=1).of(run_key=run_key), ask)

    assert [answer(), answer(), answer(Tables(spark, tables.warehouse))] == [[["r1", 0]]] * 3
    assert answer(run_key="r2") == [["r2", 0]]
    assert asked == ["r1", "r2"]
    tables.replace(samples.TABLE, sample_rows(spark, ["0"]), dataset="test", run_key="r1")
    assert answer() == [["r1", 2]]
    # Another table in the same place is another one, whatever its version.
    version = tables.version(samples.TABLE)
    shutil.rmtree(tables.location(samples.TABLE))
    fresh = Tables(spark, tables.warehouse)
    fresh.create(samples.TABLE)
    fresh.replace(samples.TABLE, sample_rows(spark, ["0", "1"]), dataset="test", run_key="r1")
    assert fresh.version(samples.TABLE) == version
    assert answer(fresh) == [["r1", 4]]
    assert asked == ["r1", "r2", "r1", "r1"]


def test_what_another_session_finished_is_seen(tables, spark):
    other = Tables(spark, tables.warehouse)
    for run_key in ("r1", "r2"):
        finish(other, samples.TABLE, dataset="test", run_key=run_key)
        assert current_run_keys(tables) == {("test", "samples"): run_key}


def test_a_deleted_table_is_not_current_whatever_the_log_says(tables, spark, tmp_path):
    finish(tables, samples.TABLE, dataset="test", run_key="r1")
    shutil.rmtree(tmp_path / "warehouse" / "samples")
    assert current_run_keys(Tables(spark, tables.warehouse)) == {}


def test_a_warehouse_that_cannot_be_written_is_said_before_work(tmp_path):
    blocker = Path(tmp_path / "file")
    blocker.write_text("not a folder")
    with pytest.raises(WarehouseError, match=r"cannot write the warehouse .*--warehouse DIR"):
        check_writable(str(blocker / "warehouse"))


def test_columns_that_an_older_version_did_not_know(tables, spark):
    """Its rows are read as they are, refused where the column is needed, and kept beside new ones."""
    spec = samples.TABLE
    older = replace(spec, schema=StructType([field for field in spec.schema.fields if field.name != "url"]))
    old = Tables(spark, f"{tables.warehouse}-old")
    old.create(older)
    rows = sample_rows(spark, ["0"])
    old.replace(older, rows.drop("url"), dataset="test", run_key="r1")
    assert old.read(spec).count() == 2
    with pytest.raises(WarehouseError, match=r"older version: it lacks url\. `parrot run ingest`"):
        old.read(spec, dataset="test", whole=True)
    old.create(spec)
    old.create(spec)
    old.replace(spec, rows.withColumn("run_key", lit("r2")), dataset="test", run_key="r2")
    found = Tables(spark, old.warehouse).read(spec, whole=True)
    assert sorted(row["run_key"] for row in found.collect()) == ["r1", "r1", "r2", "r2"]
    comments = {field.name: field.metadata.get("comment") for field in found.schema.fields}
    assert comments["url"] == spec.schema["url"].metadata["comment"]
    with pytest.raises(WarehouseError, match="not in the schema: url"):
        old.create(older)
