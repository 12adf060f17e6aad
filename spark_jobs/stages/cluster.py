"""Stage `cluster`: k-means clusters of the image vectors, merged into groups; each sample's cluster.

A model is fitted on a sample of one or several datasets and stored with a version; assignments carry that
version in their run key, so a new fit never mixes with an old assignment.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from schemas import clip_embeddings, cluster_assignments, cluster_models
from schemas._table import KEY_COLUMNS
from spark_jobs.clip_models import model_of
from spark_jobs.clustering.fit import ensure_model
from spark_jobs.clustering.pinned import pinned_run_key
from spark_jobs.clustering.plan import (
    check_settings,
    embeddings_keys,
    embeddings_read,
    plan_fit,
    planned_size,
)
from spark_jobs.clustering.stored_model import StoredModel, find_model
from spark_jobs.runner.pending import Input, RunKeys, ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage import Situation, StageContract, StagePlan, check_dataset, plan_shards
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from udfs.cluster_rows import assign_rows
from udfs.vectors import VECTOR_COLUMNS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig

INPUTS = (
    Input(
        clip_embeddings.TABLE,
        {"image_vector": "image_vector", "embed_status": "status", "embed_error": "error"},
    ),
)


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Fit a model where there is none of these vectors and settings, unless one is pinned; assign what lacks it."""
    started = time.monotonic()
    report = StageReport(stage="cluster", dataset=config.dataset_name)
    tables = Tables(spark, config.warehouse)
    model = ensure_model(spark, tables, config=config, report=report)
    report.add(run_shards(spark, config, assignment(model)))
    embedded = current_run_keys(tables).get((report.dataset, clip_embeddings.TABLE.name))
    if model is not None and embedded is not None and not report.did_nothing:
        clip = model_of(tables, report.dataset, spec=clip_embeddings.TABLE, run_key=embedded)
        report.notes.append(f"clusters of the image vectors of {clip}")
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
        StageError: If the stage would fail: no embeddings, embeddings of different models, too few vectors, a
            pinned model that is not there or not of these vectors.
    """
    pinned = pinned_run_key(tables, config, current=current, checked=not is_input_pending)
    kept = find_model(tables, pinned) if pinned is not None else None
    if kept is not None:
        return ClusterPlan(f"pinned {kept.version}", _assignment_to(kept.version))
    if is_input_pending:
        return ClusterPlan("new fit, after embed", _assignment_to("new"))
    plan = plan_fit(tables, config, current=current)
    stored = find_model(tables, plan.run_key)
    if stored is not None:
        return ClusterPlan(f"stored {stored.version}", _assignment_to(stored.version))
    size = planned_size(tables, plan)
    model = "none: no vectors" if size is None else f"new fit: {size[0]:,} clusters, {size[1]:,} groups"
    return ClusterPlan(model, _assignment_to(None if size is None else "new"))


def _assignment_to(version: str | None) -> ShardWork:
    """The assignment to a model of which only the version is known: to be planned, not computed."""
    return replace(assignment(None), params={"model": version})


def assignment(model: StoredModel | None) -> ShardWork:
    """Declare the assignment of samples to a model's clusters; without a model all are skipped."""

    def compute(inputs: DataFrame) -> DataFrame:
        assign = functools.partial(assign_rows, model=None if model is None else model.load())
        columns = inputs.select(*KEY_COLUMNS, *VECTOR_COLUMNS)
        return columns.mapInArrow(assign, cluster_assignments.TABLE.worker_schema())

    return ShardWork(
        stage="cluster",
        output=cluster_assignments.TABLE,
        inputs=INPUTS,
        params={"model": None if model is None else model.version},
        compute=compute,
        models=() if model is None else (model.version,),
    )


def _check(config: RunConfig) -> None:
    check_dataset(config)
    check_settings(config.cluster)


def _ready(situation: Situation) -> None:
    is_final = clip_embeddings.TABLE.name not in situation.may_change
    (embeddings_read if is_final else embeddings_keys)(situation.current, situation.config)


def _plan(situation: Situation) -> StagePlan:
    plan = plan_cluster(
        situation.tables,
        situation.config,
        current=situation.current,
        is_input_pending=bool(situation.pending_of(item.spec.name for item in INPUTS)),
    )
    return plan_shards(situation, plan.work, model=plan.model)


STAGE = StageContract(run, _check, _ready, _plan, INPUTS)
