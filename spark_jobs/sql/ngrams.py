"""SQL of the n-gram vocabularies: the exact top N of each, without a task that holds a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping

from spark_jobs.sql.steps import Step

GRAMS_PER_BLOCK = 1000
"""Grams of one shard of `ngram_vocabulary`: the unit of work of stage `render_text`."""

_PREFIX_CHARACTERS = 3


def ngram_steps(top: int) -> list[Step]:
    """From `gram_counts` (vocabulary, gram, count) to the most frequent grams with their ranks.

    Order: count, highest first, then gram by code points. A count's place is found in the histogram of counts,
    which has at most the root of twice the number of occurrences of entries (200,000 for 20 billion words).
    Only the grams of one count may be kept in part; where they are many, a second histogram, by their first
    characters, finds the few that need sorting. So no sort sees more than `top` grams and the last prefix's, and
    what is broadcast are histograms (at most `top` prefixes).

    Args:
        top: Grams kept per vocabulary.
    """
    args = {"top": top}
    return [*_chosen_grams(args), *_ranked_grams(args)]


def _chosen_grams(args: Mapping[str, int]) -> list[Step]:
    """From `gram_counts` to `surviving_grams`: the top grams, with how many of a higher count stand above."""
    return [
        Step(
            "count_places",
            """
            SELECT vocabulary, count, above, :top - above AS room, grams
            FROM (
              SELECT vocabulary, count, grams,
                     sum(grams) OVER (PARTITION BY vocabulary ORDER BY count DESC) - grams AS above
              FROM (SELECT vocabulary, count, count(*) AS grams FROM {gram_counts} GROUP BY vocabulary, count)
            )
            WHERE above < :top
            """,
            args,
        ),
        Step(
            "placed_grams",
            """
            SELECT /*+ BROADCAST(place) */ vocabulary, gram, count, above, grams <= room AS fits, room
            FROM {gram_counts} JOIN {count_places} AS place USING (vocabulary, count)
            """,
        ),
        Step(
            "prefix_places",
            f"""
            SELECT vocabulary, prefix
            FROM (
              SELECT vocabulary, prefix, room,
                     sum(grams) OVER (PARTITION BY vocabulary ORDER BY prefix) - grams AS before
              FROM (
                SELECT vocabulary, left(gram, {_PREFIX_CHARACTERS}) AS prefix, room, count(*) AS grams
                FROM {{placed_grams}} WHERE NOT fits GROUP BY vocabulary, left(gram, {_PREFIX_CHARACTERS}), room
              )
            )
            WHERE before < room
            """,
        ),
        Step(
            "surviving_grams",
            f"""
            SELECT vocabulary, gram, count, above FROM {{placed_grams}} WHERE fits
            UNION ALL
            SELECT /*+ BROADCAST(place) */ placed.vocabulary, gram, count, above
            FROM {{placed_grams}} AS placed
            JOIN {{prefix_places}} AS place
              ON placed.vocabulary = place.vocabulary AND left(placed.gram, {_PREFIX_CHARACTERS}) = place.prefix
            WHERE NOT placed.fits
            """,
        ),
    ]


def _ranked_grams(args: Mapping[str, int]) -> list[Step]:
    """From `surviving_grams` to rows of `ngram_vocabulary`."""
    return [
        Step(
            "ranked_grams",
            """
            SELECT vocabulary, gram, count,
                   CAST(above + row_number() OVER (PARTITION BY vocabulary, count ORDER BY gram) AS INT) AS rank
            FROM {surviving_grams}
            """,
        ),
        Step(
            "vocabulary_rows",
            f"""
            SELECT concat(vocabulary, '-', lpad(CAST((rank - 1) DIV {GRAMS_PER_BLOCK} AS STRING), 5, '0'))
                     AS shard_id,
                   md5(concat(vocabulary, ':', gram)) AS sample_id,
                   vocabulary, gram, count, rank, 'ok' AS status, CAST(NULL AS STRING) AS error
            FROM {{ranked_grams}} WHERE rank <= :top
            """,
            args,
        ),
    ]
