from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from spark_jobs.commands import sample as known
from spark_jobs.commands.sample import Shown
from spark_jobs.commands.show import as_blocks
from spark_jobs.commands.show_html import page_of, write_page
from spark_jobs.errors import WarehouseError
from spark_jobs.views.samples import SAMPLE_PROFILE


def word(text, x):
    corners = [{"x": x + dx, "y": 5.0 + dy} for dx, dy in ((0, 0), (20, 0), (20, 10), (0, 10))]
    return {"text": text, "confidence": 0.9, "polygon": corners, "line": 0}


def a_sample(**profile):
    own = {
        "dataset": "d",
        "sample_id": "5f55d5d0",
        "caption": "big <b>sale</b> & more",
        "visible_text": "SALE <script>",
        "co_emb_words": ["sale"],
        "subsets": ["with_text"],
        "cotr": 1 / 3,
        "cluster": 0,
        "is_duplicate": False,
    }
    scores = {f"score_{name}": None for name in ("co_removed", "random_all_removed", "random_co_removed")}
    return Shown(
        profile={**dict.fromkeys(field.name for field in SAMPLE_PROFILE.columns), **own, **profile},
        words=[word("SALE", 5.0), word("<script>", 40.0), word("~", 70.0)],
        lines=[],
        used=[{"index": 0, "co_emb": True}, {"index": 1, "co_emb": False}],
        reference=None,
        scores=[{"model": "m/t", "score_raw": 0.3, "score_all_removed": 0.25, **scores}],
        duplicates=[("aa", "repeats this one")],
    )


def test_facts_are_those_that_are_known():
    facts = known.facts_of(a_sample())
    assert facts["caption"] == "big <b>sale</b> & more"
    assert (facts["cotr"], facts["cluster"], facts["subsets"]) == ("0.3333", "0", "with_text")
    assert facts["duplicates"] == "aa (repeats this one)"
    assert "url" not in facts, "null"


def test_words_say_what_they_count_as():
    assert known.words_of(a_sample()) == [
        ("SALE", "0.90", "repeated in the caption"),
        ("<script>", "0.90", "counts"),
        ("~", "0.90", "does not count"),
    ]


def test_scores_with_and_without_text():
    assert known.removals_of(a_sample()) == [("m/t", "0.3000", "0.2500", "", "", "")]
    assert len(known.REMOVAL_HEADINGS) == 6


def test_the_page_escapes_what_others_wrote_and_holds_its_pictures(tmp_path):
    sample = a_sample()
    sample.pictures["image"] = Image.new("RGB", (8, 8), (200, 0, 0))
    write_page(sample, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page == page_of(sample)
    assert "<script" not in page
    assert "&lt;b&gt;sale&lt;/b&gt; &amp; more" in page
    assert page.count('<img src="data:image/jpeg;base64,') == 1
    assert re.findall(r"<tr><td>(\S+)</td><td>0\.90</td>", page) == ["SALE", "&lt;script&gt;", "~"]
    with pytest.raises(WarehouseError, match="cannot write"):
        write_page(sample, tmp_path / "nowhere" / "page.html")


def test_the_picture_has_the_polygons_and_an_unsafe_one_is_blurred():
    pixels = np.random.default_rng(0).integers(0, 255, (30, 90, 3), dtype=np.uint8)
    plain = known.gallery_sample(a_sample(), pixels)
    assert [reading.text for reading in plain.words] == ["SALE", "<script>", "~"]
    assert (plain.image_width, plain.image_height, plain.unsafe) == (90, 30, False)
    unsafe = a_sample()
    unsafe.is_unsafe = True
    assert known.gallery_sample(unsafe, pixels).unsafe


def test_a_terminal_shows_two_pixels_per_cell():
    picture = Image.new("RGB", (4, 4), (255, 0, 0))
    picture.paste((0, 0, 255), (0, 2, 4, 4))
    text = as_blocks(picture, width=64)
    assert text.plain == "▀▀▀▀\n▀▀▀▀\n"
    assert {span.style for span in text.spans} == {
        "rgb(255,0,0) on rgb(255,0,0)",
        "rgb(0,0,255) on rgb(0,0,255)",
    }
