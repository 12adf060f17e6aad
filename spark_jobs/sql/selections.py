"""SQL of what selections of samples do: filters on CLIP score, the paper's subsets, the best-scored of a group."""

from __future__ import annotations

from dataclasses import dataclass

from spark_jobs.sql.intervals import mean, mean_bounds, share_bounds
from spark_jobs.sql.statistics import PROFILED
from spark_jobs.sql.steps import Step

NO_FILTER = -1
"""Threshold, in hundredths, that keeps every image: no cosine is lower."""
HIGHEST_THRESHOLD = 50
TOP_SAMPLES = 10
"""Samples of each group of clusters in `stat_cluster_top`."""


def score_filter_steps() -> list[Step]:
    """What is left of parrot captions after a filter on CLIP score, from `overlap` and `embeddings`.

    Images are those of `overall_steps` that have a score. A threshold keeps scores from it on, as LAION's 0.28 did.
    """
    thresholds = f"concat(array({NO_FILTER}), sequence(0, {HIGHEST_THRESHOLD}))"
    shares = ", ".join(
        f"try_divide({part}, {whole}) AS {name}, {share_bounds(part, whole, name)}"
        for name, part, whole in (
            ("share_kept", "images", "images_before"),
            ("share_with_text", "images_with_text", "images"),
            ("share_concurrent", "images_concurrent", "images"),
        )
    )
    return [
        Step(
            "score_places",
            f"""
            SELECT model, greatest({NO_FILTER}, least({HIGHEST_THRESHOLD}, place)) AS place,
                   count(*) AS images, count_if(image_type <> 'no_text') AS images_with_text,
                   count_if(image_type = 'concurrent') AS images_concurrent
            FROM (
              SELECT embeddings.model, overlap.image_type,
                     CAST(floor(round(CAST(embeddings.clip_score AS DOUBLE) * 100, 5)) AS INT) AS place
              FROM {{overlap}} AS overlap JOIN {{embeddings}} AS embeddings USING (shard_id, sample_id)
              WHERE {PROFILED} AND embeddings.clip_score IS NOT NULL
            ) GROUP BY 1, 2
            """,
        ),
        Step(
            "kept_images",
            f"""
            SELECT model, threshold, sum(images) AS images_before,
                   sum(IF(place >= threshold, images, 0L)) AS images,
                   sum(IF(place >= threshold, images_with_text, 0L)) AS images_with_text,
                   sum(IF(place >= threshold, images_concurrent, 0L)) AS images_concurrent
            FROM {{score_places}} LATERAL VIEW explode({thresholds}) thresholds AS threshold
            GROUP BY model, threshold
            """,
        ),
        Step(
            "filters",
            f"""
            SELECT model, IF(threshold = {NO_FILTER}, -1D, threshold / 100) AS threshold,
                   images, images_with_text, images_concurrent, {shares}
            FROM {{kept_images}}
            """,
        ),
    ]


@dataclass(frozen=True)
class CurationCondition:
    """One of the paper's subsets, as a condition over the columns of `curated_samples`.

    Attributes:
        study: Curation I, II or III.
        subset_id: Id of the built-in subset.
        condition: SQL; what is null does not belong.
    """

    study: str
    subset_id: str
    condition: str


_THRESHOLDS = (0.1, 0.2, 0.3)
CURATIONS = (
    CurationCondition("I", "random", "true"),
    CurationCondition("I", "without_text", "image_type = 'no_text'"),
    CurationCondition("I", "with_text", "image_type <> 'no_text'"),
    CurationCondition("II", "cotr_eq_0", "image_type <> 'no_text' AND cotr = 0"),
    *(
        CurationCondition("II", f"cotr_ge_{low}", f"image_type <> 'no_text' AND cotr >= {low}D")
        for low in (0.3, 0.5, 0.8)
    ),
    CurationCondition("II", "cotr_eq_1", "image_type <> 'no_text' AND cotr = 1"),
    *(
        CurationCondition("III", f"{score}_{name}", f"{score} {condition}")
        for score in ("rsa", "rsc")
        for name, condition in (
            ("lt_0", "< 0"),
            ("ge_0", ">= 0"),
            *((f"ge_{low}", f">= {low}D") for low in _THRESHOLDS),
        )
    ),
)


def curation_score_steps() -> list[Step]:
    """Mean raw CLIP score of the paper's subsets (its Avg.S), from `overlap`, `embeddings` and `scores`.

    Images are those of `overall_steps` that have a score: all of each subset, of which a training set is drawn.
    A model that removed text as well is taken from there, so that its scores and differences are of one run.
    """
    rows = ", ".join(
        f"'{entry.study}', '{entry.subset_id}', IF({entry.condition}, clip_score, NULL)"
        for entry in CURATIONS
    )
    columns = "shard_id, sample_id, model"
    return [
        Step(
            "model_scores",
            f"""
            SELECT {columns}, score_raw AS clip_score, rsa, rsc FROM {{scores}} WHERE status = 'ok'
            UNION ALL
            SELECT {columns}, clip_score, CAST(NULL AS FLOAT) AS rsa, CAST(NULL AS FLOAT) AS rsc
            FROM {{embeddings}} WHERE model NOT IN (SELECT model FROM {{scores}})
            """,
        ),
        Step(
            "curated_samples",
            f"""
            SELECT model, overlap.image_type, overlap.cotr, CAST(clip_score AS DOUBLE) AS clip_score,
                   round(CAST(rsa AS DOUBLE), 6) AS rsa, round(CAST(rsc AS DOUBLE), 6) AS rsc
            FROM {{overlap}} AS overlap JOIN {{model_scores}} USING (shard_id, sample_id)
            WHERE {PROFILED} AND clip_score IS NOT NULL
            """,
        ),
        Step(
            "subset_samples",
            f"""
            SELECT model, stack({len(CURATIONS)}, {rows}) AS (study, subset_id, clip_score)
            FROM {{curated_samples}}
            """,
        ),
        Step(
            "subset_scores",
            f"""
            SELECT model, study, subset_id, count(clip_score) AS images,
                   {mean("clip_score")} AS mean_clip_score, {mean_bounds("clip_score", "mean_clip_score")}
            FROM {{subset_samples}} GROUP BY model, study, subset_id
            """,
        ),
    ]


def cluster_top_steps() -> list[Step]:
    """The samples of each group of clusters with the highest CLIP scores (Fig. 3b), as `cluster_steps` counts."""
    return [
        Step(
            "group_samples",
            f"""
            SELECT assignments.cluster_group, overlap.sample_id, embeddings.model, overlap.image_type,
                   overlap.cotr, embeddings.clip_score,
                   CAST(row_number() OVER (
                     PARTITION BY assignments.cluster_group
                     ORDER BY embeddings.clip_score DESC, overlap.sample_id
                   ) AS INT) AS place
            FROM {{overlap}} AS overlap
            JOIN {{assignments}} AS assignments USING (shard_id, sample_id)
            JOIN {{embeddings}} AS embeddings USING (shard_id, sample_id)
            WHERE {PROFILED} AND assignments.cluster_group IS NOT NULL AND embeddings.clip_score IS NOT NULL
            """,
        ),
        Step("top_samples", f"SELECT * FROM {{group_samples}} WHERE place <= {TOP_SAMPLES}"),
    ]
