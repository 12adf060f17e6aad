"""SQL of the synthetic-text statistics: Sync scores by model, vocabulary, style, frequency and text length."""

from __future__ import annotations

from spark_jobs.sql.statistics import mean, sample_std
from spark_jobs.sql.steps import Step

LENGTH_BAND = 2
"""Characters per band of text length."""

LONGEST_BAND_FROM = 41
"""Texts of this many characters and more are one band."""


def synthetic_text_steps() -> list[Step]:
    """Sync scores (mean and standard deviation of `score`) from `scores` and `vocabulary` of one dataset.

    Each score counts in its style and in style `all`; in grouping `all`, in the decade of its gram's count (1-9,
    10-99, ...; paper Fig. 6b), and in its band of characters (1-2, 3-4, ...; Fig. 7). The paper does not give
    its own intervals. Grams that have left the vocabulary since they were scored are not counted.
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
                     AS length_from
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
            LATERAL VIEW explode(array(
              named_struct('grouping', 'all', 'band_from', 0L, 'band_to', CAST(NULL AS BIGINT)),
              named_struct('grouping', 'frequency', 'band_from', count_from, 'band_to', count_from * 10 - 1),
              named_struct('grouping', 'length', 'band_from', length_from, 'band_to',
                           IF(length_from < {LONGEST_BAND_FROM}, length_from + {LENGTH_BAND - 1}, NULL))
            )) bands AS band
            """,
        ),
        Step(
            "sync_scores",
            f"""
            SELECT model, vocabulary, style, grouping, band_from, band_to,
                   count(DISTINCT sample_id) AS grams, count(*) AS images,
                   count(DISTINCT IF(overflows, sample_id, NULL)) AS grams_overflowing,
                   {mean("score")} AS mean, {sample_std("score")} AS std
            FROM {{grouped_texts}}
            GROUP BY model, vocabulary, style, grouping, band_from, band_to
            """,
        ),
    ]
