"""The stored cluster models: rows of `cluster_models`, and the model that they are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas import cluster_models
from spark_jobs.warehouse.query_cache import Question
from udfs.clustering import ClusterModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.warehouse.tables import Tables

_STORED_MODEL = Question("a stored cluster model", version=2)


@dataclass(frozen=True)
class StoredModel:
    """A model that is in the warehouse.

    Attributes:
        version: Its version.
        input_key: Hash of the vectors that it was fitted on.
        sizes: Its clusters and groups.
        datasets: The datasets that hold it.
        load: Reads its vectors, once.
    """

    version: str
    input_key: str
    sizes: tuple[int, int]
    datasets: tuple[str, ...]
    load: Callable[[], ClusterModel]


def find_model(tables: Tables, run_key: str) -> StoredModel | None:
    """The model with this run key; its vectors are read when they are needed."""
    spec = cluster_models.TABLE
    if not tables.exists(spec):
        return None

    def ask() -> list[list[Any]]:
        rows = tables.read(spec, run_key=run_key)
        return [
            list(row)
            for row in rows.select("dataset", "model_version", "input_key", "cluster_group").collect()
        ]

    found = tables.answer(spec, _STORED_MODEL.of(run_key=run_key), ask)
    if not found:
        return None
    datasets = tuple(sorted({dataset for dataset, *_ in found}))
    groups = [group for dataset, *_, group in found if dataset == datasets[0] and group is not None]
    return StoredModel(
        found[0][1],
        found[0][2],
        _sizes(groups),
        datasets,
        load=functools.cache(lambda: _model_from(rows_of(tables, run_key, datasets[0]).collect())),
    )


def rows_of(tables: Tables, run_key: str, dataset: str) -> DataFrame:
    """The rows of one model in one dataset."""
    return tables.read(cluster_models.TABLE, dataset=dataset, run_key=run_key)


def _sizes(groups: list[int]) -> tuple[int, int]:
    """Clusters and groups, of the group of each cluster."""
    return len(groups), max(groups) + 1


def rows_from(spark: SparkSession, model: ClusterModel, described: Mapping[str, Any]) -> DataFrame:
    """Rows of a model, one per vector, without dataset and keys.

    Args:
        spark: The session.
        model: The model.
        described: Further columns, the same in every row.
    """
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


def _model_from(rows: Iterable[Any]) -> ClusterModel:
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
