from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from spark_jobs.errors import StageError
from spark_jobs.runner.image_work import gpu_profile
from spark_jobs.runner.slices import slice_frame

COLUMNS = "shard_id string, sample_id string, image_uri string, image_offset long, image_row long"


def frame(spark, samples_by_shard):
    rows = [
        (shard, f"{shard}-{n}", f"/data/{shard}.tar", n * 1000, None)
        for shard, samples in samples_by_shard.items()
        for n in range(samples)
    ]
    return spark.createDataFrame(list(reversed(rows)), COLUMNS).repartition(7)


def sliced(spark, samples_by_shard, *, slices=4):
    cut = slice_frame(frame(spark, samples_by_shard), batch_size=4, slice_batches=2, slices=slices)
    return [[(row["sample_id"], row["batch"]) for row in part] for part in cut.rdd.glom().collect()]


def test_batches_follow_the_storage_order_within_the_shard(spark):
    batches = dict(pair for part in sliced(spark, {"a": 10, "b": 3}) for pair in part)
    assert batches == {f"a-{n}": n // 4 for n in range(10)} | {f"b-{n}": 0 for n in range(3)}


@pytest.mark.parametrize("slices", [1, 3, 50])
def test_a_batch_is_never_torn_apart_and_stays_in_order(spark, slices):
    seen = {}
    for place, part in enumerate(sliced(spark, {"a": 21, "b": 9}, slices=slices)):
        offsets = [(sample[0], int(sample.split("-")[1])) for sample, _ in part]
        assert offsets == sorted(offsets)
        for sample, batch in part:
            assert seen.setdefault((sample[0], batch), place) == place
    assert len(seen) == 6 + 3


def test_many_small_slices_make_many_tasks(spark):
    parts = sliced(spark, {"a": 64}, slices=8)
    assert len(parts) == 8
    assert sum(bool(part) for part in parts) >= 6


def test_a_local_spark_gives_no_gpus_and_says_so(spark):
    assert gpu_profile(0) is None
    first = "local Spark schedules no GPUs" if spark.version >= "4" else "needs Spark 4"
    with pytest.raises(StageError, match=first):
        gpu_profile(1)


def test_a_spark_without_stage_profiles_says_what_to_do(spark, monkeypatch):
    def map_in_arrow_of_3_5(self, func, schema, barrier=False):
        raise AssertionError("not called")

    monkeypatch.setattr("pyspark.sql.DataFrame.mapInArrow", map_in_arrow_of_3_5)
    with pytest.raises(StageError, match=r"needs Spark 4.*spark.task.resource.gpu.amount"):
        gpu_profile(0.5)


def test_input_rows_keep_their_columns(spark):
    cut = slice_frame(
        frame(spark, {"a": 2}).withColumn("caption", F.lit("c")), batch_size=4, slice_batches=2, slices=1
    )
    assert set(cut.columns) == {
        "shard_id",
        "sample_id",
        "image_uri",
        "image_offset",
        "image_row",
        "caption",
        "batch",
    }
