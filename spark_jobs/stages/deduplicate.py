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

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from schemas import clip_embeddings, cluster_assignments, near_duplicates
from spark_jobs import tracking
from spark_jobs.errors import StageError
from spark_jobs.runner.hash_sample import matrix_of
from spark_jobs.runner.pending import Input, output_shards, run_key_of, upstream_of
from spark_jobs.runner.run_log import RunLog
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.statistics import content_key
from spark_jobs.stages.cluster import assignment
from spark_jobs.stages.embed import model_notes
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession

    from spark_jobs.config import RunConfig
    from spark_jobs.sections import DeduplicateConfig, RunnerConfig

OUTPUT = near_duplicates.TABLE
_READS = (Input(clip_embeddings.TABLE, {}), Input(cluster_assignments.TABLE, {}))
_RULE_VERSION = 1  # changes when the same vectors and settings must give other rows
_ROWS_PER_TASK = 100_000
_TASKS_PER_CORE = 4  # clusters differ in size
_ROWS_PER_FILE = 500_000
_COMPARED = (
    "shard_id string, sample_id string, cluster int, is_duplicate boolean, duplicate_of string, "
    "similarity double, status string, error string"
)


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Mark the near-duplicates of a dataset; nothing where its vectors and clusters are those of the last time.

    Raises:
        StageError: If vectors or clusters are missing, or the clusters are of other vectors.
    """
    started = time.monotonic()
    tables = Tables(spark, config.warehouse)
    dataset = config.dataset_name
    report = StageReport(stage="deduplicate", dataset=dataset)
    current = current_run_keys(tables)
    upstream = upstream_of(current, dataset, _READS)
    embeddings, assignments = (
        tables.read(item.spec, dataset=dataset, run_key=upstream[item.spec.name]) for item in _READS
    )
    _check_clusters(assignments, upstream, dataset)
    settings = config.deduplicate
    params = {"epsilon": settings.epsilon, "keep": settings.keep, "rule": _RULE_VERSION}
    run_key = digest({"stage": report.stage, "params": params, "reads": upstream})
    report.run_keys[OUTPUT.name] = run_key
    report.versions_read = {item.spec.name: tables.version(item.spec) for item in _READS}
    report.notes += _notes(embeddings)
    with tables.writing(OUTPUT, dataset=dataset, run_key=run_key):
        input_key = content_key(tables, dataset, upstream)
        done = {key for key, _ in output_shards(tables, OUTPUT, dataset, run_key).values()}
        if done != {input_key}:
            tables.create(OUTPUT)
            frame = compared(embeddings, assignments, settings)
            _write(tables, frame, config.runner, report, input_key=input_key)
        elif current.get((dataset, OUTPUT.name)) == run_key:
            report.seconds = time.monotonic() - started
            return report
    report.seconds = time.monotonic() - started
    log = RunLog(
        tables,
        OUTPUT,
        stage=report.stage,
        dataset=dataset,
        run_key=run_key,
        params={"params": params, "reads": upstream},
    )
    counts = {"rows": report.rows, "failed": report.failed, "skipped": report.skipped}
    log.add("finished", seconds=report.seconds, shards=0, counts=counts)
    return report


def compared(embeddings: DataFrame, assignments: DataFrame, settings: DeduplicateConfig) -> DataFrame:
    """One row per row of `embeddings`: what of it is in `near_duplicates`, without dataset and provenance.

    Args:
        embeddings: Rows of `clip_embeddings` of one dataset and run key.
        assignments: Rows of `cluster_assignments` of the same vectors.
        settings: The threshold, which member is kept, and the memory.
    """
    from pyspark.sql import functions as F

    size = assignments.agg(F.count("*").alias("rows"), F.max("cluster").alias("last")).collect()[0]
    cores = embeddings.sparkSession.sparkContext.defaultParallelism
    tasks = max(cores * _TASKS_PER_CORE, math.ceil(size["rows"] / _ROWS_PER_TASK))
    tasks = max(1, min(tasks, 1 + (size["last"] or 0)))
    has_vector = F.expr("embed_status = 'ok' AND image_vector IS NOT NULL")
    rows = (
        embeddings.selectExpr(
            "shard_id", "sample_id", "image_vector", "status AS embed_status", "error AS embed_error"
        )
        .join(
            assignments.selectExpr("shard_id", "sample_id", "cluster", "distance", "error AS cluster_error"),
            ["shard_id", "sample_id"],
            "left",
        )
        .withColumn("cluster", F.when(has_vector, F.col("cluster")))
        .select("shard_id", "sample_id", "cluster", "distance", "image_vector", _reason(has_vector))
    )
    farthest_first = F.col("distance").desc() if settings.keep == "hard" else F.col("distance").asc()
    # Rows without a cluster are spread; all in one task they could be most of the dataset.
    place = F.coalesce("cluster", F.pmod(F.xxhash64("sample_id"), F.lit(tasks)).cast("int"))
    return (
        rows.repartition(tasks, place)
        .sortWithinPartitions("cluster", farthest_first, "sample_id")
        .mapInArrow(_comparer(settings), _COMPARED)
    )


def _reason(has_vector: Column) -> Column:
    """Why a sample without a cluster is skipped."""
    from pyspark.sql import functions as F

    embed = F.concat(F.lit("embed: "), F.coalesce("embed_error", F.lit("no image vector")))
    cluster = F.concat(
        F.lit("cluster: "), F.coalesce("cluster_error", F.lit("the sample has no cluster yet"))
    )
    return F.when(has_vector, cluster).otherwise(embed).alias("reason")


def _comparer(
    settings: DeduplicateConfig,
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    epsilon, memory_bytes = settings.epsilon, settings.memory_mb * 2**20

    def compare(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import numpy as np

        from udfs.deduplication import EarlierMembers

        last: int | None = None
        members, ids = EarlierMembers(memory_bytes=memory_bytes), list[str]()
        for batch in batches:
            clusters = batch.column("cluster").fill_null(-1).to_numpy()
            cuts = [0, *(np.flatnonzero(np.diff(clusters)) + 1).tolist(), batch.num_rows]
            for first, end in itertools.pairwise(cuts):
                if first == end:
                    continue
                part = batch.slice(first, end - first)
                cluster = int(clusters[first])
                if cluster < 0:
                    yield _skipped(part)
                    continue
                if cluster != last:  # a cluster may go on in the next batch
                    members, ids, last = EarlierMembers(memory_bytes=memory_bytes), [], cluster
                yield _of_one_cluster(part, members, ids, epsilon=epsilon)

    return compare


def _of_one_cluster(batch: pa.RecordBatch, members: Any, ids: list[str], *, epsilon: float) -> pa.RecordBatch:
    """Rows of a run of members of one cluster; they join `members` and `ids`."""
    import numpy as np
    import pyarrow as pa

    from udfs.deduplication import is_duplicate, usable

    vectors = matrix_of(batch.column("image_vector"))
    good = usable(vectors)
    ids += batch.column("sample_id").filter(pa.array(good)).to_pylist()
    nearest, similarity = members.compare_and_add(vectors[good])
    duplicate = is_duplicate(similarity, epsilon)
    rows = np.flatnonzero(good)
    all_similarity = np.full(len(good), np.nan)
    all_similarity[rows] = similarity
    marked = np.zeros(len(good), bool)
    marked[rows] = duplicate
    duplicate_of: list[str | None] = [None] * len(good)
    for row, earlier in zip(rows[duplicate].tolist(), nearest[duplicate].tolist(), strict=True):
        duplicate_of[row] = ids[earlier]
    return _record(
        batch,
        pa.array(marked, mask=~good),
        pa.array(duplicate_of, pa.string()),
        pa.array(all_similarity, mask=np.isnan(all_similarity)),
        ["ok" if one else "failed" for one in good],
        pa.array([None if one else "the image vector is zero or not finite" for one in good], pa.string()),
    )


def _skipped(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    rows = batch.num_rows
    nulls = (pa.nulls(rows, kind) for kind in (pa.bool_(), pa.string(), pa.float64()))
    return _record(batch, *nulls, ["skipped"] * rows, batch.column("reason"))


def _record(batch: pa.RecordBatch, *columns: Any) -> pa.RecordBatch:
    import pyarrow as pa

    keys = [batch.column(name) for name in ("shard_id", "sample_id", "cluster")]
    return pa.RecordBatch.from_arrays(
        [*keys, *(column if isinstance(column, pa.Array) else pa.array(column) for column in columns)],
        names=[column.split()[0] for column in _COMPARED.split(", ")],
    )


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
    if not rows or not model_notes(rows[0]["model"]):
        return []
    return [
        f"{rows[0]['model']} has random weights: nearly all images are near-duplicates to it. Embed with a real model"
    ]


def _write(
    tables: Tables, frame: DataFrame, runner: RunnerConfig, report: StageReport, *, input_key: str
) -> None:
    from pyspark.sql import functions as F

    run_key = report.run_keys[OUTPUT.name]
    frame = (
        frame.withColumn("dataset", F.lit(report.dataset))
        .withColumn("run_key", F.lit(run_key))
        .withColumn("input_key", F.lit(input_key))
        .persist()
    )
    try:
        with tracking.phase("deduplicate"):
            _take_counts(frame, runner, report)
        files = max(1, math.ceil(report.rows / _ROWS_PER_FILE))
        report.versions_written[OUTPUT.name] = tables.replace(
            OUTPUT, frame.coalesce(files), dataset=report.dataset, run_key=run_key
        )
    finally:
        frame.unpersist()


def _take_counts(frame: DataFrame, runner: RunnerConfig, report: StageReport) -> None:
    """Count the rows into the report; stop before they are written where too many failed."""
    from pyspark.sql import functions as F

    counts = [F.count_if(F.col("status") == status).alias(status) for status in ("ok", "failed", "skipped")]
    row = frame.agg(*counts, F.count_if("is_duplicate").alias("duplicates")).collect()[0]
    tried = row["ok"] + row["failed"]
    if row["failed"] >= runner.min_failed_rows and row["failed"] > runner.max_failed_share * tried:
        raise StageError(
            f"deduplicate: {row['failed']} of {tried} image vectors are zero or not finite, more than "
            f"runner.max_failed_share={runner.max_failed_share}; nothing was written. Embed again, in another "
            "embed.precision"
        )
    report.rows = tried + row["skipped"]
    report.failed, report.skipped = row["failed"], row["skipped"]
    report.results["duplicates"] = float(row["duplicates"])
    if row["ok"]:
        report.results["share_duplicates"] = row["duplicates"] / row["ok"]
