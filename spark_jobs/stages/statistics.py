"""Stage `statistics`: the paper's Table 1 per dataset, CLIP scores by image type, and both by cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import (
    caption_overlap,
    clip_embeddings,
    cluster_assignments,
    stat_clip_score,
    stat_cluster,
    stat_overall,
    stat_relative_score,
    stat_text_removal,
    stat_text_removal_cluster,
    text_removal_scores,
)
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.statistics import Statistic, run_statistics
from spark_jobs.sql.statistics import clip_score_steps, cluster_steps, overall_steps
from spark_jobs.sql.text_removal import (
    relative_score_steps,
    text_removal_cluster_steps,
    text_removal_steps,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig

CLUSTERS = Statistic(
    output=stat_cluster.TABLE,
    reads={
        "overlap": caption_overlap.TABLE,
        "embeddings": clip_embeddings.TABLE,
        "assignments": cluster_assignments.TABLE,
    },
    steps=cluster_steps(),
)
_STATISTICS = (
    Statistic(
        output=stat_overall.TABLE,
        reads={"overlap": caption_overlap.TABLE},
        steps=overall_steps(),
    ),
    Statistic(
        output=stat_clip_score.TABLE,
        reads={"overlap": caption_overlap.TABLE, "embeddings": clip_embeddings.TABLE},
        steps=clip_score_steps(),
    ),
    CLUSTERS,
    Statistic(
        output=stat_text_removal.TABLE,
        reads={"scores": text_removal_scores.TABLE},
        reads_if_made={"assignments": cluster_assignments.TABLE},
        steps=text_removal_steps(),
    ),
    Statistic(
        output=stat_text_removal_cluster.TABLE,
        reads={"scores": text_removal_scores.TABLE, "assignments": cluster_assignments.TABLE},
        steps=text_removal_cluster_steps(),
    ),
    Statistic(
        output=stat_relative_score.TABLE,
        reads={"scores": text_removal_scores.TABLE},
        steps=relative_score_steps(),
    ),
)


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Compute the statistics whose inputs have changed."""
    return run_statistics(spark, config, _STATISTICS)
