"""SQL of the overlap: CoTR in both readings, fuzzy CoTR, image type."""

from __future__ import annotations

from spark_jobs.sql.steps import Step


def spotted_words(min_confidence: float, detection_confidence: float) -> str:
    """SQL of the spotted words, from `words`, `image_width` and `image_height` of `spotted_text`.

    The area is the shoelace formula over the polygon, which `spot_text` has clipped to the image (as
    `udfs.geometry.area`; here in SQL, so that polygons never leave the JVM).

    Args:
        min_confidence: Words from here on count.
        detection_confidence: Words from here on detect text.

    Returns:
        An expression of type array<struct<index int, text string, confidence float, counts boolean, detects
        boolean, area_ratio double>>, without words that do neither; the ratio is null where the image's size is
        not known.
    """
    area = """
        abs(aggregate(
          sequence(0, size(word.polygon) - 1), 0D,
          (total, i) -> total
            + CAST(word.polygon[i].x AS DOUBLE) * word.polygon[(i + 1) % size(word.polygon)].y
            - CAST(word.polygon[i].y AS DOUBLE) * word.polygon[(i + 1) % size(word.polygon)].x
        )) / 2"""
    return f"""
        filter(
          transform(words, (word, i) -> struct(
            CAST(i AS INT) AS index, word.text AS text, word.confidence AS confidence,
            word.confidence >= CAST({min_confidence!r}D AS FLOAT) AS counts,
            word.confidence >= CAST({detection_confidence!r}D AS FLOAT) AS detects,
            try_divide(IF(size(word.polygon) > 2, {area}, 0D),
                       CAST(image_width AS DOUBLE) * image_height) AS area_ratio)),
          word -> word.counts OR word.detects
        )"""


def fuzzy_rate(words: str) -> str:
    """SQL of the fuzzy CoTR of a caption's words beside `spotted_words`; null without words, 0 without text."""
    return f"""
        CASE WHEN size({words}) > 0
             THEN aggregate(
                    {words}, 0D,
                    (total, word) -> total + coalesce(array_max(transform(
                      spotted_words,
                      spotted -> 1D - levenshtein(word, spotted)
                                      / greatest(length(word), length(spotted))
                    )), 0D)
                  ) / size({words}) END"""


def overlap_steps() -> list[Step]:
    """From `token_sets` (distinct words per sample) to the measures of `caption_overlap`.

    Definitions: paper Algorithm 1 and section 4.1; DESIGN 2 where the paper is silent. A caption without
    words, or whose words cannot be told apart, has no rate (null). The fuzzy rate takes, for each caption
    word, its best similarity
    `1 - levenshtein / length of the longer word` to any spotted word.
    """
    return [
        Step(
            "words_in_common",
            """
            SELECT *,
                   array_intersect(caption_words, spotted_words) AS co_emb_words,
                   size(array_intersect(caption_verbatim, spotted_verbatim)) AS common_verbatim
            FROM {token_sets}
            """,
        ),
        Step(
            "rates",
            f"""
            SELECT *,
                   CASE WHEN size(caption_words) > 0
                        THEN size(co_emb_words) / size(caption_words) END AS cotr,
                   CASE WHEN size(caption_verbatim) > 0
                        THEN common_verbatim / size(caption_verbatim) END AS cotr_verbatim,
                   {fuzzy_rate("caption_words")} AS fuzzy_cotr
            FROM {{words_in_common}}
            """,
        ),
        Step(
            "sample_overlap",
            """
            SELECT shard_id, sample_id, status, error,
                   IF(status = 'ok', caption_words, NULL) AS caption_words,
                   IF(status = 'ok', co_emb_words, NULL) AS co_emb_words,
                   IF(status = 'ok', spotted_words, NULL) AS spotted_words,
                   text_detected, spotted_word_count, mean_confidence, used_words,
                   IF(status = 'ok', cotr, NULL) AS cotr,
                   IF(status = 'ok', cotr_verbatim, NULL) AS cotr_verbatim,
                   IF(status = 'ok', fuzzy_cotr, NULL) AS fuzzy_cotr,
                   cotr_reason,
                   CASE WHEN status <> 'ok' THEN NULL
                        WHEN NOT text_detected THEN 'no_text'
                        WHEN cotr > 0 THEN 'concurrent'
                        ELSE 'text_not_concurrent' END AS image_type
            FROM {rates}
            """,
        ),
    ]
