"""Intervals of the SQL: equal to scipy's, and right in 93 to 97 of a hundred samples of known populations."""

from __future__ import annotations

import numpy as np
import pytest

from spark_jobs.sql.intervals import clustered_mean_bounds, mean_bounds, share_bounds
from tests.interval_oracles import student, wilson

RESAMPLES = 1000
MODULUS = 2**31 - 1


def uniform(seed, of="id"):
    """SQL of numbers between 0 and 1 that depend on nothing but the row's number."""
    return f"(pmod(xxhash64({of}, {seed}), {MODULUS}) + 0.5D) / {MODULUS}"


def normal(seed, of="id"):
    """SQL of normal numbers (Box and Muller)."""
    return f"sqrt(-2 * ln({uniform(seed, of)})) * cos(2 * pi() * {uniform(seed + 1000, of)})"


def resampled(spark, size, **columns):
    """A view of `RESAMPLES` samples of one size: column `sample` says which."""
    frame = spark.range(RESAMPLES * size).selectExpr(
        "id", f"id DIV {size} AS sample", *(f"{sql} AS {name}" for name, sql in columns.items())
    )
    frame.createOrReplaceTempView("drawn_values")


def coverage(spark, sql, truth):
    found = spark.sql(f"SELECT sample, {sql} FROM drawn_values GROUP BY sample").toPandas()
    assert len(found) == RESAMPLES
    return float(((found.x_low <= truth) & (truth <= found.x_high)).mean())


@pytest.mark.parametrize(("share", "size"), [(0.334, 60), (0.546, 400), (0.03, 400)])
def test_intervals_of_shares_hold_the_share(spark, share, size):
    resampled(spark, size, hit=f"{uniform(4)} < {share}D")
    assert 0.93 <= coverage(spark, share_bounds("count_if(hit)", "count(*)", "x"), share) <= 0.97


@pytest.mark.parametrize("size", [40, 400])
def test_intervals_of_rates_hold_the_mean(spark, size):
    """A rate like CoTR: 0 for most images, anything up to 1 for the others."""
    rate = f"CASE WHEN {uniform(5)} < 0.4 THEN 0D WHEN {uniform(5)} < 0.9 THEN power({uniform(6)}, 2) ELSE 1D END"
    resampled(spark, size, rate=rate)
    assert 0.93 <= coverage(spark, mean_bounds("rate", "x", is_rate=True), 0.5 / 3 + 0.1) <= 0.97


def test_intervals_of_paired_differences_hold_the_effect(spark):
    raw = f"0.3D + 0.05D * {normal(7)}"
    removed = f"{raw} - (0.03D + 0.04D * {normal(8)})"
    resampled(spark, 80, loss=f"({raw}) - ({removed})")
    assert 0.93 <= coverage(spark, mean_bounds("loss", "x"), 0.03) <= 0.97


def test_intervals_over_clusters_hold_the_mean_where_those_over_values_do_not(spark):
    """Pictures of one word resemble each other: four of them are no four words."""
    resampled(
        spark, 200, word="id DIV 4", score=f"0.3D + 0.05D * {normal(9, 'id DIV 4')} + 0.01D * {normal(10)}"
    )
    assert coverage(spark, mean_bounds("score", "x"), 0.3) < 0.8
    spark.sql(
        "SELECT sample, word, sum(score) AS total, count(score) AS pictures FROM drawn_values GROUP BY 1, 2"
    ).createOrReplaceTempView("drawn_values")
    assert 0.93 <= coverage(spark, clustered_mean_bounds("total", "pictures", "x"), 0.3) <= 0.97


def test_they_are_scipys_also_where_there_is_little(spark):
    draw = np.random.default_rng(8)
    samples = {
        "none": [],
        "one": [0.5],
        "two": [0.1, 0.9],
        "three": [0.0, 0.25, 1.0],
        "equal": [0.25] * 5,
        "many": draw.random(500).round(6).tolist(),
    }
    rows = [(name, value) for name, values in samples.items() for value in values] + [("none", None)]
    spark.createDataFrame(rows, "sample string, value double").createOrReplaceTempView("little")
    found = spark.sql(
        f"SELECT sample, {mean_bounds('value', 'mean', is_rate=True)}, "
        f"{share_bounds('count_if(value > 0.5)', 'count(value)', 'share')} FROM little GROUP BY sample"
    ).collect()
    assert {row["sample"] for row in found} == set(samples)
    for row in found:
        values = samples[row["sample"]]
        # The expansion of Student's quantile is 11 % small with one degree of freedom, 0.75 % with two.
        tolerance = 0.06 if len(values) == 2 else 0.003
        for name, expected in (
            ("mean", student(values, is_rate=True)),
            ("share", wilson(sum(value > 0.5 for value in values), len(values))),
        ):
            for end, value in zip(("low", "high"), expected, strict=True):
                got = row[f"{name}_{end}"]
                assert got == (None if value is None else pytest.approx(value, abs=tolerance)), (row, name)
