"""Bring a cluster model: the stored one of the same inputs and parameters, or a new fit."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas import clip_embeddings, cluster_models
from spark_jobs import tracking
from spark_jobs.errors import StageError
from spark_jobs.runner.hash_sample import hash_sample
from spark_jobs.runner.pending import RunKeys
from spark_jobs.runner.run_log import RunLog
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.statistics import content_key
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from udfs.clustering import ClusterFitError, ClusterModel, FitSettings, check_k, fit

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig
    from spark_jobs.sections import ClusterConfig

_FIT_VERSION = 1  # changes when the same vectors and parameters must give another model
_MAX_K = 4000
_MAX_GROUPS = 100
_MAX_DIMENSIONS = 256
_CLUSTERS_PER_GROUP = 4
_PRESETS: dict[str, dict[str, int]] = {
    "auto": {"iterations": 25, "redos": 1, "seed": 42},
    "paper": {"k": 4000, "dimensions": 256, "groups": 100, "iterations": 300, "redos": 10, "seed": 42},
}


@dataclass(frozen=True)
class FitPlan:
    """What a model would be fitted from.

    Attributes:
        run_key: Run key of the model: what is read, its content, and the parameters.
        input_key: Hash of what the tables read hold.
        reads: Run key of the embeddings by dataset fitted.
        parameters: What was asked for, after the preset; None where the vectors decide.
    """

    run_key: str
    input_key: str
    reads: Mapping[str, str]
    parameters: Mapping[str, int | None]


@dataclass(frozen=True)
class BroughtModel:
    """A model that is in the warehouse.

    Attributes:
        version: Its version.
        sizes: Its clusters and groups.
        datasets: The datasets that hold it.
        load: Reads its vectors, once.
    """

    version: str
    sizes: tuple[int, int]
    datasets: tuple[str, ...]
    load: Callable[[], ClusterModel]


def bring_model(
    spark: SparkSession, tables: Tables, config: RunConfig, report: StageReport
) -> BroughtModel | None:
    """The model of this configuration for the dataset; fitted, and written, only where it is new.

    Returns:
        The model, or None where no dataset has an image vector.

    Raises:
        StageError: If a dataset has no embeddings, datasets were embedded in different ways, or the vectors
            are too few for what is asked.
    """
    started = time.monotonic()
    dataset = report.dataset
    plan = plan_fit(tables, config)
    with tables.writing(cluster_models.TABLE, dataset=dataset, run_key=plan.run_key):
        model = _stored(tables, plan.run_key)
        if model is None or dataset not in model.datasets:
            tables.create(cluster_models.TABLE)
        if model is None:
            with tracking.phase("cluster fit"):
                fitted, rows = _fit(spark, tables, config.cluster, plan, report)
            if fitted is None:
                return None
            _write(tables, rows, plan, report)
            model = BroughtModel(
                fitted.version, _sizes(fitted.groups.tolist()), (dataset,), load=lambda: fitted
            )
        elif dataset not in model.datasets:
            # Fitted for several datasets, a model is fitted once and copied.
            _write(tables, _rows_of(tables, plan.run_key, model.datasets[0]), plan, report)
    report.run_keys[cluster_models.TABLE.name] = plan.run_key
    clusters, groups = model.sizes
    report.results.update(clusters=float(clusters), groups=float(groups))
    if current_run_keys(tables).get((dataset, cluster_models.TABLE.name)) != plan.run_key:
        params = {"params": dict(plan.parameters), "reads": dict(plan.reads)}
        log = RunLog(
            tables,
            cluster_models.TABLE,
            stage=report.stage,
            dataset=dataset,
            run_key=plan.run_key,
            params=params,
        )
        log.add("finished", seconds=time.monotonic() - started, shards=0, counts={})
    return model


def _stored(tables: Tables, run_key: str) -> BroughtModel | None:
    """The model with this run key; its vectors are read when they are needed."""
    spec = cluster_models.TABLE
    if not tables.exists(spec):
        return None

    def ask() -> list[list[Any]]:
        rows = tables.read(spec, run_key=run_key).select("dataset", "model_version", "cluster_group")
        return [list(row) for row in rows.collect()]

    found = tables.answer(spec, {"asks": "model", "run_key": run_key}, ask)
    if not found:
        return None
    datasets = tuple(sorted({dataset for dataset, _, _ in found}))
    groups = [group for dataset, _, group in found if dataset == datasets[0] and group is not None]
    return BroughtModel(
        found[0][1],
        _sizes(groups),
        datasets,
        load=functools.cache(lambda: _from_rows(_rows_of(tables, run_key, datasets[0]).collect())),
    )


def _rows_of(tables: Tables, run_key: str, dataset: str) -> DataFrame:
    return tables.read(cluster_models.TABLE, dataset=dataset, run_key=run_key)


def _sizes(groups: list[int]) -> tuple[int, int]:
    """Clusters and groups, of the group of each cluster."""
    return len(groups), max(groups) + 1


def plan_fit(tables: Tables, config: RunConfig, *, current: RunKeys | None = None) -> FitPlan:
    """Find what is read and whether it fits together.

    Args:
        tables: The warehouse.
        config: The run's configuration.
        current: Run keys to read, by dataset and table; None: the warehouse's current ones.

    Raises:
        StageError: If a dataset has no embeddings, or datasets were embedded in different ways.
    """
    current = current_run_keys(tables) if current is None else current
    own = config.dataset_name
    datasets = sorted({*(config.cluster.datasets or (own,))})
    keys = {dataset: _embeddings_key(current, dataset) for dataset in {own, *datasets}}
    others = [dataset for dataset in datasets if keys[dataset] != keys[own]]
    if others:
        raise StageError(
            f"cluster: datasets {own} and {others[0]} were embedded with other models or settings, so their "
            "vectors cannot be compared: run `parrot run embed` on both with the same settings"
        )
    reads = {dataset: keys[dataset] for dataset in datasets}
    input_key = digest(
        {
            dataset: content_key(tables, dataset, {clip_embeddings.TABLE.name: key})
            for dataset, key in reads.items()
        }
    )
    parameters = requested(config.cluster)
    run_key = digest({"model": _FIT_VERSION, "params": parameters, "reads": reads, "content": input_key})
    return FitPlan(run_key, input_key, reads, parameters)


def stored_version(tables: Tables, run_key: str) -> str | None:
    """Version of the model with this run key; None where there is none yet."""
    if not tables.exists(cluster_models.TABLE):
        return None
    rows = tables.read(cluster_models.TABLE, run_key=run_key).select("model_version").limit(1).collect()
    return rows[0]["model_version"] if rows else None


def planned_size(tables: Tables, plan: FitPlan) -> tuple[int, int] | None:
    """Clusters and groups that a fit would make now; None where no dataset has an image vector.

    Raises:
        StageError: If the vectors are too few for what is asked.
    """
    total = _vectors(tables, plan.reads).count()
    if not total:
        return None
    try:
        settings = settings_for(plan.parameters, vectors=total, width=0)
    except ClusterFitError as error:
        raise StageError(f"cluster: {error}. There are {total:,} image vectors") from error
    return settings.k, settings.groups


def requested(config: ClusterConfig) -> dict[str, int | None]:
    """Parameters after the preset; None where the vectors decide."""
    values: dict[str, int | None] = {**_PRESETS[config.preset]}
    for name, value in config.model_dump(exclude={"preset", "datasets"}).items():
        if value is not None or name not in values:
            values[name] = value
    if config.groups is None and values.get("groups") and config.k:
        values["groups"] = min(config.k, values["groups"] or config.k)
    return values


def settings_for(parameters: Mapping[str, int | None], *, vectors: int, width: int) -> FitSettings:
    """What to fit on so many vectors.

    Where not given: k is the root of half their number, at most 4000 and as many as the points carry;
    groups are a quarter of k, at most 100; dimensions are the paper's 256 or as many as there are.

    Args:
        parameters: As `requested` gives them.
        vectors: Image vectors of the datasets fitted, at least 1.
        width: Their dimensions; 0 where not known yet.

    Raises:
        ClusterFitError: If k, or groups, are more than the points carry; names the largest usable.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    min_points = given["min_points_per_centroid"]
    points = min(vectors, given["sample_size"])
    k = given.get("k")
    if k is None:
        k = max(1, min(_MAX_K, max(2, round(math.sqrt(vectors / 2))), points // min_points))
        min_points = min(min_points, points)
    check_k(k, points, min_points_per_centroid=min_points)
    groups = given.get("groups", min(_MAX_GROUPS, math.ceil(k / _CLUSTERS_PER_GROUP)))
    if groups > k:
        raise ClusterFitError(f"{groups} groups cannot be made of {k} clusters: at most {k}")
    points = min(points, k * given["max_points_per_centroid"])
    return FitSettings(
        k=k,
        dimensions=given.get("dimensions", min(_MAX_DIMENSIONS, width, points)),
        groups=groups,
        iterations=given["iterations"],
        redos=given["redos"],
        seed=given["seed"],
        min_points_per_centroid=min_points,
        max_points_per_centroid=given["max_points_per_centroid"],
    )


def _embeddings_key(current: RunKeys, dataset: str) -> str:
    key = current.get((dataset, clip_embeddings.TABLE.name))
    if key is None:
        known = sorted({name for name, table in current if table == clip_embeddings.TABLE.name})
        raise StageError(
            f"dataset {dataset} has no finished table {clip_embeddings.TABLE.name}: run `parrot run embed` first. "
            f"Datasets that have it: {', '.join(known) or 'none'}"
        )
    return key


def _fit(
    spark: SparkSession, tables: Tables, config: ClusterConfig, plan: FitPlan, report: StageReport
) -> tuple[ClusterModel | None, DataFrame]:
    """Draw the sample and fit; the model and its rows (without a dataset where there is no model)."""
    frame = _vectors(tables, plan.reads)
    total = frame.count()
    if not total:
        report.notes.append("no sample has an image vector: nothing to cluster")
        return None, frame
    try:
        settings = settings_for(plan.parameters, vectors=total, width=0)
        size = min(config.sample_size, settings.k * settings.max_points_per_centroid)
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
    described = {"points": len(vectors), "datasets": json.dumps(sorted(plan.reads))}
    described["parameters"] = json.dumps(
        {**vars(settings), "sample_size": config.sample_size}, sort_keys=True
    )
    return model, _to_frame(spark, model, described)


def _vectors(tables: Tables, reads: Mapping[str, str]) -> DataFrame:
    from functools import reduce

    frames = [
        tables.read(clip_embeddings.TABLE, dataset=dataset, run_key=run_key)
        for dataset, run_key in sorted(reads.items())
    ]
    frame = reduce(lambda left, right: left.unionByName(right), frames)
    return frame.where("status = 'ok' AND image_vector IS NOT NULL").selectExpr(
        "dataset", "sample_id", "image_vector AS vector"
    )


def _write(tables: Tables, rows: DataFrame, plan: FitPlan, report: StageReport) -> None:
    from pyspark.sql import functions as F

    frame = (
        rows.withColumn("dataset", F.lit(report.dataset))
        .withColumn("run_key", F.lit(plan.run_key))
        .withColumn("input_key", F.lit(plan.input_key))
    )
    spec = cluster_models.TABLE
    report.versions_written[spec.name] = tables.replace(
        spec, frame.coalesce(1), dataset=report.dataset, run_key=plan.run_key
    )


def _to_frame(spark: SparkSession, model: ClusterModel, described: Mapping[str, Any]) -> DataFrame:
    """One row per vector of the model."""
    from pyspark.sql.types import StructType

    rows: list[dict[str, Any]] = [{"kind": "pca_mean", "position": 0, "vector": model.mean.tolist()}]
    rows += [
        {"kind": "pca_component", "position": position, "vector": vector.tolist()}
        for position, vector in enumerate(model.components)
    ]
    rows += [
        {
            "kind": "centroid",
            "position": position,
            "vector": vector.tolist(),
            "cluster_group": int(model.groups[position]),
            "size": int(model.sizes[position]),
        }
        for position, vector in enumerate(model.centroids)
    ]
    provenance = {"dataset", "run_key", "input_key"}
    fields = [field for field in cluster_models.TABLE.schema.fields if field.name not in provenance]
    common = {"model_version": model.version, **described}
    values = [tuple({**common, **row}.get(field.name) for field in fields) for row in rows]
    return spark.createDataFrame(values, StructType(fields))


def _from_rows(rows: Iterable[Any]) -> ClusterModel:
    by_kind: dict[str, list[Any]] = {}
    for row in sorted(rows, key=lambda row: row["position"]):
        by_kind.setdefault(row["kind"], []).append(row)
    centroids = by_kind["centroid"]

    def matrix(kind: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        return np.array([row["vector"] for row in by_kind[kind]], np.float32)

    return ClusterModel(
        mean=matrix("pca_mean")[0],
        components=matrix("pca_component"),
        centroids=matrix("centroid"),
        groups=np.array([row["cluster_group"] for row in centroids], np.int32),
        sizes=np.array([row["size"] for row in centroids], np.int64),
    )
