"""The Arrow function of stage `overlap`: batches of any cut, confidences, areas; shortcuts beside the long way."""

from __future__ import annotations

import gc
import string

import numpy as np
import pyarrow as pa
import pytest

from udfs.geometry import area, as_polygon
from udfs.heap import collector_paused
from udfs.overlap_rows import OVERLAP, WordRules, measure_overlap
from udfs.polygon_areas import polygon_areas
from udfs.tokens import normalised_words
from udfs.word_cutting import WordCutter

POLYGON = pa.list_(pa.struct([("x", pa.float32()), ("y", pa.float32())]))
WORD = pa.struct(
    [("text", pa.string()), ("confidence", pa.float32()), ("polygon", POLYGON), ("line", pa.int32())]
)
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("shard_id", "sample_id", "caption", "text_status", "text_error")),
        ("words", pa.list_(WORD)),
        ("image_width", pa.int32()),
        ("image_height", pa.int32()),
    ]
)
CORNERS = [{"x": 0.0, "y": 0.0}, {"x": 10.0, "y": 0.0}, {"x": 10.0, "y": 5.0}]
RULES = WordRules(0.3, 0.1)


def word(text, confidence=0.5, polygon=None):
    return {"text": text, "confidence": confidence, "polygon": polygon, "line": 0}


def sample(name, caption, words, **values):
    row = {"shard_id": "s", "sample_id": name, "caption": caption, "words": words, "text_status": "ok"}
    return row | {"text_error": None, "image_width": 10, "image_height": 10} | values


ROWS = [
    sample("a", "one two", [word("TWO!", polygon=CORNERS), word(None), word("three", 0.29, CORNERS)]),
    sample("b", None, None),
    sample("c", "failed", None, text_status="failed", text_error="damaged", image_width=None),
    sample("d", "", []),
    sample("e", "one", [word("one", None), word("&", 0.9), word("dim", 0.05)], image_height=None),
    sample("f", "ones two", [word("low", 0.2), word("one two", 0.3, CORNERS)], image_height=None),
    sample("g", "one", [word("one", polygon=[*CORNERS, {"x": 0.0, "y": 5.0}])], image_width=0),
]


def measured(rows):
    (made,) = measure_overlap([rows], rules=RULES)
    assert made.schema == OVERLAP
    return made.to_pylist()


def test_rows_are_the_same_in_batches_of_any_cut():
    batch = pa.RecordBatch.from_pylist(ROWS, schema=SCHEMA)
    whole = measured(batch)
    assert [row["sample_id"] for row in whole] == list("abcdefg")
    for start in range(len(ROWS)):
        assert measured(batch.slice(start, 1)) == whole[start : start + 1]
        assert measured(batch.slice(start)) == whole[start:]
    assert measured(batch.slice(0, 0)) == []


def test_hand_checked_rows():
    first, none, failed, blank, unsure, verbatim, flat = measured(
        pa.RecordBatch.from_pylist(ROWS, schema=SCHEMA)
    )
    assert first["used_words"] == [{"index": 0, "co_emb": True, "area_ratio": 0.25}]
    assert (first["co_emb_words"], first["spotted_words"]) == (["two"], ["two"])
    # one ~ two: distance 3 of 3
    assert (first["cotr"], first["cotr_verbatim"], first["fuzzy_cotr"]) == (0.5, 0.0, 0.5)
    assert (first["image_type"], first["mean_confidence"]) == ("concurrent", 0.5)
    assert (none["cotr"], none["cotr_reason"], none["image_type"]) == (None, "no_words", "no_text")
    assert (failed["status"], failed["error"]) == ("skipped", "spot_text: damaged")
    assert {failed[name] for name in OVERLAP.names[4:]} == {None}
    assert (blank["caption_words"], blank["used_words"]) == ([], [])
    # A word without a confidence counts for nothing, and "&" is no text.
    assert (unsure["text_detected"], unsure["image_type"], unsure["cotr"]) == (False, "no_text", 0.0)
    # The bound is of single precision, as the column is.
    assert (verbatim["spotted_word_count"], verbatim["mean_confidence"]) == (1, 0.3)
    assert (verbatim["cotr"], verbatim["cotr_verbatim"]) == (0.5, 0.5)
    assert verbatim["fuzzy_cotr"] == (0.75 + 1) / 2
    assert verbatim["used_words"] == [{"index": 1, "co_emb": True, "area_ratio": None}]
    assert flat["used_words"][0]["area_ratio"] is None


def test_areas_are_those_of_polygons_one_by_one(any_seed):
    draw = np.random.default_rng(any_seed)
    polygons = [draw.uniform(0, 900, (count, 2)).astype(np.float32) for count in (0, 1, 2, 3, 4, 4, 5, 7, 3)]
    given = [[{"x": x, "y": y} for x, y in polygon.tolist()] for polygon in polygons]
    found = polygon_areas(pa.array([None, *given], POLYGON))
    expected = [0.0, *(area(as_polygon(polygon)) if len(polygon) > 2 else 0.0 for polygon in polygons)]
    assert found.tolist() == pytest.approx(expected, rel=1e-9)
    assert sum(found > 0) == 6
    # A polygon's area does not depend on its neighbours, to the bit.
    alone = [polygon_areas(pa.array([one], POLYGON))[0] for one in given]
    assert found[1:].tolist() == alone
    assert polygon_areas(pa.array([], POLYGON)).tolist() == []


def test_words_of_ascii_text_are_those_that_are_normalised_twice(any_seed):
    draw = np.random.default_rng(any_seed)
    letters = [*string.printable, "é", "½", "\u0130", "ﬁ"]
    for _ in range(300):
        text = "".join(draw.choice(letters, draw.integers(0, 30)))
        twice = [piece for word in normalised_words(text) for piece in normalised_words(word)]
        assert WordCutter().words(text) == twice, text
        assert WordCutter().is_cut(text), text


def test_words_of_ascii_text_are_those_beside_other_letters(any_seed):
    # A letter that is not ASCII, apart from the text, takes the long way.
    draw = np.random.default_rng(any_seed)
    for _ in range(300):
        text = "".join(map(chr, draw.integers(0, 128, draw.integers(1, 40))))
        assert [*normalised_words(text), "é"] == normalised_words(f"{text} é"), repr(text)


def test_the_collector_runs_again_after_a_batch():
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            pass
        assert not gc.isenabled()
    with pytest.raises(ZeroDivisionError), collector_paused():
        _ = 1 / 0
    assert gc.isenabled()
