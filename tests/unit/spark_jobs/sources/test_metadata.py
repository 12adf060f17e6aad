"""From a source's own columns to fields."""

import math

import pytest

from spark_jobs.sources.metadata import caption_text, describe, storable, to_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1004, "1004"),
        (1.5e20, "150000000000000000000"),
        (2_641_091_000_045.0, "2641091000045"),
        (-7.0, "-7"),
        (0.5, "0.5"),
        (1e-7, "0.0000001"),
        ("1.5e3", "1.5e3"),
        (math.nan, None),
        (math.inf, None),
        (None, None),
        (b"caf\xc3\xa9", "café"),
    ],
)
def test_text_of_a_value(value, text):
    assert to_text(value) == text


def test_columns_in_any_case_and_of_several_releases():
    row = {
        "SAMPLE_ID": 12.0, "URL": "http://x", "TEXT": "hi", "original_width": 640, "original_height": 480,
        "width": 256, "height": 192, "Similarity": 0.31, "AESTHETIC_SCORE": 5.5, "punsafe": math.nan,
        "pwatermark": "0.25", "NSFW": "UNLIKELY", "LICENSE": "?",
    }  # fmt: skip
    described = describe(row, where="row 1")
    assert described.fault is None
    assert described.fields == {
        "source_id": "12", "url": "http://x", "caption": "hi", "width": 640, "height": 480,
        "similarity": 0.31, "aesthetic": 5.5, "punsafe": None, "pwatermark": 0.25, "nsfw": "UNLIKELY",
    }  # fmt: skip


@pytest.mark.parametrize("column", ["sample_id", "uid", "id", "hash"])
def test_source_id_column(column):
    assert describe({column: "abc"}, where="").fields == {"source_id": "abc"}


@pytest.mark.parametrize("column", ["similarity", "clip_l14_similarity_score", "clip_b32_similarity_score"])
def test_similarity_column(column):
    assert describe({column: 0.2}, where="").fields == {"similarity": 0.2}


def test_original_size_rules_even_where_it_is_null():
    row = {"original_width": None, "original_height": None, "width": 256, "height": 256}
    assert describe(row, where="").fields == {"width": None, "height": None}


@pytest.mark.parametrize("value", [0, -3, 2**31, math.nan, "wide", None, True])
def test_size_that_is_none_is_null(value):
    assert describe({"width": value}, where="").fields == {"width": None}


@pytest.mark.parametrize("value", ["?", math.nan, math.inf, None, ""])
def test_score_that_is_none_is_null(value):
    assert describe({"similarity": value}, where="").fields == {"similarity": None}


def test_missing_empty_and_null_captions_differ():
    assert "caption" not in describe({"url": "u"}, where="").fields
    assert describe({"caption": ""}, where="").fields == {"caption": ""}
    assert describe({"caption": math.nan}, where="").fields == {"caption": None}


def test_caption_that_is_not_utf8_names_byte_and_place():
    text, fault = caption_text(b"un caf\xe9 noir", where="x.txt")
    assert text == "un caf\ufffd noir"
    assert fault == "caption is not UTF-8 (byte 0xE9 at position 6 of x.txt)"


def test_byte_order_mark_is_no_caption():
    assert caption_text(b"\xef\xbb\xbfhello", where="") == ("hello", None)
    assert (
        caption_text(b"\xef\xbb\xbfa\xe9", where="x")[1]
        == "caption is not UTF-8 (byte 0xE9 at position 4 of x)"
    )


def test_caption_that_is_a_list_is_a_fault():
    assert caption_text(["a", "b"], where="x.json") == (None, "caption is a list, not a text (x.json)")


def test_caption_with_nul_and_surrogates_is_storable():
    assert storable("a\0b") == "a\0b"
    assert storable("\ud83d\ude00") == "😀"
    assert storable("x\ud800y") == "x\ufffdy"
    assert caption_text("x\udce9", where="")[0].encode("utf-8")


def test_long_caption_is_kept_as_it_is():
    text = "long caption " * 8000
    assert describe({"caption": text.encode()}, where="").fields["caption"] == text
