"""SQL of the agreement of two spotters: words, text or none, image types, CoTR."""

from __future__ import annotations

from spark_jobs.sql.intervals import clustered_mean_bounds, mean, mean_bounds, share_bounds
from spark_jobs.sql.steps import Step

IMAGE_TYPES = ("no_text", "text_not_concurrent", "concurrent")

# Lower-cased runs of letters and digits of all readings, as a set.
_WORDS = r"array_distinct(regexp_extract_all(lower(array_join({side}.texts, ' ')), r'[\pL\pN]+', 0))"


def spotter_agreement_steps() -> list[Step]:
    """From `one` and `other` (a row per image that was read: key, `texts`, `image_type`, `cotr`) to one row.

    Word F1 is 2 x words in common / words of both, summed over images, and its interval that of a ratio over
    images with a word. CoTR's difference is one minus other, image by image.
    """
    return [
        Step("pairs", _pairs()),
        Step(
            "common",
            """
            SELECT *, IF(words > 0, 2 * size(array_intersect(one_words, other_words)), NULL) AS shared
            FROM (SELECT *, IF(is_both, nullif(size(one_words) + size(other_words), 0), NULL) AS words FROM {pairs})
            """,
        ),
        Step("agreement", _agreement()),
    ]


def type_count(one: str, other: str) -> str:
    """Name of the column that counts images of these types."""
    return f"{one}__{other}"


def _pairs() -> str:
    sides = ", ".join(
        f"{_WORDS.format(side=side)} AS {side}_words, {side}.image_type AS {side}_type, {side}.cotr AS {side}_cotr"
        for side in ("one", "other")
    )
    return f"""
        SELECT {sides}, one.cotr - other.cotr AS difference,
               one.sample_id IS NOT NULL AS is_of_one, other.sample_id IS NOT NULL AS is_of_other,
               one.sample_id IS NOT NULL AND other.sample_id IS NOT NULL AS is_both
        FROM {{one}} AS one FULL JOIN {{other}} AS other
          ON one.shard_id = other.shard_id AND one.sample_id = other.sample_id
    """


def _agreement() -> str:
    # Of an image that one of them has not read, one type is null: it counts nowhere.
    images = "count_if(is_both)"
    text = "count_if((one_type = 'no_text') = (other_type = 'no_text'))"
    types = "count_if(one_type = other_type)"
    counts = ", ".join(
        f"count_if(one_type = '{one}' AND other_type = '{other}') AS {type_count(one, other)}"
        for one in IMAGE_TYPES
        for other in IMAGE_TYPES
    )
    return f"""
        SELECT {images} AS images,
               count_if(is_of_one AND NOT is_both) AS images_of_one_only,
               count_if(is_of_other AND NOT is_both) AS images_of_other_only,
               count(words) AS images_with_words,
               sum(shared) / CAST(sum(words) AS DOUBLE) AS word_f1,
               {clustered_mean_bounds("shared", "words", "word_f1", is_rate=True)},
               {text} / nullif({images}, 0) AS text_or_none_agrees,
               {share_bounds(text, images, "text_or_none_agrees")},
               {types} / nullif({images}, 0) AS image_type_agrees,
               {share_bounds(types, images, "image_type_agrees")},
               {counts},
               count(difference) AS images_with_cotr,
               {mean("IF(difference IS NULL, NULL, one_cotr)")} AS cotr_one,
               {mean("IF(difference IS NULL, NULL, other_cotr)")} AS cotr_other,
               {mean("difference")} AS cotr_difference,
               {mean_bounds("difference", "cotr_difference")}
        FROM {{common}}
    """
