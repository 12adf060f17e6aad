"""SQL of exact aggregates, and of the 95 % intervals that stand beside published numbers.

An interval says how far a number might move had other samples of the same kind been drawn; it knows nothing of
errors of the spotter. Shares have Wilson's interval, means Student's, from sums that rows in any order give.
"""

from __future__ import annotations

Z = 1.959963984540054
"""0.975 quantile of the normal distribution."""

# Cornish and Fisher's expansion of Student's quantile in powers of 1 / degrees of freedom (Abramowitz and Stegun
# 26.7.5): 0.12 % too small with three degrees (less with more), 0.75 % with two, 11 % with one.
_T_TERMS = (
    (Z**3 + Z) / 4,
    (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
    (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
    (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
)


def exact_sum(value: str) -> str:
    """SQL of a sum that does not depend on the order of rows, as a double.

    A sum of doubles differs in its last digits with the files that rows come from, so that the same rows
    would give another table; a sum of decimals is exact.
    """
    return f"CAST(sum(CAST({value} AS DECIMAL(30, 16))) AS DOUBLE)"


def mean(value: str) -> str:
    """SQL of a mean that does not depend on the order of rows."""
    return f"CAST(avg(CAST({value} AS DECIMAL(30, 16))) AS DOUBLE)"


def sample_std(value: str) -> str:
    """SQL of the sample standard deviation from exact sums; null for a single value."""
    total, squares, count = exact_sum(value), exact_sum(f"{value} * {value}"), f"count({value})"
    variance = f"greatest(0D, {squares} - {total} * {total} / {count})"
    return f"CASE WHEN {count} > 1 THEN sqrt({variance} / ({count} - 1)) END"


def student(count: str) -> str:
    """SQL of the 0.975 quantile of Student's distribution for the mean of `count` values; null below two."""
    terms = " + ".join(
        f"{term!r}D / power({count} - 1, {power})" for power, term in enumerate(_T_TERMS, start=1)
    )
    return f"CASE WHEN {count} > 1 THEN {Z!r}D + {terms} END"


def share_bounds(part: str, whole: str, name: str) -> str:
    """SQL of columns `NAME_low` and `NAME_high`: Wilson's interval of a share; null where the whole is 0.

    Args:
        part: Expression of the count that has the property (or its expectation, share times whole).
        whole: Expression of the count of all.
        name: The share's column.
    """
    n, z2 = f"CAST({whole} AS DOUBLE)", Z * Z
    share = f"(CAST({part} AS DOUBLE) / {n})"
    centre = f"({share} + {z2 / 2!r}D / {n})"
    half = f"({Z!r}D * sqrt(greatest(0D, {share} * (1 - {share}) / {n} + {z2 / 4!r}D / ({n} * {n}))))"
    scale = f"(1 + {z2!r}D / {n})"
    return (
        f"CASE WHEN {n} > 0 THEN greatest(0D, ({centre} - {half}) / {scale}) END AS {name}_low, "
        f"CASE WHEN {n} > 0 THEN least(1D, ({centre} + {half}) / {scale}) END AS {name}_high"
    )


def mean_bounds(value: str, name: str, *, is_rate: bool = False) -> str:
    """SQL of columns `NAME_low` and `NAME_high`: Student's interval of a mean; null below two values.

    Args:
        value: Expression that the mean is of.
        name: The mean's column.
        is_rate: Whether values lie between 0 and 1, so that the interval does too.
    """
    count = f"count({value})"
    half = f"({student(count)}) * ({sample_std(value)}) / sqrt({count})"
    low, high = f"{mean(value)} - {half}", f"{mean(value)} + {half}"
    if is_rate:
        low, high = f"greatest(0D, {low})", f"least(1D, {high})"
    return (
        f"CASE WHEN {count} > 1 THEN {low} END AS {name}_low, "
        f"CASE WHEN {count} > 1 THEN {high} END AS {name}_high"
    )


def clustered_mean_bounds(total: str, count: str, name: str, *, is_rate: bool = False) -> str:
    """SQL of `NAME_low` and `NAME_high` for a mean over values that come in clusters (pictures of one word).

    Rows are clusters; the mean is the sum of totals over the sum of counts, a ratio of means over clusters, whose
    variance is that of the residuals `total - mean * count`.

    Args:
        total: Expression of a cluster's sum.
        count: Expression of a cluster's number of values.
        name: The mean's column.
        is_rate: Whether values lie between 0 and 1, so that the interval does too.
    """
    clusters, all_of = f"count({total})", f"CAST(sum({count}) AS DOUBLE)"
    ratio = f"({exact_sum(total)} / {all_of})"
    residuals = (
        f"({exact_sum(f'{total} * {total}')} - 2 * {ratio} * {exact_sum(f'{total} * {count}')} "
        f"+ {ratio} * {ratio} * CAST(sum({count} * {count}) AS DOUBLE))"
    )
    half = (
        f"({student(clusters)}) * sqrt(greatest(0D, {residuals}) * {clusters} / ({clusters} - 1)) / {all_of}"
    )
    low, high = f"{ratio} - {half}", f"{ratio} + {half}"
    if is_rate:
        low, high = f"greatest(0D, {low})", f"least(1D, {high})"
    return (
        f"CASE WHEN {clusters} > 1 THEN {low} END AS {name}_low, "
        f"CASE WHEN {clusters} > 1 THEN {high} END AS {name}_high"
    )
