"""SQL of the published statistics."""

from __future__ import annotations

from spark_jobs.sql.intervals import mean, mean_bounds, sample_std, share_bounds
from spark_jobs.sql.steps import Step

PROFILED = "overlap.status = 'ok' AND size(overlap.caption_words) > 0"
"""Images that rates refer to: text was spotted and the caption has a word."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def quantiles(value: str) -> str:
    """SQL of an array of the exact `QUANTILES`, interpolated, of values rounded to 4 digits.

    Rounding leaves few distinct values to hold, however many rows there are; the result does not depend on
    their order.
    """
    return f"percentile(round({value}, 4), array({', '.join(map(str, QUANTILES))}))"


def overall_steps() -> list[Step]:
    """The paper's Table 1 from `overlap` (one row per sample of one dataset).

    "In total" is the mean over images with no-text images counted 0, so that total = share with text x
    mean with text (paper 1.4: 28.24 % x 0.546 = 15.42 %). Rates use samples whose text was spotted and
    whose caption has a word.
    """
    return [
        Step(
            "profiled_samples",
            """
            SELECT *,
                   status = 'ok' AND size(caption_words) > 0 AS profiled,
                   status = 'ok' AND size(caption_words) > 0 AND image_type <> 'no_text' AS with_text
            FROM {overlap}
            """,
        ),
        Step(
            "dataset_totals",
            f"""
            SELECT count(*) AS samples,
                   count_if(profiled) AS images,
                   count_if(status <> 'ok') AS not_spotted,
                   count_if(status = 'ok' AND NOT profiled) AS without_caption_words,
                   count_if(with_text) AS images_with_text,
                   count_if(status = 'ok' AND cotr_reason = 'script_without_spaces') AS captions_not_cut,
                   count_if(with_text AND spotted_word_count = 0) AS images_with_unsure_text,
                   count_if(profiled AND image_type = 'concurrent') AS images_with_co_emb_text,
                   count_if(with_text AND cotr_verbatim > 0) AS images_with_verbatim_co_emb_text,
                   {", ".join(_rate(*rate) for rate in _RATES)}
            FROM {{profiled_samples}}
            """,
        ),
        Step(
            "dataset_profile",
            f"""
            SELECT *, {", ".join(_share(*share) for share in _SHARES)}
            FROM {{dataset_totals}}
            """,
        ),
    ]


_RATES = tuple(
    (measure, of) for measure in ("cotr", "fuzzy_cotr", "cotr_verbatim") for of in ("in_total", "with_text")
)
_IMAGE_TYPES = ("no_text", "text_not_concurrent", "concurrent")
_SHARES = (
    ("share_with_text", "images_with_text", "images"),
    ("share_unsure_text", "images_with_unsure_text", "images"),
    ("share_co_emb", "images_with_co_emb_text", "images"),
    ("share_co_emb_of_text", "images_with_co_emb_text", "images_with_text"),
    ("share_verbatim_of_text", "images_with_verbatim_co_emb_text", "images_with_text"),
)


def _rate(measure: str, of: str) -> str:
    value = (
        f"IF(profiled, IF(with_text, {measure}, 0D), NULL)"
        if of == "in_total"
        else f"IF(with_text, {measure}, NULL)"
    )
    name = f"{measure}_{of}"
    return f"{mean(value)} AS {name}, {mean_bounds(value, name, is_rate=True)}"


def _share(name: str, part: str, whole: str) -> str:
    return f"try_divide({part}, {whole}) AS {name}, {share_bounds(part, whole, name)}"


def clip_score_steps() -> list[Step]:
    """CLIP score by image type, from `overlap` and `embeddings` of one dataset; images as in `overall_steps`."""
    return [
        Step(
            "scored_images",
            f"""
            SELECT embeddings.model, overlap.image_type, CAST(embeddings.clip_score AS DOUBLE) AS clip_score
            FROM {{overlap}} AS overlap JOIN {{embeddings}} AS embeddings USING (shard_id, sample_id)
            WHERE {PROFILED} AND embeddings.clip_score IS NOT NULL
            """,
        ),
        Step(
            "image_type_scores",
            f"""
            SELECT model, image_type, images, mean, mean_low, mean_high, std,
                   p[0] AS p05, p[1] AS p25, p[2] AS p50, p[3] AS p75, p[4] AS p95
            FROM (
              SELECT model, image_type, count(*) AS images, {mean("clip_score")} AS mean,
                     {mean_bounds("clip_score", "mean")},
                     {sample_std("clip_score")} AS std, {quantiles("clip_score")} AS p
              FROM {{scored_images}} GROUP BY model, image_type
            )
            """,
        ),
    ]


def cluster_steps() -> list[Step]:
    """Image types, CoTR and CLIP score by cluster and by group, from one dataset's tables (paper Fig. 3a).

    Images, CoTR and scores are counted as in `overall_steps`, and samples without a cluster stand under -1: at
    each level sizes and image types add up to the dataset's, and the mean CoTR weighted by images is the total.
    """
    return [
        Step(
            "clustered_samples",
            f"""
            SELECT coalesce(assignments.cluster, -1) AS cluster,
                   coalesce(assignments.cluster_group, -1) AS cluster_group,
                   IF({PROFILED}, overlap.image_type, NULL) AS image_type,
                   IF({PROFILED}, IF(overlap.image_type = 'no_text', 0D, overlap.cotr), NULL) AS cotr,
                   IF({PROFILED}, CAST(embeddings.clip_score AS DOUBLE), NULL) AS clip_score
            FROM {{overlap}} AS overlap
            LEFT JOIN {{assignments}} AS assignments USING (shard_id, sample_id)
            LEFT JOIN {{embeddings}} AS embeddings USING (shard_id, sample_id)
            """,
        ),
        Step(
            "leveled_samples",
            """
            SELECT 'cluster' AS level, cluster AS cluster_id, image_type, cotr, clip_score
            FROM {clustered_samples}
            UNION ALL
            SELECT 'group' AS level, cluster_group AS cluster_id, image_type, cotr, clip_score
            FROM {clustered_samples}
            """,
        ),
        Step(
            "cluster_totals",
            f"""
            SELECT level, cluster_id, count(*) AS samples, count(image_type) AS images,
                   count_if(image_type = 'no_text') AS images_no_text,
                   count_if(image_type = 'text_not_concurrent') AS images_text_not_concurrent,
                   count_if(image_type = 'concurrent') AS images_concurrent,
                   {mean("cotr")} AS cotr, {mean_bounds("cotr", "cotr", is_rate=True)},
                   count(clip_score) AS scored, {mean("clip_score")} AS mean_clip_score,
                   {mean_bounds("clip_score", "mean_clip_score")}
            FROM {{leveled_samples}} GROUP BY level, cluster_id
            """,
        ),
        Step(
            "cluster_profile",
            f"""
            SELECT *, {", ".join(_share(f"share_{kind}", f"images_{kind}", "images") for kind in _IMAGE_TYPES)}
            FROM {{cluster_totals}}
            """,
        ),
    ]
