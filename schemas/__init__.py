"""The Delta tables, one file each. Imports pyspark types only."""

from schemas import (
    caption_overlap,
    clip_embeddings,
    cluster_assignments,
    cluster_models,
    images,
    samples,
    spotted_text,
    stage_runs,
    stat_clip_score,
    stat_cluster,
    stat_overall,
    stat_relative_score,
    stat_text_removal,
    stat_text_removal_cluster,
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
    text_removal_scores.TABLE,
    stat_overall.TABLE,
    stat_clip_score.TABLE,
    stat_cluster.TABLE,
    stat_text_removal.TABLE,
    stat_text_removal_cluster.TABLE,
    stat_relative_score.TABLE,
    stage_runs.TABLE,
)
TABLES: dict[str, TableSpec] = {table.name: table for table in ALL_TABLES}
