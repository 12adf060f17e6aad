from __future__ import annotations

from decimal import Decimal

import pytest

from spark_jobs.report import numbers


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (numbers.count(1_985_284_122), "1,985,284,122"),
        (numbers.count(0), "0"),
        (numbers.count(Decimal(1234)), "1,234"),
        (numbers.percent(0.5460), "54.60%"),
        (numbers.percent(0.0), "0.00%"),
        (numbers.percent(1), "100.00%"),
        (numbers.score(0.30214), "0.3021"),
        (numbers.score(-0.05), "-0.0500"),
    ],
)
def test_numbers_are_printed_as_the_paper_prints_them(printed: str, expected: str) -> None:
    assert printed == expected


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_missing_values_read_not_available(value: float | None) -> None:
    assert {numbers.count(value), numbers.percent(value), numbers.score(value)} == {"n/a"}
    assert numbers.number({"x": value}, "x") is None


def test_number_of_no_row_or_no_column_is_missing() -> None:
    assert numbers.number(None, "images") is None
    assert numbers.number({}, "images") is None
    assert numbers.number({"images": 0}, "images") == 0


def test_ratio_of_nothing_is_missing() -> None:
    assert numbers.ratio(1, 0) is None
    assert numbers.ratio(None, 4) is None
    assert numbers.ratio(1, 4) == 0.25
