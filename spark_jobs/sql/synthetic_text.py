"""SQL of the synthetic-text statistics: Sync scores by model, vocabulary, style, frequency, length and tokens."""

from __future__ import annotations

from spark_jobs.sql.intervals import clustered_mean_bounds, exact_sum
from spark_jobs.sql.steps import Step

LENGTH_BAND = 2
"""Characters per band of text length."""

LONGEST_BAND_FROM = 41
"""Texts of this many characters and more are one band."""


MOST_TOKENS = 12
"""Texts of this many BPE tokens and more are one band."""


def synthetic_text_steps() -> list[Step]:
    """Sync scores (mean and standard deviation of `score`) from `scores` and `vocabulary` of one dataset.

    Each score counts in its style and in style `all`; in grouping `all`, in the decade of its gram's count (1-9,
    10-99, ...; paper Fig. 6b), in its band of characters (1-2, 3-4, ...; Fig. 7), and by its BPE tokens. The paper
    does not give its own intervals of counts and lengths. Grams that have left the vocabulary since they were
    scored are not counted. The pictures of one gram resemble each other, so the mean's interval is over grams.
    """
    length = "length(scores.gram)"
    return [
        Step(
            "scored_texts",
            f"""
            SELECT scores.sample_id, scores.model, scores.vocabulary, scores.style, scores.overflows,
                   CAST(scores.score AS DOUBLE) AS score,
                   CAST(pow(10, length(CAST(grams.count AS STRING)) - 1) AS BIGINT) AS count_from,
                   CAST(least({length} - pmod({length} - 1, {LENGTH_BAND}), {LONGEST_BAND_FROM}) AS BIGINT)
                     AS length_from,
                   -- least() passes nulls over: a gram without a count would be of the longest band
                   IF(grams.bpe_tokens IS NULL, NULL, CAST(least(grams.bpe_tokens, {MOST_TOKENS}) AS BIGINT)) AS tokens
            FROM {{scores}} AS scores JOIN {{grams}} AS grams USING (sample_id)
            WHERE scores.status = 'ok'
            """,
        ),
        Step(
            "grouped_texts",
            f"""
            SELECT sample_id, model, vocabulary, counted_style AS style, overflows, score,
                   band.grouping, band.band_from, band.band_to
            FROM {{scored_texts}}
            LATERAL VIEW explode(array(style, 'all')) styles AS counted_style
            LATERAL VIEW explode(filter(array(
              named_struct('grouping', 'all', 'band_from', 0L, 'band_to', CAST(NULL AS BIGINT)),
              named_struct('grouping', 'frequency', 'band_from', count_from, 'band_to', count_from * 10 - 1),
              named_struct('grouping', 'length', 'band_from', length_from, 'band_to',
                           IF(length_from < {LONGEST_BAND_FROM}, length_from + {LENGTH_BAND - 1}, NULL)),
              named_struct('grouping', 'tokens', 'band_from', tokens, 'band_to',
                           IF(tokens < {MOST_TOKENS}, tokens, NULL))
            ), entry -> entry.band_from IS NOT NULL)) bands AS band
            """,
        ),
        *_summed(),
    ]


def _summed() -> list[Step]:
    """Sums by gram, then means, their intervals and deviations by band."""
    return [
        Step(
            "gram_scores",
            f"""
            SELECT model, vocabulary, style, grouping, band_from, band_to, sample_id,
                   count(score) AS images, max(overflows) AS overflows,
                   {exact_sum("score")} AS total, {exact_sum("score * score")} AS squares
            FROM {{grouped_texts}}
            GROUP BY model, vocabulary, style, grouping, band_from, band_to, sample_id
            """,
        ),
        Step(
            "sync_scores",
            f"""
            SELECT model, vocabulary, style, grouping, band_from, band_to,
                   count(*) AS grams, sum(images) AS images, count_if(overflows) AS grams_overflowing,
                   {_MEAN} AS mean, {clustered_mean_bounds("total", "images", "mean")},
                   CASE WHEN sum(images) > 1 THEN sqrt(
                     greatest(0D, {exact_sum("squares")} - {_MEAN} * {exact_sum("total")}) / (sum(images) - 1)
                   ) END AS std
            FROM {{gram_scores}}
            GROUP BY model, vocabulary, style, grouping, band_from, band_to
            """,
        ),
    ]


_MEAN = f"{exact_sum('total')} / CAST(sum(images) AS DOUBLE)"
