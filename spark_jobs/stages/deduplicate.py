"""Stage `deduplicate`: near-duplicate images inside each cluster, by SemDeDup's rule (arXiv 2303.09540).

A pair is a duplicate where the cosine of its CLIP image vectors is above 1 - epsilon. A cluster's members are
ordered by their distance to the centroid, farthest first (SemDeDup's "keep hard"; ties by sample_id), and each that
is a duplicate of an earlier one is marked. Any new shard can change the rows of all others, so the stage works on
whole tables: done again where their content has changed, in one atomic commit.

Vectors pass a shuffle here, as nowhere else (2 kB a sample at 512 dimensions, twice where the assignments are too
many to broadcast): members of a cluster come from every shard and must meet in one worker. There they stream by in
order, so that only their sample ids (some 100 bytes each) grow with the cluster beyond `deduplicate.memory_mb`. A
cluster is one task's: a million members take 2.6e14 multiplications; more clusters (`cluster.k`) make it less.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from schemas import clip_embeddings, cluster_assignments, near_duplicates
from schemas._table import KEY_COLUMNS
from spark_jobs.clip_models import is_random
from spark_jobs.errors import StageError
from spark_jobs.runner.pending import Input, run_key_of, upstream_of
from spark_jobs.runner.stage import StageContract, check_dataset, need, plan_whole
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.whole_tables import Making, TableWork, run_whole
from spark_jobs.session import task_slots
from spark_jobs.stages.cluster import assignment
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from udfs.duplicate_rows import compare_rows

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from spark_jobs.config import RunConfig
    from spark_jobs.sections import DeduplicateConfig

OUTPUT = near_duplicates.TABLE
_READS = (Input(clip_embeddings.TABLE, {}), Input(cluster_assignments.TABLE, {}))
_RULE_VERSION = 1  # changes when the same vectors and settings must give other rows
_ROWS_PER_TASK = 100_000
_TASKS_PER_SLOT = 4  # clusters differ in size


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Mark the near-duplicates of a dataset; nothing where its vectors and clusters are those of the last time.

    Raises:
        StageError: If vectors or clusters are missing, or the clusters are of other vectors.
    """
    started = time.monotonic()
    tables = Tables(spark, config.warehouse)
    dataset = config.dataset_name
    report = StageReport(stage="deduplicate", dataset=dataset)
    upstream = upstream_of(current_run_keys(tables), dataset, _READS)
    embeddings, assignments = (
        tables.read(item.spec, dataset=dataset, run_key=upstream[item.spec.name]) for item in _READS
    )
    _check_clusters(assignments, upstream, dataset)
    report.notes += _notes(embeddings)
    run_whole(tables, config.runner, (_work(upstream, config.deduplicate),), report=report)
    report.seconds = time.monotonic() - started
    return report


def _work(upstream: Mapping[str, str], settings: DeduplicateConfig) -> TableWork:
    def compute(making: Making) -> None:
        from pyspark.sql import functions as F

        embeddings, assignments = (making.read(item.spec) for item in _READS)
        frame = compared(embeddings, assignments, settings)
        counts = making.write(OUTPUT, frame, sums={"duplicates": F.count_if("is_duplicate")})
        making.report.results["duplicates"] = float(counts.sums["duplicates"])
        if counts.ok:
            making.report.results["share_duplicates"] = counts.sums["duplicates"] / counts.ok

    return TableWork(
        stage="deduplicate",
        outputs=(OUTPUT,),
        reads=upstream,
        params={"epsilon": settings.epsilon, "keep": settings.keep, "rule": _RULE_VERSION},
        compute=compute,
        failure="image vectors are zero or not finite",
        advice="Embed again, in another embed.precision",
    )


def compared(embeddings: DataFrame, assignments: DataFrame, settings: DeduplicateConfig) -> DataFrame:
    """One row per row of `embeddings`: what of it is in `near_duplicates`, without dataset and provenance.

    Args:
        embeddings: Rows of `clip_embeddings` of one dataset and run key.
        assignments: Rows of `cluster_assignments` of the same vectors.
        settings: The threshold, which member is kept, and the memory.
    """
    from pyspark.sql import functions as F

    size = assignments.agg(F.count("*").alias("rows"), F.max("cluster").alias("last")).collect()[0]
    slots = task_slots(embeddings.sparkSession)
    tasks = max(slots * _TASKS_PER_SLOT, math.ceil(size["rows"] / _ROWS_PER_TASK))
    tasks = max(1, min(tasks, 1 + (size["last"] or 0)))
    has_vector = F.expr("embed_status = 'ok' AND image_vector IS NOT NULL")
    rows = (
        embeddings.selectExpr(*KEY_COLUMNS, "image_vector", "status AS embed_status", "error AS embed_error")
        .join(
            assignments.selectExpr(*KEY_COLUMNS, "cluster", "distance", "error AS cluster_error"),
            list(KEY_COLUMNS),
            "left",
        )
        .withColumn("cluster", F.when(has_vector, F.col("cluster")))
        .select(*KEY_COLUMNS, "cluster", "distance", "image_vector", _reason(has_vector))
    )
    farthest_first = F.col("distance").desc() if settings.keep == "hard" else F.col("distance").asc()
    # Rows without a cluster are spread; all in one task they could be most of the dataset.
    place = F.coalesce("cluster", F.pmod(F.xxhash64("sample_id"), F.lit(tasks)).cast("int"))
    compare = functools.partial(
        compare_rows, epsilon=settings.epsilon, memory_bytes=settings.memory_mb * 2**20
    )
    return (
        rows.repartition(tasks, place)
        .sortWithinPartitions("cluster", farthest_first, "sample_id")
        .mapInArrow(compare, OUTPUT.worker_schema())
    )


def _reason(has_vector: Column) -> Column:
    """Why a sample without a cluster is skipped."""
    from pyspark.sql import functions as F

    embed = F.concat(F.lit("embed: "), F.coalesce("embed_error", F.lit("no image vector")))
    cluster = F.concat(
        F.lit("cluster: "), F.coalesce("cluster_error", F.lit("the sample has no cluster yet"))
    )
    return F.when(has_vector, cluster).otherwise(embed).alias("reason")


def _check_clusters(assignments: DataFrame, upstream: Mapping[str, str], dataset: str) -> None:
    """Refuse clusters of vectors that are no longer the current ones."""
    embeddings = clip_embeddings.TABLE.name
    rows = assignments.select("model_version").limit(1).collect()
    work = replace(assignment(None), params={"model": rows[0]["model_version"] if rows else None})
    made_of_these = run_key_of(work, {embeddings: upstream[embeddings]})
    if made_of_these != upstream[cluster_assignments.TABLE.name]:
        raise StageError(
            f"deduplicate: the clusters of dataset {dataset} are of other image vectors than the current ones "
            "(another CLIP model was used since): run `parrot run cluster` first"
        )


def _notes(embeddings: DataFrame) -> list[str]:
    rows = embeddings.select("model").limit(1).collect()
    if not rows:
        return []
    model = rows[0]["model"]
    if not is_random(model):
        return [f"cosines of the image vectors of {model}"]
    return [
        f"{model} has random weights: nearly all images are near-duplicates to it. Embed with a real model"
    ]


STAGE = StageContract(run, check_dataset, need(*_READS), plan_whole)
