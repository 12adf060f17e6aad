"""View of subsets: what each holds."""

from __future__ import annotations

from pyspark.sql.types import DoubleType, LongType

from schemas import caption_overlap, clip_embeddings, subset_members, subsets
from schemas._table import SAMPLE_KEY, column
from spark_jobs.views.view import Relations, View

_OF_SUBSETS = ("subset_id", "sentence", "members", "samples", "content_hash")


def _subset_profile(relations: Relations) -> str:
    return f"""SELECT u.dataset, {", ".join(f"u.{name}" for name in _OF_SUBSETS)},
  u.members / nullif(u.samples, 0) AS share_of_dataset, m.*
FROM {relations.current(subsets.TABLE)} u
LEFT JOIN (
  SELECT m.dataset AS of_dataset, m.subset_id AS of_subset, count(o.cotr) AS images, avg(o.cotr) AS mean_cotr,
    avg(e.clip_score) AS mean_clip_score,
    avg(CASE WHEN o.image_type IS NOT NULL THEN double(o.image_type <> 'no_text') END) AS share_with_text,
    avg(CASE WHEN o.image_type IS NOT NULL THEN double(o.image_type = 'concurrent') END) AS share_concurrent
  FROM {relations.current(subset_members.TABLE)} m
  LEFT JOIN {relations.current(caption_overlap.TABLE)} o
    ON m.dataset = o.dataset AND m.sample_id = o.sample_id
  LEFT JOIN {relations.current(clip_embeddings.TABLE)} e
    ON m.dataset = e.dataset AND m.sample_id = e.sample_id
  GROUP BY m.dataset, m.subset_id
) m ON u.dataset = m.of_dataset AND u.subset_id = m.of_subset"""


SUBSET_PROFILE = View(
    "subset_profile",
    "one named subset of one dataset, and what its samples are like",
    (
        SAMPLE_KEY[0],
        *(subsets.TABLE.schema[name] for name in _OF_SUBSETS),
        column("share_of_dataset", DoubleType(), "members / samples"),
        column("images", LongType(), "Members with a CoTR"),
        column("mean_cotr", DoubleType(), "Mean CoTR of those"),
        column("mean_clip_score", DoubleType(), "Mean CLIP score of the members that have one"),
        column("share_with_text", DoubleType(), "Share of members with text, of those that were looked at"),
        column("share_concurrent", DoubleType(), "Share of parrot captions, of those that were looked at"),
    ),
    _subset_profile,
    reads=(subsets.TABLE, subset_members.TABLE, caption_overlap.TABLE, clip_embeddings.TABLE),
)
