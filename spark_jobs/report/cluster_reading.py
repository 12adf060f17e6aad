"""Read what the report shows of clusters: which groups, and a fixed random sample of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spark_jobs.runner.statistics import statistic_key
from spark_jobs.stages.statistics import CLUSTERS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_jobs.sections import ReportConfig

NO_CLUSTER = -1  # in `stat_cluster`: samples without an image vector


def largest_groups(rows: Iterable[Mapping[str, Any]], limit: int) -> list[int]:
    """The groups with most samples, largest first.

    Args:
        rows: Rows of `stat_cluster`.
        limit: How many at most.
    """
    groups = [row for row in rows if row["level"] == "group" and row["cluster_id"] != NO_CLUSTER]
    ordered = sorted(groups, key=lambda row: (-row["samples"], row["cluster_id"]))
    return [row["cluster_id"] for row in ordered[:limit]]


def clusters_key(dataset: str, run_keys: Mapping[tuple[str, str], str]) -> str | None:
    """The run key that `stat_cluster` has when it was made from the dataset's current assignments.

    Another one means that samples were clustered anew since: a group's number then means another group.
    """
    names = [spec.name for spec in CLUSTERS.reads.values()]
    if any((dataset, name) not in run_keys for name in names):
        return None
    return statistic_key(CLUSTERS, {name: run_keys[dataset, name] for name in names})


def drawn_by_group(
    overlap: DataFrame, assignments: DataFrame, groups: Sequence[int], *, config: ReportConfig
) -> DataFrame:
    """A fixed random sample of each group, by hash.

    Args:
        overlap: Rows of `caption_overlap` of one dataset and run key.
        assignments: The same of `cluster_assignments`.
        groups: The groups to draw from.
        config: How many samples, and the seed.

    Returns:
        Rows of `overlap` whose image was profiled, with `cluster_group`, in a fixed order.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    keys = ["shard_id", "sample_id"]
    grouped = assignments.where(F.col("cluster_group").isin(list(groups))).select(*keys, "cluster_group")
    by_hash = [F.xxhash64("sample_id", F.lit(config.seed)), F.col("sample_id")]
    rank = F.row_number().over(Window.partitionBy("cluster_group").orderBy(*by_hash))
    joined = overlap.where("image_type IS NOT NULL").join(grouped, keys).withColumn("place", rank)
    return joined.where(F.col("place") <= config.samples_per_group).orderBy("cluster_group", "place")
