"""What a cluster model would be fitted from, and how large it would be."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas import clip_embeddings
from spark_jobs.errors import ConfigError, StageError
from spark_jobs.runner.pending import Input, RunKeys, upstream_of
from spark_jobs.runner.table_content import content_key
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.views import current_run_keys
from udfs.clustering import ClusterFitError, FitSettings, check_k

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_jobs.clustering.config import ClusterConfig
    from spark_jobs.config import RunConfig
    from spark_jobs.warehouse.tables import Tables

EMBEDDINGS = (Input(clip_embeddings.TABLE, {}),)
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
        decides: What the model's run key is the hash of: what is read, its content, and the parameters.
        input_key: Hash of what the tables read hold.
        reads: Run key of the embeddings by dataset fitted.
        parameters: What was asked for, after the preset; None where the vectors decide.
    """

    decides: Mapping[str, Any]
    input_key: str
    reads: Mapping[str, str]
    parameters: Mapping[str, int | None]

    @property
    def run_key(self) -> str:
        """Run key of the model."""
        return digest(dict(self.decides))


def plan_fit(tables: Tables, config: RunConfig, *, current: RunKeys | None = None) -> FitPlan:
    """Find what is read and whether it fits together.

    Args:
        tables: The warehouse.
        config: The run's configuration.
        current: Run keys to read, by dataset and table; None: the warehouse's current ones.

    Raises:
        StageError: If a dataset has no embeddings, or datasets were embedded in different ways.
    """
    reads = embeddings_read(current_run_keys(tables) if current is None else current, config)
    input_key = digest(
        {
            dataset: content_key(tables, dataset, {clip_embeddings.TABLE.name: key})
            for dataset, key in reads.items()
        }
    )
    parameters = requested(config.cluster)
    decides = {"model": _FIT_VERSION, "params": parameters, "reads": reads, "content": input_key}
    return FitPlan(decides, input_key, reads, parameters)


def embeddings_read(current: RunKeys, config: RunConfig) -> dict[str, str]:
    """Run key of the embeddings by dataset that a model is fitted on.

    Raises:
        StageError: If a dataset has no embeddings, or datasets were embedded in different ways.
    """
    own, keys = config.dataset_name, embeddings_keys(current, config)
    reads = {dataset: keys[dataset] for dataset in sorted(config.cluster.datasets or (own,))}
    others = [dataset for dataset, key in reads.items() if key != keys[own]]
    if others:
        raise StageError(
            f"cluster: datasets {own} and {others[0]} were embedded with other models or settings, so their "
            "vectors cannot be compared: run `parrot run embed` on both with the same settings"
        )
    return reads


def embeddings_keys(current: RunKeys, config: RunConfig) -> dict[str, str]:
    """Run key of the embeddings of the dataset, and of those that a model is fitted on.

    Raises:
        StageError: If a dataset has no embeddings.
    """
    needed = {config.dataset_name, *(config.cluster.datasets or ())}
    (read,) = EMBEDDINGS
    return {dataset: upstream_of(current, dataset, EMBEDDINGS)[read.spec.name] for dataset in sorted(needed)}


def check_settings(config: ClusterConfig) -> None:
    """Find settings that no number of vectors could satisfy.

    Raises:
        ConfigError: If k is more than the sample of vectors can carry, or groups are more than k.
    """
    try:
        settings_for(requested(config), vectors=config.sample_size, width=0)
    except ClusterFitError as error:
        raise ConfigError(f"cluster: {error}; cluster.sample_size={config.sample_size}") from error


def planned_size(tables: Tables, plan: FitPlan) -> tuple[int, int] | None:
    """Clusters and groups that a fit would make now; None where no dataset has an image vector.

    Raises:
        StageError: If the vectors are too few for what is asked.
    """
    total = vectors_read(tables, plan.reads).count()
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
    for name, value in config.model_dump(exclude={"preset", "datasets", "model"}).items():
        if value is not None or name not in values:
            values[name] = value
    if config.groups is None and values.get("groups") and config.k:
        values["groups"] = min(config.k, values["groups"] or config.k)
    return values


def paper_difference(config: ClusterConfig, *, points: int, k: int) -> list[str]:
    """What a fit by the paper's preset does not share with the paper's (its supplement, §11), as a note of the run.

    Args:
        config: The section's settings.
        points: Vectors that the model was fitted on.
        k: Its clusters.
    """
    if config.preset != "paper":
        return []
    return [
        f"preset paper: the paper fits on all of LAION-400M, 10,000 to 200,000 vectors per centroid; this model "
        f"saw {points:,}, {points / k:,.0f} per centroid"
    ]


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


def vectors_read(tables: Tables, reads: Mapping[str, str]) -> DataFrame:
    """All image vectors that a model is fitted on: `dataset`, `sample_id`, `vector`.

    Args:
        tables: The warehouse.
        reads: Run key of the embeddings by dataset.
    """
    frames = [
        tables.read(clip_embeddings.TABLE, dataset=dataset, run_key=run_key)
        for dataset, run_key in sorted(reads.items())
    ]
    frame = functools.reduce(lambda left, right: left.unionByName(right), frames)
    return frame.where("status = 'ok' AND image_vector IS NOT NULL").selectExpr(
        "dataset", "sample_id", "image_vector AS vector"
    )
