"""SQL of the chance level of parroting: the same statistics with captions exchanged within the dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_jobs.sql.intervals import Z, student
from spark_jobs.sql.statistics import PROFILED
from spark_jobs.sql.steps import PythonColumn, Step
from spark_jobs.warehouse.addresses import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column

RING = 1000
"""Samples that exchange captions among themselves, about: no task sorts more."""
SEED = 20231221
# Values of a ring are summed as whole numbers of this unit, exactly: a ring has at most some 2,000 values of at most 2,
# which is below 2 ** 63. Sums of decimals took a third of the statistic's time.
_UNIT = 2**-50


@dataclass(frozen=True)
class ChanceMeasure:
    """One statistic that is computed with own and with exchanged captions.

    Attributes:
        words: `all` caption words, or `content` words only.
        measure: Its name, that of a column of `stat_overall`.
        value: Rate that it is made from: `cotr`, `content` or `fuzzy`.
        of_text: Whether it is over images with text; else over all images.
        is_share: Whether it is the share of rates above 0; else their mean.
    """

    words: str
    measure: str
    value: str
    of_text: bool
    is_share: bool


MEASURES = (
    *(
        ChanceMeasure(words, name, value, of_text, is_share)
        for words, value in (("all", "cotr"), ("content", "content"))
        for name, of_text, is_share in (
            ("share_co_emb", False, True),
            ("share_co_emb_of_text", True, True),
            ("cotr_in_total", False, False),
            ("cotr_with_text", True, False),
        )
    ),
    ChanceMeasure("all", "fuzzy_cotr_in_total", "fuzzy", False, False),
    ChanceMeasure("all", "fuzzy_cotr_with_text", "fuzzy", True, False),
)


def chance_steps(stop_words: Sequence[str]) -> list[Step]:
    """Parroting observed, by chance, and the difference, from `overlap` of one dataset.

    Images are those of `overall_steps`. They are put in rings of about a thousand by a seeded hash of their ids,
    and in each ring every image gets the caption of the next: nobody keeps its own, each caption is used once,
    and the same rows give the same pairs on any partitions.

    Neighbours share a caption or an image, so their values depend on each other, and only theirs: the variance
    of a mean is that of the values plus twice their covariance with the next, where that is above 0 (its
    estimate is rough where images are few). The interval of the difference is made from those of the two
    numbers and their correlation (Zou and Donner's MOVER), so that it does not vanish where all values are equal.

    Args:
        stop_words: Normalised words that are no content words; words of one character are none either.
    """
    return [*_exchanged(stop_words), *_summed(), *_published()]


def _content(words: str, stop_words: Sequence[str]) -> str:
    stops = ", ".join(map(quoted, sorted(set(stop_words)))) or "''"
    return f"filter(array_except({words}, array({stops})), word -> length(word) > 1)"


def _rate(words: str) -> str:
    return f"CASE WHEN size({words}) > 0 THEN array_size(array_intersect({words}, spotted_words)) / size({words}) END"


def _other_fuzzy() -> Column:
    """Fuzzy CoTR of exchanged captions. As SQL, with that of the own ones, the statistic took 200 µs a row; 140 so."""
    from pyspark.sql import functions as F

    from udfs.fuzzy_cotr_rows import fuzzy_cotr_rows

    rates = F.pandas_udf(fuzzy_cotr_rows, "double")  # type: ignore[attr-defined]
    column: Column = rates("other_words", "spotted_words")
    return column


def _exchanged(stop_words: Sequence[str]) -> list[Step]:
    ring = "PARTITION BY ring ORDER BY place, sample_id"
    whole = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
    # The own caption is no other: an image alone in its ring has no partner.
    partner = "lead({0}) OVER ({1}), IF(seats > 1, first_value({0}) OVER ({1} {2}), NULL)"
    return [
        Step(
            "seated_images",
            f"""
            SELECT sample_id, caption_words, spotted_words, fuzzy_cotr, image_type <> 'no_text' AS with_text,
                   pmod(xxhash64(sample_id, {SEED}L), rings) AS ring, xxhash64(sample_id, {SEED + 1}L) AS place,
                   {_content("caption_words", stop_words)} AS content_words
            FROM {{overlap}} AS overlap
            CROSS JOIN (
              SELECT greatest(1L, count(*) DIV {RING}) AS rings FROM {{overlap}} AS overlap WHERE {PROFILED}
            )
            WHERE {PROFILED} AND spotted_words IS NOT NULL
            """,
        ),
        Step(
            "exchanged_captions",
            f"""
            SELECT *,
                   coalesce({partner.format("caption_words", ring, whole)}) AS other_words,
                   coalesce({partner.format("content_words", ring, whole)}) AS other_content_words
            FROM (SELECT *, count(*) OVER (PARTITION BY ring) AS seats FROM {{seated_images}})
            """,
        ),
        Step(
            "image_rates",
            f"""
            SELECT ring, place, sample_id, seats, with_text, other_words, spotted_words,
                   {_rate("caption_words")} AS cotr, {_rate("other_words")} AS other_cotr,
                   {_rate("content_words")} AS content, {_rate("other_content_words")} AS other_content,
                   fuzzy_cotr AS fuzzy
            FROM {{exchanged_captions}}
            """,
            python={"other_fuzzy": PythonColumn(1, _other_fuzzy)},
        ),
        Step(
            "neighbours",
            f"""
            SELECT *, coalesce({partner.format("own", ring, whole)}) AS next
            FROM (
              SELECT ring, place, sample_id, seats,
                     named_struct('with_text', with_text, 'cotr', cotr, 'other_cotr', other_cotr,
                                  'content', content, 'other_content', other_content,
                                  'fuzzy', fuzzy, 'other_fuzzy', other_fuzzy) AS own
              FROM {{image_rates}}
            )
            """,
        ),
    ]


def _summed() -> list[Step]:
    """Sums over images, of each measure, that means and variances follow from."""

    def values(of: str, measure: ChanceMeasure) -> str:
        own, other = f"{of}.{measure.value}", f"{of}.other_{measure.value}"
        counted = f"{own} IS NOT NULL AND {other} IS NOT NULL" + (
            f" AND {of}.with_text" if measure.of_text else ""
        )
        taken = [f"CAST({rate} > 0 AS DOUBLE)" if measure.is_share else rate for rate in (own, other)]
        return ", ".join(f"IF({counted}, {value}, NULL)" for value in taken)

    rows = ", ".join(
        f"'{measure.words}', '{measure.measure}', {measure.is_share}, "
        f"{values('own', measure)}, {values('next', measure)}"
        for measure in MEASURES
    )
    # One expression for own, exchanged and difference; a neighbour that is not counted adds nothing.
    series = {"observed": "f{0}", "by_chance": "g{0}", "difference": "f{0} - g{0}"}
    summed: dict[str, str] = {}
    for name, series_of in series.items():
        this, following = f"({series_of.format('')})", f"({series_of.format('_next')})"
        summed |= {
            f"{name}_sum": this,
            f"{name}_squares": f"{this} * {this}",
            f"{name}_products": f"{this} * {following}",
            f"{name}_pair_sums": f"({this} + {following})",
        }
    in_ring = [f"sum(CAST({value} / {_UNIT!r}D AS BIGINT)) AS {name}" for name, value in summed.items()]
    overall = {name: f"CAST(sum(CAST({name} AS DECIMAL(28, 0))) AS DOUBLE) * {_UNIT!r}D" for name in summed}
    sums = [
        f"coalesce({total}, 0D) AS {name}"
        if name.endswith(("_products", "_pair_sums"))
        else f"{total} AS {name}"
        for name, total in overall.items()
    ]
    return [
        Step(
            "measured_images",
            f"""
            SELECT ring, stack({len(MEASURES)}, {rows}) AS (words, measure, is_share, f, g, f_next, g_next)
            FROM {{neighbours}}
            """,
        ),
        Step(
            "ring_sums",
            f"""
            SELECT ring, words, measure, is_share, count(f) AS images, count(f + f_next) AS pairs,
                   {", ".join(in_ring)}
            FROM {{measured_images}} GROUP BY ring, words, measure, is_share
            """,
        ),
        Step(
            "sums",
            f"""
            SELECT words, measure, is_share, sum(images) AS images, sum(pairs) AS pairs,
                   {", ".join(sums)}
            FROM {{ring_sums}} GROUP BY words, measure, is_share
            """,
        ),
    ]


def _published() -> list[Step]:
    """Means, variances, intervals."""
    kinds = ("observed", "by_chance", "difference")
    spread = "(try_divide({0}_squares, images) - {0} * {0})"
    covariance = "try_divide({0}_products - {0} * {0}_pair_sums + {0} * {0} * pairs, CAST(images AS DOUBLE))"
    # Own captions do not depend on each other.
    lags = {"observed": "0D", "by_chance": f"2 * {covariance}", "difference": f"2 * {covariance}"}
    variances = ", ".join(
        f"greatest(0D, {spread.format(kind)}, {spread.format(kind)} + {lags[kind].format(kind)}) AS {kind}_variance, "
        f"greatest(0D, {spread.format(kind)}) AS {kind}_spread"
        for kind in kinds
    )
    return [
        Step(
            "means",
            "SELECT *, "
            + ", ".join(f"try_divide({kind}_sum, images) AS {kind}" for kind in kinds)
            + " FROM {sums}",
        ),
        Step("variances", f"SELECT *, {variances} FROM {{means}}"),
        Step(
            "bounds",
            f"""
            SELECT *, {_bounds("observed")}, {_bounds("by_chance")},
                   -- Of the two estimates: what they have in common, in units of their errors.
                   least(1D, greatest(-1D, coalesce(try_divide(
                     observed_variance + by_chance_variance - difference_variance,
                     2 * sqrt(observed_variance * by_chance_variance)), 0D))) AS correlation
            FROM {{variances}}
            """,
        ),
        Step(
            "chance",
            f"""
            SELECT words, measure, images,
                   observed, observed_low, observed_high, by_chance, by_chance_low, by_chance_high,
                   difference,
                   difference - {_mover("observed - observed_low", "by_chance_high - by_chance")} AS difference_low,
                   difference + {_mover("observed_high - observed", "by_chance - by_chance_low")} AS difference_high
            FROM {{bounds}}
            """,
        ),
    ]


def _bounds(name: str) -> str:
    """Interval of a share (Wilson's, of as many images as would vary alike without dependence) or of a mean."""
    effective = f"images * IF({name}_spread > 1e-12D, {name}_spread / {name}_variance, 1D)"
    z2 = Z * Z
    centre = f"({name} + {z2 / 2!r}D / ({effective}))"
    half = f"{Z!r}D * sqrt({name} * (1 - {name}) / ({effective}) + {z2 / 4!r}D / power({effective}, 2))"
    scale = f"(1 + {z2!r}D / ({effective}))"
    error = f"({student('images')}) * sqrt({name}_variance / (images - 1))"
    return ", ".join(
        f"CASE WHEN images = 0 THEN NULL "
        f"WHEN is_share THEN {clip}({limit}, ({centre} {sign} {half}) / {scale}) "
        f"WHEN images > 1 THEN {clip}({limit}, {name} {sign} {error}) END AS {name}_{end}"
        for end, sign, clip, limit in (("low", "-", "greatest", "0D"), ("high", "+", "least", "1D"))
    )


def _mover(one: str, other: str) -> str:
    return f"sqrt(greatest(0D, power({one}, 2) + power({other}, 2) - 2 * correlation * ({one}) * ({other})))"
