"""SQL of the published statistics."""

from __future__ import annotations

from spark_jobs.sql.steps import Step


def mean(value: str) -> str:
    """SQL of a mean that does not depend on the order of rows.

    A sum of doubles differs in its last digits with the files that rows come from, so that the same rows
    would give another table; a sum of decimals is exact.
    """
    return f"CAST(avg(CAST({value} AS DECIMAL(20, 16))) AS DOUBLE)"


def sample_std(value: str) -> str:
    """SQL of the sample standard deviation from exact sums; null for a single value."""
    total = f"CAST(sum(CAST({value} AS DECIMAL(20, 16))) AS DOUBLE)"
    squares = f"CAST(sum(CAST({value} * {value} AS DECIMAL(20, 16))) AS DOUBLE)"
    count = f"count({value})"
    variance = f"greatest(0D, {squares} - {total} * {total} / {count})"
    return f"CASE WHEN {count} > 1 THEN sqrt({variance} / ({count} - 1)) END"


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
                   {mean("IF(profiled, IF(with_text, cotr, 0D), NULL)")} AS cotr_in_total,
                   {mean("IF(with_text, cotr, NULL)")} AS cotr_with_text,
                   {mean("IF(profiled, IF(with_text, fuzzy_cotr, 0D), NULL)")} AS fuzzy_cotr_in_total,
                   {mean("IF(with_text, fuzzy_cotr, NULL)")} AS fuzzy_cotr_with_text,
                   {mean("IF(profiled, IF(with_text, cotr_verbatim, 0D), NULL)")} AS cotr_verbatim_in_total,
                   {mean("IF(with_text, cotr_verbatim, NULL)")} AS cotr_verbatim_with_text
            FROM {{profiled_samples}}
            """,
        ),
        Step(
            "dataset_profile",
            """
            SELECT *,
                   try_divide(images_with_text, images) AS share_with_text,
                   try_divide(images_with_unsure_text, images) AS share_unsure_text,
                   try_divide(images_with_co_emb_text, images) AS share_co_emb,
                   try_divide(images_with_co_emb_text, images_with_text) AS share_co_emb_of_text
            FROM {dataset_totals}
            """,
        ),
    ]


def clip_score_steps() -> list[Step]:
    """CLIP score by image type, from `overlap` and `embeddings` of one dataset."""
    return [
        Step(
            "scored_images",
            """
            SELECT embeddings.model, overlap.image_type, CAST(embeddings.clip_score AS DOUBLE) AS clip_score
            FROM {overlap} AS overlap JOIN {embeddings} AS embeddings USING (shard_id, sample_id)
            WHERE overlap.image_type IS NOT NULL AND embeddings.clip_score IS NOT NULL
            """,
        ),
        Step(
            "image_type_scores",
            f"""
            SELECT model, image_type, images, mean, std,
                   p[0] AS p05, p[1] AS p25, p[2] AS p50, p[3] AS p75, p[4] AS p95
            FROM (
              SELECT model, image_type, count(*) AS images, {mean("clip_score")} AS mean,
                     {sample_std("clip_score")} AS std,
                     percentile_approx(clip_score, array(0.05, 0.25, 0.5, 0.75, 0.95), 10000) AS p
              FROM {{scored_images}} GROUP BY model, image_type
            )
            """,
        ),
    ]


def cluster_steps() -> list[Step]:
    """Image types, CoTR and CLIP score by cluster and by group, from one dataset's tables (paper Fig. 3a).

    Images and CoTR are counted as in `overall_steps`, and samples without a cluster stand under -1: at each
    level sizes and image types add up to the dataset's, and the mean CoTR weighted by images is the total.
    """
    return [
        Step(
            "clustered_samples",
            """
            SELECT coalesce(assignments.cluster, -1) AS cluster,
                   coalesce(assignments.cluster_group, -1) AS cluster_group,
                   IF(overlap.status = 'ok' AND size(overlap.caption_words) > 0,
                      overlap.image_type, NULL) AS image_type,
                   IF(overlap.image_type = 'no_text', 0D, overlap.cotr) AS cotr,
                   CAST(embeddings.clip_score AS DOUBLE) AS clip_score
            FROM {overlap} AS overlap
            LEFT JOIN {assignments} AS assignments USING (shard_id, sample_id)
            LEFT JOIN {embeddings} AS embeddings USING (shard_id, sample_id)
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
                   {mean("IF(image_type IS NOT NULL, cotr, NULL)")} AS cotr,
                   count(clip_score) AS scored, {mean("clip_score")} AS mean_clip_score
            FROM {{leveled_samples}} GROUP BY level, cluster_id
            """,
        ),
        Step(
            "cluster_profile",
            """
            SELECT *,
                   try_divide(images_no_text, images) AS share_no_text,
                   try_divide(images_text_not_concurrent, images) AS share_text_not_concurrent,
                   try_divide(images_concurrent, images) AS share_concurrent
            FROM {cluster_totals}
            """,
        ),
    ]
