"""Stage `statistics`: the paper's Table 1 and its figures per dataset, CLIP scores, and both by cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import (
    caption_overlap,
    clip_embeddings,
    cluster_assignments,
    stat_caption_words,
    stat_clip_score,
    stat_clip_score_histogram,
    stat_cluster,
    stat_cotr_histogram,
    stat_overall,
    stat_text_area,
    stat_word_area,
)
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.statistics import Statistic, run_statistics
from spark_jobs.sql.figures import (
    caption_words_steps,
    clip_score_histogram_steps,
    cotr_histogram_steps,
    text_area_steps,
    word_area_steps,
)
from spark_jobs.sql.statistics import clip_score_steps, cluster_steps, overall_steps

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig

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
    Statistic(
        output=stat_cluster.TABLE,
        reads={
            "overlap": caption_overlap.TABLE,
            "embeddings": clip_embeddings.TABLE,
            "assignments": cluster_assignments.TABLE,
        },
        steps=cluster_steps(),
    ),
    Statistic(
        output=stat_cotr_histogram.TABLE,
        reads={"overlap": caption_overlap.TABLE},
        steps=cotr_histogram_steps(),
    ),
    Statistic(
        output=stat_clip_score_histogram.TABLE,
        reads={"overlap": caption_overlap.TABLE, "embeddings": clip_embeddings.TABLE},
        steps=clip_score_histogram_steps(),
    ),
    Statistic(
        output=stat_caption_words.TABLE,
        reads={"overlap": caption_overlap.TABLE},
        steps=caption_words_steps(),
    ),
    Statistic(
        output=stat_text_area.TABLE,
        reads={"overlap": caption_overlap.TABLE, "embeddings": clip_embeddings.TABLE},
        steps=text_area_steps(),
    ),
    Statistic(
        output=stat_word_area.TABLE,
        reads={"overlap": caption_overlap.TABLE},
        steps=word_area_steps(),
    ),
)


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Compute the statistics whose inputs have changed."""
    return run_statistics(spark, config, _STATISTICS)
