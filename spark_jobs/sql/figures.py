"""SQL of the paper's figures as tables: distributions of CoTR and CLIP score, and Fig. 4.

Images are those of `overall_steps`: text was spotted and the caption has a word.
"""

from __future__ import annotations

from spark_jobs.sql.intervals import mean, mean_bounds
from spark_jobs.sql.statistics import PROFILED, quantiles
from spark_jobs.sql.steps import Step

COTR_BINS = 20
COTR_MEASURES = ("cotr", "cotr_verbatim", "fuzzy_cotr")
SCORE_BINS = 100  # to a score of 1
MOST_WORDS = 50
# Lower ends of area ratios: text is small, so that bins of equal width would hold nearly all of it in one.
AREA_LIMITS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
# Products of doubles miss whole numbers by their last digit (0.55 * 20); no rate lies that close to an end.
_DIGITS = 9


def cotr_histogram_steps() -> list[Step]:
    """Distribution of CoTR, verbatim CoTR and fuzzy CoTR with the captions' lengths, from `overlap`.

    Every bin has a row. Lengths are those of captions of images with text, as the paper's CoTR subsets are.
    """
    measures = ", ".join(f"'{name}', {name}" for name in COTR_MEASURES)
    names = ", ".join(f"'{name}'" for name in COTR_MEASURES)
    return [
        Step(
            "image_rates",
            f"""
            SELECT image_type, IF(image_type <> 'no_text', size(caption_words), NULL) AS words,
                   stack({len(COTR_MEASURES)}, {measures}) AS (measure, rate)
            FROM {{overlap}} AS overlap WHERE {PROFILED}
            """,
        ),
        Step(
            "rate_bins",
            f"""
            SELECT measure, CAST(ceil(round(rate * {COTR_BINS}, {_DIGITS})) AS INT) AS bin,
                   count(*) AS images, count_if(image_type <> 'no_text') AS images_with_text,
                   {mean("words")} AS mean_caption_words, {mean_bounds("words", "mean_caption_words")}
            FROM {{image_rates}} WHERE rate IS NOT NULL GROUP BY measure, 2
            """,
        ),
        Step(
            "all_rate_bins",
            f"""
            SELECT measure, bin,
                   greatest(bin - 1, 0) / {COTR_BINS} AS low, bin / {COTR_BINS} AS high,
                   coalesce(images, 0L) AS images, coalesce(images_with_text, 0L) AS images_with_text,
                   mean_caption_words, mean_caption_words_low, mean_caption_words_high
            FROM (SELECT explode(array({names})) AS measure)
            CROSS JOIN (SELECT explode(sequence(0, {COTR_BINS})) AS bin)
            LEFT JOIN {{rate_bins}} USING (measure, bin)
            """,
        ),
    ]


def clip_score_histogram_steps() -> list[Step]:
    """Distribution of CLIP scores by image type, from `overlap` and `embeddings`; as `clip_score_steps`."""
    return [
        Step(
            "score_bins",
            f"""
            SELECT embeddings.model, overlap.image_type, {_score_bin("embeddings.clip_score")} AS bin,
                   count(*) AS images
            FROM {{overlap}} AS overlap JOIN {{embeddings}} AS embeddings USING (shard_id, sample_id)
            WHERE {PROFILED} AND embeddings.clip_score IS NOT NULL
            GROUP BY 1, 2, 3
            """,
        ),
        Step(
            "score_histogram",
            f"SELECT *, bin / {SCORE_BINS} AS low, (bin + 1) / {SCORE_BINS} AS high FROM {{score_bins}}",
        ),
    ]


def caption_words_steps() -> list[Step]:
    """Images by their numbers of caption words and of co-emb words, from `overlap` (Fig. 4a)."""
    return [
        Step(
            "word_counts",
            f"""
            SELECT least(size(caption_words), {MOST_WORDS}) AS caption_words,
                   least(size(co_emb_words), {MOST_WORDS}) AS co_emb_words,
                   count(*) AS images, count_if(image_type <> 'no_text') AS images_with_text,
                   count_if(size(co_emb_words) = size(caption_words)) AS images_fully_parroted
            FROM {{overlap}} AS overlap WHERE {PROFILED} GROUP BY 1, 2
            """,
        )
    ]


