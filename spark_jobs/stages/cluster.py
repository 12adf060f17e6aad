"""Stage `cluster`: k-means clusters of the image vectors, merged into groups; each sample's cluster.

A model is fitted on a sample of one or several datasets and stored with a version; assignments carry that
version in their run key, so a new fit never mixes with an old assignment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from schemas import clip_embeddings, cluster_assignments, cluster_models
from spark_jobs.runner.cluster_fit import BroughtModel, bring_model, plan_fit, planned_size, stored_version
from spark_jobs.runner.hash_sample import matrix_of
from spark_jobs.runner.pending import Input, RunKeys, ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.warehouse.tables import Tables

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig
    from udfs.clustering import ClusterModel

INPUTS = (
    Input(
        clip_embeddings.TABLE,
        {"image_vector": "image_vector", "embed_status": "status", "embed_error": "error"},
    ),
)
_ASSIGNED = (
    "shard_id string, sample_id string, model_version string, cluster int, cluster_group int, "
    "distance float, status string, error string"
)


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Fit a model where there is none of these vectors and settings; assign every sample that lacks it."""
    started = time.monotonic()
    fitted = StageReport(stage="cluster", dataset=config.dataset_name)
    tables = Tables(spark, config.warehouse)
    model = bring_model(spark, tables, config, fitted)
    report = run_shards(spark, config, assignment(model))
    report.run_keys = {**fitted.run_keys, **report.run_keys}
    report.versions_written = {**fitted.versions_written, **report.versions_written}
    report.results = {**fitted.results, **report.results}
    report.notes = [*fitted.notes, *report.notes]
    if model is not None:
        report.versions_read[cluster_models.TABLE.name] = tables.version(cluster_models.TABLE)
    report.seconds = time.monotonic() - started
    return report


@dataclass(frozen=True)
class ClusterPlan:
    """What the stage would do now.

    Attributes:
        model: The model that samples would be assigned to: a new fit and its size, or a stored version.
        work: The assignment, if its model is stored; else one under which every sample is pending.
    """

    model: str
    work: ShardWork


def plan_cluster(
    tables: Tables, config: RunConfig, *, current: RunKeys, is_input_pending: bool
) -> ClusterPlan:
    """Find whether a model would be fitted; nothing is written.

    Args:
        tables: The warehouse.
        config: The run's configuration.
        current: Run keys to read, by dataset and table.
        is_input_pending: Whether vectors will come or change before the stage runs: then a model is fitted.

    Raises:
        StageError: If the stage would fail: no embeddings, embeddings of different models, too few vectors.
    """
    if is_input_pending:
        return ClusterPlan("new fit, after embed", _assignment_to("new"))
    plan = plan_fit(tables, config, current=current)
    version = stored_version(tables, plan.run_key)
    if version is not None:
        return ClusterPlan(f"stored {version}", _assignment_to(version))
    size = planned_size(tables, plan)
    model = "none: no vectors" if size is None else f"new fit: {size[0]:,} clusters, {size[1]:,} groups"
    return ClusterPlan(model, _assignment_to(None if size is None else "new"))


def _assignment_to(version: str | None) -> ShardWork:
    """The assignment to a model of which only the version is known: to be planned, not computed."""
    return replace(assignment(None), params={"model": version})


def assignment(model: BroughtModel | None) -> ShardWork:
    """Declare the assignment of samples to a model's clusters; without a model all are skipped."""

    def compute(inputs: DataFrame) -> DataFrame:
        columns = inputs.select("shard_id", "sample_id", "image_vector", "embed_status", "embed_error")
        return columns.mapInArrow(_assigner(None if model is None else model.load()), _ASSIGNED)

    return ShardWork(
        stage="cluster",
        output=cluster_assignments.TABLE,
        inputs=INPUTS,
        params={"model": None if model is None else model.version},
        compute=compute,
        model="" if model is None else model.version,
    )


def _assigner(
    model: ClusterModel | None,
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    version = None if model is None else model.version

    def assign_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        from udfs.clustering import assign

        for batch in batches:
            rows = batch.num_rows
            ok = pc.and_(
                pc.equal(batch.column("embed_status"), "ok"), batch.column("image_vector").is_valid()
            )
            found = np.asarray(ok) & (model is not None)
            cluster, group, distance = (np.zeros(rows, kind) for kind in (np.int32, np.int32, np.float32))
            if model is not None and found.any():
                vectors = matrix_of(batch.column("image_vector").filter(pa.array(found)))
                cluster[found], distance[found] = assign(vectors, model)
                group[found] = model.groups[cluster[found]]
            embed_errors = batch.column("embed_error").to_pylist()
            errors = [
                None if is_found else f"embed: {error or 'no image vector'}"
                for is_found, error in zip(found, embed_errors, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column("shard_id"),
                    batch.column("sample_id"),
                    pa.array([version] * rows, pa.string()),
                    *(pa.array(values, mask=~found) for values in (cluster, group, distance)),
                    pa.array(["ok" if is_found else "skipped" for is_found in found]),
                    pa.array(errors, pa.string()),
                ],
                names=[column.split()[0] for column in _ASSIGNED.split(", ")],
            )

    return assign_batches
