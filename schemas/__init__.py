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
    subset_members,
    subsets,
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
    stat_overall.TABLE,
    stat_clip_score.TABLE,
    stat_cluster.TABLE,
    subsets.TABLE,
    subset_members.TABLE,
    stage_runs.TABLE,
)
TABLES: dict[str, TableSpec] = {table.name: table for table in ALL_TABLES}
