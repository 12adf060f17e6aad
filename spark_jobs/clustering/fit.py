"""Ensure that a cluster model is there: the stored one of the same inputs and parameters, or a new fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from schemas import cluster_models
from spark_jobs import tracking
from spark_jobs.clustering.hash_sample import hash_sample
from spark_jobs.clustering.pinned import FIT, pinned_run_key
from spark_jobs.clustering.plan import (
    FitPlan,
    embeddings_keys,
    paper_difference,
    plan_fit,
    settings_for,
    vectors_read,
)
from spark_jobs.clustering.stored_model import StoredModel, find_model, rows_from, rows_of
from spark_jobs.errors import StageError
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.whole_tables import Making, TableWork, run_whole
from spark_jobs.warehouse.views import current_run_keys
from udfs.clustering import ClusterFitError, fit

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.clustering.config import ClusterConfig
    from spark_jobs.config import RunConfig
    from spark_jobs.runner.pending import RunKeys
    from spark_jobs.warehouse.tables import Tables


def ensure_model(
    spark: SparkSession, tables: Tables, *, config: RunConfig, report: StageReport
) -> StoredModel | None:
    """The model of this configuration for the dataset: the pinned one, or a fit, written only where it is new.

    Returns:
        The model, or None where no dataset has an image vector.

    Raises:
        StageError: If a dataset has no embeddings, datasets were embedded in different ways, the vectors are too
            few for what is asked, or the pinned model is not there or not of these vectors.
    """
    current = current_run_keys(tables)
    pinned = pinned_run_key(tables, config, current=current)
    if pinned is None:
        work = _work(spark, tables, config=config, plan=plan_fit(tables, config, current=current))
    else:
        work = _use(tables, config, pinned, current=current)
    run_whole(tables, config.runner, (work,), report=report)
    model = find_model(tables, work.run_key)
    if model is not None:
        clusters, groups = model.sizes
        report.results.update(clusters=float(clusters), groups=float(groups))
    return model


def _work(spark: SparkSession, tables: Tables, *, config: RunConfig, plan: FitPlan) -> TableWork:
    spec = cluster_models.TABLE

    def is_there(run_key: str, _: str) -> bool:
        model = find_model(tables, run_key)
        return model is not None and config.dataset_name in model.datasets

    def compute(making: Making) -> None:
        model = find_model(tables, making.run_key)
        if model is None:
            rows = _fitted(spark, tables, config=config.cluster, plan=plan, report=making.report)
        else:  # fitted for several datasets, a model is fitted once and copied
            rows = rows_of(tables, making.run_key, model.datasets[0])
        if rows is not None:
            making.write(spec, rows, is_result=False)

    return TableWork(
        stage="cluster",
        outputs=(spec,),
        reads={},  # of other datasets too, so the plan has hashed what they hold
        params=plan.parameters,
        decides=plan.decides,
        input_key=plan.input_key,
        is_done=is_there,
        logged={"params": dict(plan.parameters), "reads": dict(plan.reads)},
        compute=compute,
    )


def _use(tables: Tables, config: RunConfig, run_key: str, *, current: RunKeys) -> TableWork:
    """Make a stored model that of the dataset: it is copied where another dataset holds it, and logged."""
    spec, model, dataset = cluster_models.TABLE, find_model(tables, run_key), config.dataset_name
    if model is None:
        raise StageError(
            f"cluster.model={config.cluster.model}: the log names a model that {tables.warehouse} no longer holds; "
            f"`parrot run cluster` with cluster.model={FIT} fits one"
        )

    def compute(making: Making) -> None:
        making.write(spec, rows_of(tables, run_key, model.datasets[0]), is_result=False)

    return TableWork(
        stage="cluster",
        outputs=(spec,),
        reads={},
        params={},
        stored_run_key=run_key,
        input_key=model.input_key,
        is_done=lambda *_: dataset in model.datasets,
        logged={
            "params": {"model": config.cluster.model},
            "reads": {dataset: embeddings_keys(current, config)[dataset]},
        },
        compute=compute,
    )


def _fitted(
    spark: SparkSession, tables: Tables, *, config: ClusterConfig, plan: FitPlan, report: StageReport
) -> DataFrame | None:
    """Draw the sample and fit; the rows of the model, None where there is no vector."""
    frame = vectors_read(tables, plan.reads)
    total = frame.count()
    if not total:
        report.notes.append("no sample has an image vector: nothing to cluster")
        return None
    try:
        settings = settings_for(plan.parameters, vectors=total, width=0)
        size = min(config.sample_size, settings.k * settings.max_points_per_centroid)
        with tracking.phase("cluster fit"):
            vectors = hash_sample(frame, total=total, size=size, seed=settings.seed)
            settings = settings_for(plan.parameters, vectors=total, width=vectors.shape[1])
            model = fit(vectors, settings)
    except ClusterFitError as error:
        raise StageError(
            f"cluster: {error}. There are {total:,} image vectors, and cluster.sample_size={config.sample_size}"
        ) from error
    report.notes.append(
        f"model {model.version}: {settings.k} clusters in {settings.groups} groups, "
        f"fitted on {len(vectors):,} of {total:,} vectors"
    )
    report.notes += paper_difference(config, points=len(vectors), k=settings.k)
    parameters = {**vars(settings), "sample_size": config.sample_size}
    described = {
        "points": len(vectors),
        "datasets": json.dumps(sorted(plan.reads)),
        "parameters": json.dumps(parameters, sort_keys=True),
    }
    return rows_from(spark, model, described)
