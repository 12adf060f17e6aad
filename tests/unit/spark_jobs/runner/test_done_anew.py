"""Which settings differ from those that the rows in a table were made with."""

from __future__ import annotations

from spark_jobs.runner.done_anew import differences


def test_settings_that_differ_are_named_with_short_values():
    before = {"spotter": "easyocr-fast", "languages": ["en"], "weights": "a" * 64, "canvas": 2560, "gone": 1}
    now = {"spotter": "easyocr", "languages": ("en",), "weights": "b" * 64, "canvas": 2560}
    assert differences(before, now) == [
        "gone was 1, is null",
        'spotter was "easyocr-fast", is "easyocr"',
        "weights differs",
    ]


def test_equal_settings_differ_in_nothing():
    assert differences({"size": 3, "words": ["a"]}, {"words": ("a",), "size": 3}) == []
