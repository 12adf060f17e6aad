"""SQL of the overlap: CoTR in both readings, fuzzy CoTR, image type."""

from __future__ import annotations

from spark_jobs.sql.steps import Step


def overlap_steps() -> list[Step]:
    """From `token_sets` (distinct words per sample) to the measures of `caption_overlap`.

    Definitions: paper Algorithm 1 and section 4.1; DESIGN 2 where the paper is silent. A caption without
    words has no rate (null). The fuzzy rate takes, for each caption word, its best similarity
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
            """
            SELECT *,
                   CASE WHEN size(caption_words) > 0
                        THEN size(co_emb_words) / size(caption_words) END AS cotr,
                   CASE WHEN size(caption_verbatim) > 0
                        THEN common_verbatim / size(caption_verbatim) END AS cotr_verbatim,
                   CASE WHEN size(caption_words) > 0
                        THEN aggregate(
                               caption_words, 0D,
                               (total, word) -> total + coalesce(array_max(transform(
                                 spotted_words,
                                 spotted -> 1D - levenshtein(word, spotted)
                                                 / greatest(length(word), length(spotted))
                               )), 0D)
                             ) / size(caption_words) END AS fuzzy_cotr
            FROM {words_in_common}
            """,
        ),
        Step(
            "sample_overlap",
            """
            SELECT shard_id, sample_id, status, error,
                   IF(status = 'ok', caption_words, NULL) AS caption_words,
                   IF(status = 'ok', co_emb_words, NULL) AS co_emb_words,
                   spotted_word_count,
                   IF(status = 'ok', cotr, NULL) AS cotr,
                   IF(status = 'ok', cotr_verbatim, NULL) AS cotr_verbatim,
                   IF(status = 'ok', fuzzy_cotr, NULL) AS fuzzy_cotr,
                   CASE WHEN status <> 'ok' THEN NULL
                        WHEN spotted_word_count = 0 THEN 'no_text'
                        WHEN cotr > 0 THEN 'concurrent'
                        ELSE 'text_not_concurrent' END AS image_type
            FROM {rates}
            """,
        ),
    ]
