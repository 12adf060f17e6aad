"""The query of docs/spotters.md that compares two spotters' readings, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[4] / "docs/spotters.md"


def test_the_page_compares_two_spotters_word_by_word(spark):
    (query,) = re.findall(r'^parrot sql --warehouse warehouse "(WITH .*)"$', PAGE.read_text("utf-8"), re.M)
    readings = {
        "one/en": [["Buy", "two", "two"], [], ["alone"]],
        "two/en": [["buy", "to"], [], []],
    }
    rows = [
        (spotter[:3], spotter, "cc12m", str(number), "ok", [(word,) for word in words])
        for spotter, images in readings.items()
        for number, words in enumerate(images)
    ]
    rows.append(("two", "two/en", "other", "0", "ok", [("buy",)]))
    schema = (
        "run_key string, spotter string, dataset string, sample_id string, status string, "
        "words array<struct<text: string>>"
    )
    spark.createDataFrame(rows, schema).createOrReplaceTempView("spotted_text_all")
    (found,) = spark.sql(query).collect()
    assert (found["one"], found["other"], found["images"]) == ("one/en", "two/en", 3)
    assert found["word_f1"] == pytest.approx(2 * 1 / (3 + 2))
    assert found["text_or_none_agrees"] == pytest.approx(2 / 3)
