"""The Delta tables, one file each. Imports pyspark types only."""

from schemas import (
    caption_overlap,
    clip_embeddings,
    cluster_assignments,
    cluster_models,
    images,
    ngram_vocabulary,
    samples,
    spotted_text,
    stage_runs,
    stat_caption_words,
    stat_clip_score,
    stat_clip_score_histogram,
    stat_cluster,
    stat_cotr_histogram,
    stat_overall,
    stat_synthetic_text,
    stat_text_area,
    stat_word_area,
    synthetic_text_scores,
    text_removal_scores,
)
from schemas._table import TableSpec

ALL_TABLES: tuple[TableSpec, ...] = (
    samples.TABLE,
    images.TABLE,
    clip_embeddings.TABLE,
    cluster_models.TABLE,
    cluster_assignments.TABLE,
    spotted_text.TABLE,
    caption_overlap.TABLE,
    ngram_vocabulary.TABLE,
    synthetic_text_scores.TABLE,
    text_removal_scores.TABLE,
    stat_overall.TABLE,
    stat_clip_score.TABLE,
    stat_cluster.TABLE,
    stat_synthetic_text.TABLE,
    stat_cotr_histogram.TABLE,
    stat_clip_score_histogram.TABLE,
    stat_caption_words.TABLE,
    stat_text_area.TABLE,
    stat_word_area.TABLE,
    stage_runs.TABLE,
)
TABLES: dict[str, TableSpec] = {table.name: table for table in ALL_TABLES}
