"""Stage `statistics`: the paper's Table 1 and its figures per dataset, CLIP scores, clusters, Sync scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from schemas import (
    caption_overlap,
    clip_embeddings,
    cluster_assignments,
    ngram_vocabulary,
    stat_caption_words,
    stat_chance,
    stat_clip_score,
    stat_clip_score_histogram,
    stat_cluster,
    stat_cluster_top,
    stat_cotr_histogram,
    stat_curation_score,
    stat_overall,
    stat_relative_score,
    stat_score_filter,
    stat_synthetic_text,
    stat_text_area,
    stat_text_area_score,
    stat_text_removal,
    stat_text_removal_cluster,
    stat_word_area,
    synthetic_text_scores,
    text_removal_scores,
)
from spark_jobs.runner.stage import StageContract, check_dataset, need, plan_whole
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.statistics import Statistic, run_statistics
from spark_jobs.sql import chance, figures, selections, synthetic_text, text_removal
from spark_jobs.sql import statistics as profile
from udfs.tokens import normalised_words

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig


# Tables by the names that the SQL knows them by.
_OVERLAP = {"overlap": caption_overlap.TABLE}
_SCORED = {**_OVERLAP, "embeddings": clip_embeddings.TABLE}
_CLUSTERS = {"assignments": cluster_assignments.TABLE}
_REMOVAL = {"scores": text_removal_scores.TABLE}
_SYNTHETIC = {"scores": synthetic_text_scores.TABLE, "grams": ngram_vocabulary.TABLE}


def statistics_of(stop_words: Sequence[str]) -> tuple[Statistic, ...]:
    """All statistics, in the order of the registry.

    Args:
        stop_words: Normalised caption words that are no content words.
    """
    return (
        Statistic(stat_overall.TABLE, _OVERLAP, profile.overall_steps()),
        Statistic(stat_chance.TABLE, _OVERLAP, chance.chance_steps(stop_words)),
        Statistic(stat_clip_score.TABLE, _SCORED, profile.clip_score_steps()),
        Statistic(stat_score_filter.TABLE, _SCORED, selections.score_filter_steps()),
        Statistic(
            stat_curation_score.TABLE, _SCORED, selections.curation_score_steps(), reads_if_made=_REMOVAL
        ),
        Statistic(stat_cluster.TABLE, {**_SCORED, **_CLUSTERS}, profile.cluster_steps()),
        Statistic(stat_cluster_top.TABLE, {**_SCORED, **_CLUSTERS}, selections.cluster_top_steps()),
        Statistic(stat_synthetic_text.TABLE, _SYNTHETIC, synthetic_text.synthetic_text_steps()),
        Statistic(stat_cotr_histogram.TABLE, _OVERLAP, figures.cotr_histogram_steps()),
        Statistic(stat_clip_score_histogram.TABLE, _SCORED, figures.clip_score_histogram_steps()),
        Statistic(stat_caption_words.TABLE, _OVERLAP, figures.caption_words_steps()),
        Statistic(stat_text_area.TABLE, _SCORED, figures.text_area_steps()),
        Statistic(stat_text_area_score.TABLE, _SCORED, figures.text_area_score_steps()),
        Statistic(stat_word_area.TABLE, _OVERLAP, figures.word_area_steps()),
        Statistic(
            stat_text_removal.TABLE, _REMOVAL, text_removal.text_removal_steps(), reads_if_made=_CLUSTERS
        ),
        Statistic(
            stat_text_removal_cluster.TABLE,
            {**_REMOVAL, **_CLUSTERS},
            text_removal.text_removal_cluster_steps(),
        ),
        Statistic(stat_relative_score.TABLE, _REMOVAL, text_removal.relative_score_steps()),
    )


def stop_words_of(languages: Sequence[str]) -> tuple[str, ...]:
    """Spark's lists of stop words, cut and folded as captions are, in order.

    Needs a running session: the lists are in Spark's machine-learning library.
    """
    from pyspark.ml.feature import StopWordsRemover

    entries = (entry for language in languages for entry in StopWordsRemover.loadDefaultStopWords(language))
    return tuple(sorted({word for entry in entries for word in normalised_words(entry)}))


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Compute the statistics whose inputs have changed."""
    stop_words = stop_words_of(config.statistics.stop_words)
    return run_statistics(spark, config, statistics_of(stop_words))


# Statistics whose tables are not there are left out, and said so.
STAGE = StageContract(run, check_dataset, need(), plan_whole)