def text_area_steps() -> list[Step]:
    """CLIP score by the area that co-emb words cover, from `overlap` and `embeddings` (Fig. 4b)."""
    return [
        _co_emb_areas(),
        Step(
            "area_scores",
            f"""
            SELECT model, bin, {_area_limits("bin")}, images, mean, mean_low, mean_high,
                   p[0] AS p05, p[1] AS p25, p[2] AS p50, p[3] AS p75, p[4] AS p95
            FROM (
              SELECT model, bin, count(*) AS images, {mean("clip_score")} AS mean,
                     {mean_bounds("clip_score", "mean")}, {quantiles("clip_score")} AS p
              FROM {{co_emb_areas}} GROUP BY model, bin
            )
            """,
        ),
    ]


def text_area_score_steps() -> list[Step]:
    """Images by area of co-emb words and CLIP score, from `overlap` and `embeddings` (density of Fig. 4b)."""
    return [
        _co_emb_areas(),
        Step(
            "area_score_bins",
            f"""
            SELECT model, bin AS area_bin, {_score_bin("clip_score")} AS score_bin, count(*) AS images
            FROM {{co_emb_areas}} GROUP BY 1, 2, 3
            """,
        ),
        Step(
            "area_score_density",
            f"""
            SELECT *, {_area_limits("area_bin", prefix="area_")},
                   score_bin / {SCORE_BINS} AS score_low, (score_bin + 1) / {SCORE_BINS} AS score_high
            FROM {{area_score_bins}}
            """,
        ),
    ]


def _co_emb_areas() -> Step:
    return Step(
        "co_emb_areas",
        f"""
        SELECT model, clip_score, area_ratio, {_area_bin("area_ratio")} AS bin
        FROM (
          SELECT embeddings.model, CAST(embeddings.clip_score AS DOUBLE) AS clip_score,
                 aggregate(filter(overlap.used_words, word -> word.co_emb), 0D,
                           (total, word) -> total + word.area_ratio) AS area_ratio
          FROM {{overlap}} AS overlap JOIN {{embeddings}} AS embeddings USING (shard_id, sample_id)
          WHERE {PROFILED} AND overlap.image_type = 'concurrent' AND embeddings.clip_score IS NOT NULL
        ) WHERE area_ratio IS NOT NULL
        """,
    )


def word_area_steps() -> list[Step]:
    """Areas of single words, co-emb words against others, from `overlap` (Fig. 4c); every bin has a row."""
    return [
        Step(
            "single_words",
            f"""
            SELECT word.co_emb AS co_emb, word.area_ratio AS area_ratio,
                   {_area_bin("word.area_ratio")} AS bin
            FROM (SELECT explode(used_words) AS word FROM {{overlap}} AS overlap WHERE {PROFILED})
            WHERE word.area_ratio IS NOT NULL
            """,
        ),
        Step(
            "word_bins",
            f"""
            SELECT co_emb, bin, count(*) AS words, {mean("area_ratio")} AS mean_area_ratio,
                   {mean_bounds("area_ratio", "mean_area_ratio")}
            FROM {{single_words}} GROUP BY co_emb, bin
            """,
        ),
        Step(
            "word_areas",
            f"""
            SELECT co_emb, bin, {_area_limits("bin")}, coalesce(words, 0L) AS words,
                   try_divide(coalesce(words, 0L), sum(words) OVER (PARTITION BY co_emb)) AS share,
                   mean_area_ratio, mean_area_ratio_low, mean_area_ratio_high
            FROM (SELECT explode(array(true, false)) AS co_emb)
            CROSS JOIN (SELECT explode(sequence(0, {len(AREA_LIMITS) - 1})) AS bin)
            LEFT JOIN {{word_bins}} USING (co_emb, bin)
            """,
        ),
    ]


def _area_bin(ratio: str) -> str:
    # Limits are ascending: the bin is how many of the others are not above the ratio.
    limits = ", ".join(f"{limit!r}D" for limit in AREA_LIMITS[1:])
    return f"size(filter(array({limits}), limit -> {ratio} >= limit))"


def _area_limits(place: str, *, prefix: str = "") -> str:
    limits = ", ".join(f"{limit!r}D" for limit in AREA_LIMITS)
    # An array has nothing at the index after its end: the last bin is open.
    return f"get(array({limits}), {place}) AS {prefix}low, get(array({limits}), {place} + 1) AS {prefix}high"


def _score_bin(score: str) -> str:
    return f"CAST(floor(round(CAST({score} AS DOUBLE) * {SCORE_BINS}, 5)) AS INT)"
