"""SQL of the text removal's statistics: the paper's Table 2 and Fig. 5."""

from __future__ import annotations

from schemas.stat_relative_score import BIN_WIDTH, RELATIVE_SCORES
from schemas.stat_text_removal import REMOVAL_IMAGE_TYPES
from schemas.text_removal_scores import RANDOM_VARIANTS
from spark_jobs.sql.intervals import mean, mean_bounds, sample_std, share_bounds
from spark_jobs.sql.statistics import quantiles
from spark_jobs.sql.steps import Step

# A mask share exists for every image with text that counts, and for no other. Images with text of which no word
# counts are of no type: their text is not removed, and they are not without text.
_SCORES = {
    "raw_without_text": "IF(NOT has_text, score_raw, NULL)",
    "raw_with_text": "IF(mask_share_all_removed IS NOT NULL, score_raw, NULL)",
    "raw_concurrent": "IF(mask_share_co_removed IS NOT NULL, score_raw, NULL)",
    **{name: f"score_{name}" for name in REMOVAL_IMAGE_TYPES if not name.startswith("raw_")},
}
_BINS_PER_ONE = round(1 / BIN_WIDTH)


# Differences of single-precision scores, and products of doubles, miss whole numbers by their last digits (0.58 * 50 is
# below 29); they are exact to some 1e-7, which is 5e-6 bins.
_DIGITS = 5


def _bin(value: str) -> str:
    """SQL of a histogram's bin; what is below 0 stays below."""
    place = f"floor(round({value} * {_BINS_PER_ONE}, {_DIGITS}))"
    return f"IF({value} < 0, least({place}, -1), {place})"


def _stacked(values: dict[str, str], name: str, value: str) -> str:
    """SQL that makes one row per named value of a row: columns `name` and `value`, a double or null."""
    pairs = ", ".join(f"'{key}', CAST({sql} AS DOUBLE)" for key, sql in values.items())
    return f"stack({len(values)}, {pairs}) AS ({name}, {value})"


def _typed_scores() -> Step:
    """One row per sample, model and image type: its score, and for random removals its share of hit text."""
    hits = {name: f"IF(score_{name} IS NOT NULL, hit_share_{name}, NULL)" for name in RANDOM_VARIANTS}
    values = ", ".join(
        f"'{name}', CAST({_SCORES[name]} AS DOUBLE), CAST({hits.get(name, 'NULL')} AS DOUBLE)"
        for name in REMOVAL_IMAGE_TYPES
    )
    return Step(
        "typed_scores",
        f"""
        SELECT model, shard_id, sample_id,
               stack({len(REMOVAL_IMAGE_TYPES)}, {values}) AS (image_type, score, hit_share)
        FROM {{scores}} WHERE status = 'ok'
        """,
    )


def text_removal_steps() -> list[Step]:
    """The paper's Table 2 per model, from `scores` and `assignments` of one dataset.

    The paper's figure is read as the unweighted mean of the groups' means, and its +/- as their spread
    (paper 1.9); both stand beside the plain mean. A row per model and type, also of types without an image.
    Without any assignment the groups' figures are null.
    """
    return [
        _typed_scores(),
        Step(
            "plain_means",
            f"""
            SELECT model, image_type, count(score) AS images,
                   {mean("score")} AS mean, {mean_bounds("score", "mean")}, {sample_std("score")} AS std,
                   IF(count(hit_share) > 0, count_if(hit_share > 0), NULL) AS images_hit,
                   {mean("hit_share")} AS mean_hit_share
            FROM {{typed_scores}} GROUP BY model, image_type
            """,
        ),
        Step(
            "group_means",
            f"""
            SELECT model, image_type, assignments.cluster_group, {mean("score")} AS group_mean
            FROM {{typed_scores}} JOIN {{assignments}} AS assignments USING (shard_id, sample_id)
            WHERE score IS NOT NULL AND assignments.cluster_group IS NOT NULL
            GROUP BY model, image_type, assignments.cluster_group
            """,
        ),
        Step(
            "means_over_groups",
            f"""
            SELECT model, image_type, count(*) AS groups, {mean("group_mean")} AS mean_over_groups,
                   {mean_bounds("group_mean", "mean_over_groups")},
                   {sample_std("group_mean")} AS spread_over_groups
            FROM {{group_means}} GROUP BY model, image_type
            """,
        ),
        Step(
            "image_type_scores",
            "SELECT * FROM {plain_means} LEFT JOIN {means_over_groups} USING (model, image_type)",
        ),
    ]


def text_removal_cluster_steps() -> list[Step]:
    """The image types by cluster and by group (Fig. 5 left), from `scores` and `assignments`.

    Samples without a cluster stand under -1: at each level the images add up to the dataset's.
    """
    return [
        _typed_scores(),
        Step(
            "clustered_scores",
            """
            SELECT model, image_type, score,
                   stack(2, 'cluster', coalesce(cluster, -1), 'group', coalesce(cluster_group, -1))
                     AS (level, cluster_id)
            FROM {typed_scores} LEFT JOIN {assignments} USING (shard_id, sample_id)
            """,
        ),
        Step(
            "cluster_scores",
            f"""
            SELECT level, cluster_id, model, image_type, count(score) AS images, {mean("score")} AS mean,
                   {mean_bounds("score", "mean")}
            FROM {{clustered_scores}} GROUP BY level, cluster_id, model, image_type
            """,
        ),
    ]


def relative_score_steps() -> list[Step]:
    """Distributions of RSA, RSC and the other paired differences per model (Fig. 5 right), from one dataset's `scores`.

    A row per model and difference, also of those that no image has.
    """
    stacked = _stacked({name: name for name in RELATIVE_SCORES}, "relative_score", "value")
    return [
        Step("relative_scores", f"SELECT model, {stacked} FROM {{scores}} WHERE status = 'ok'"),
        Step(
            "bins",
            f"""
            SELECT model, relative_score, count(*) AS images,
                   {_bin("value")} / CAST({_BINS_PER_ONE} AS DOUBLE) AS low
            FROM {{relative_scores}} WHERE value IS NOT NULL GROUP BY model, relative_score, low
            """,
        ),
        Step(
            "histograms",
            """
            SELECT model, relative_score,
                   array_sort(collect_list(named_struct('low', low, 'images', images))) AS histogram
            FROM {bins} GROUP BY model, relative_score
            """,
        ),
        Step(
            "moments",
            f"""
            SELECT model, relative_score, count(value) AS images,
                   {mean("value")} AS mean, {mean_bounds("value", "mean")}, {sample_std("value")} AS std,
                   {quantiles("value")} AS p, count_if(value < 0) AS images_below_zero
            FROM {{relative_scores}} GROUP BY model, relative_score
            """,
        ),
        Step(
            "distributions",
            f"""
            SELECT model, relative_score, images, mean, mean_low, mean_high, std,
                   p[0] AS p05, p[1] AS p25, p[2] AS p50, p[3] AS p75, p[4] AS p95,
                   images_below_zero, try_divide(images_below_zero, images) AS share_below_zero,
                   {share_bounds("images_below_zero", "images", "share_below_zero")},
                   coalesce(histogram, array()) AS histogram
            FROM {{moments}} LEFT JOIN {{histograms}} USING (model, relative_score)
            """,
        ),
    ]
