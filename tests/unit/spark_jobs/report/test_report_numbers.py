from __future__ import annotations

from decimal import Decimal

import pytest

from spark_jobs.report import formatting


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (formatting.count(1_985_284_122), "1,985,284,122"),
        (formatting.count(0), "0"),
        (formatting.count(Decimal(1234)), "1,234"),
        (formatting.percent(0.5460), "54.60%"),
        (formatting.percent(0.0), "0.00%"),
        (formatting.percent(1), "100.00%"),
        (formatting.score(0.30214), "0.3021"),
        (formatting.score(-0.05), "-0.0500"),
    ],
)
def test_numbers_are_printed_as_the_paper_prints_them(printed: str, expected: str) -> None:
    assert printed == expected


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_missing_values_read_not_available(value: float | None) -> None:
    assert {formatting.count(value), formatting.percent(value), formatting.score(value)} == {"n/a"}
    assert formatting.number({"x": value}, "x") is None


def test_number_of_no_row_or_no_column_is_missing() -> None:
    assert formatting.number(None, "images") is None
    assert formatting.number({}, "images") is None
    assert formatting.number({"images": 0}, "images") == 0


def test_ratio_of_nothing_is_missing() -> None:
    assert formatting.ratio(1, 0) is None
    assert formatting.ratio(None, 4) is None
    assert formatting.ratio(1, 4) == 0.25
