"""Section `cluster` of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spark_jobs.sections import Section


class ClusterConfig(Section):
    """Stage `cluster`: PCA, k-means and the merge of clusters into groups. What is null follows the preset.

    `paper` is k 4000, 256 dimensions, 300 iterations, 10 redos, seed 42, 100 groups; it needs 156,000 vectors. What
    differs: the paper fits on all of LAION-400M, with 10,000 to 200,000 points per centroid, here `sample_size` and
    `max_points_per_centroid` allow a million vectors, and 39 to 256 points.
    """

    preset: Literal["auto", "paper"] = Field(
        "auto", description="auto: by the number of vectors; paper: the paper's values"
    )
    k: int | None = Field(
        None,
        ge=1,
        description="Clusters; auto: the root of half the vectors, at most 4000 and what they carry",
    )
    dimensions: int | None = Field(
        None, ge=1, description="Dimensions after the PCA; auto: 256, or as many as there are"
    )
    groups: int | None = Field(
        None,
        ge=1,
        description="Groups that clusters are merged into, at most k; auto: a quarter of k, at most 100",
    )
    iterations: int | None = Field(None, ge=1, description="Iterations of k-means; auto: 25")
    redos: int | None = Field(None, ge=1, description="Runs of k-means, the best is kept; auto: 1")
    seed: int | None = Field(None, ge=0, lt=2**31, description="Seed of the sample and of k-means; auto: 42")
    sample_size: int = Field(
        1_000_000,
        ge=1,
        description="Most vectors to fit on, drawn by hash; the driver holds them (512 dimensions: 4 GB)",
    )
    min_points_per_centroid: int = Field(39, ge=1, description="k times this many vectors are needed to fit")
    max_points_per_centroid: int = Field(
        256, ge=1, description="k times this many vectors are drawn at most (the paper: 200,000)"
    )
    datasets: tuple[str, ...] | None = Field(
        None, min_length=1, description="Datasets that are fitted together; null: the dataset alone"
    )
    model: str = Field(
        "fit",
        min_length=1,
        description="fit: of the vectors as they are now; keep: the one in use, to which new shards are assigned while "
        "old ones stay as they are (fitted where there is none yet); or the version of a stored model",
    )

    @model_validator(mode="after")
    def _bounds_fit(self) -> ClusterConfig:
        if self.k is not None and self.groups is not None and self.groups > self.k:
            raise ValueError(f"groups ({self.groups}) must be at most k ({self.k})")
        if self.min_points_per_centroid > self.max_points_per_centroid:
            raise ValueError(
                f"min_points_per_centroid ({self.min_points_per_centroid}) must be at most "
                f"max_points_per_centroid ({self.max_points_per_centroid})"
            )
        return self
