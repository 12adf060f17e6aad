"""Stage `statistics`: the paper's Table 1 and its figures per dataset, CLIP scores, clusters, Sync scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import (
    caption_overlap,
    clip_embeddings,
    cluster_assignments,
    ngram_vocabulary,
    stat_caption_words,
    stat_clip_score,
    stat_clip_score_histogram,
    stat_cluster,
    stat_cotr_histogram,
    stat_overall,
    stat_relative_score,
    stat_synthetic_text,
    stat_text_area,
    stat_text_removal,
    stat_text_removal_cluster,
    stat_word_area,
    synthetic_text_scores,
    text_removal_scores,
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
from spark_jobs.sql.synthetic_text import synthetic_text_steps
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
        output=stat_synthetic_text.TABLE,
        reads={"scores": synthetic_text_scores.TABLE, "grams": ngram_vocabulary.TABLE},
        steps=synthetic_text_steps(),
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
