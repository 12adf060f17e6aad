"""Shortcuts of the tokeniser's Arrow function, beside the long way."""

from __future__ import annotations

import string

import numpy as np
import pyarrow as pa

from udfs.token_rows import input_rows
from udfs.tokens import normalised_words
from udfs.word_cutting import WordCutter

WORD = pa.struct(
    [
        ("index", pa.int32()),
        ("text", pa.string()),
        ("confidence", pa.float32()),
        ("counts", pa.bool_()),
        ("detects", pa.bool_()),
        ("area_ratio", pa.float64()),
    ]
)
SCHEMA = pa.schema([("sample_id", pa.string()), ("caption", pa.string()), ("spotted", pa.list_(WORD))])


def word(index, text):
    return {
        "index": index,
        "text": text,
        "confidence": 0.5,
        "counts": True,
        "detects": index % 2 == 0,
        "area_ratio": None if index else 0.25,
    }


def test_rows_are_those_of_to_pylist():
    rows = [
        {"sample_id": "a", "caption": "one", "spotted": [word(0, "x"), word(1, None)]},
        {"sample_id": "b", "caption": None, "spotted": None},
        {"sample_id": "c", "caption": "", "spotted": []},
        {"sample_id": "d", "caption": "four", "spotted": [word(2, "ü")]},
        {"sample_id": "e", "caption": "five", "spotted": None},
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    assert input_rows(batch) == batch.to_pylist() == rows
    assert input_rows(batch.slice(1, 3)) == rows[1:4]
    assert input_rows(batch.slice(0, 0)) == []
    assert input_rows(batch.slice(1, 2)) == rows[1:3]


def test_words_of_ascii_text_are_those_that_are_normalised_twice(any_seed):
    draw = np.random.default_rng(any_seed)
    letters = [*string.printable, "é", "½", "\u0130", "ﬁ"]
    for _ in range(300):
        text = "".join(draw.choice(letters, draw.integers(0, 30)))
        twice = [piece for word in normalised_words(text) for piece in normalised_words(word)]
        assert WordCutter().words(text) == twice, text
        assert WordCutter().is_cut(text), text
