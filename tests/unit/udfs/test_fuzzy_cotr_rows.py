"""Fuzzy CoTR of rows of word lists, as Arrow hands them to a pandas UDF."""

import math

import pyarrow as pa
import pytest

from udfs.fuzzy_cotr_rows import fuzzy_cotr_rows
from udfs.overlap_rates import fuzzy_cotr

CAPTIONS = [["sale", "now"], ["größe"], [], None, ["sale"]]
SPOTTED = [["sole", "no"], ["grösse", "x"], ["sale"], ["sale"], []]


def test_rows_are_those_of_the_function_and_null_where_there_is_nothing_to_compare():
    words, spotted = (pa.array(rows, pa.list_(pa.string())).to_pandas() for rows in (CAPTIONS, SPOTTED))
    found = fuzzy_cotr_rows(words, spotted)
    assert found.dtype == "float64"
    assert list(found[[0, 1, 4]]) == [fuzzy_cotr(CAPTIONS[row], SPOTTED[row]) for row in (0, 1, 4)]
    assert found[0] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert [math.isnan(found[row]) for row in (2, 3)] == [True, True]
