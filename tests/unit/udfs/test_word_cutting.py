"""Words of scripts without spaces, and where words of right-to-left lines stand."""

from __future__ import annotations

import numpy as np
import pytest
from bidi import get_display

from udfs import word_cutting
from udfs.bidirectional import visual_order
from udfs.geometry import cut_words
from udfs.text_spotting import Reading, assembled
from udfs.tokens import normalised_words
from udfs.weights import WeightsError
from udfs.word_cutting import WordCutter, cutter_of

LINE = [(100, 10), (300, 10), (300, 30), (100, 30)]


def places(text, **options):
    """Words with their left and right end, px, of a line 200 px wide that begins at 100."""
    words = cut_words(text, LINE, **options)
    return [(word.text, *(word.polygon[:, 0].min(), word.polygon[:, 0].max())) for word in words]


def test_words_of_an_arabic_line_are_cut_from_the_right():
    first, second = places("\u0633\u0644\u0627\u0645 \u0628\u0643")  # four letters, a space, two
    assert (first[1], first[2]) == pytest.approx((100 + 200 * 3 / 7, 300))
    assert (second[1], second[2]) == pytest.approx((100, 100 + 200 * 2 / 7))


def test_left_to_right_lines_are_cut_as_before():
    assert places("ab c") == [("ab", 100, 200), ("c", 250, 300)]
    assert places(" ½ é") == [("½", 150, 200), ("é", 250, 300)]


def test_latin_words_and_numbers_inside_an_arabic_line_keep_their_direction():
    arabic = "\u0633\u0639\u0631"
    found = [name for name, *_ in sorted(places(f"{arabic} big sale 15 {arabic}x"), key=lambda word: word[1])]
    assert found[1:4] == ["big", "sale", "15"]
    numbers = sorted(places(f"{arabic} 12 34"), key=lambda word: word[1])
    assert [name for name, *_ in numbers] == ["34", "12", arabic]


@pytest.mark.parametrize(
    "text",
    ["\u0633\u0644\u0627\u0645 world 12 34 \u0633\u0639\u0631", "abc \u05e9\u05dc\u05d5\u05dd 7", "plain"],
)
def test_the_visual_order_is_that_of_the_library_that_spotters_use(text):
    assert "".join(text[index] for index in visual_order(text)) == get_display(text)


def test_marks_of_direction_take_no_room():
    (word, mark) = places("ab\u202e \u202c")
    assert (word[0], mark[1], mark[2]) == ("ab\u202e", 100, 100)


def test_what_a_cutter_of_no_language_does_is_whitespace_and_the_tokeniser():
    cutter = WordCutter()
    for text in ("Big SALE, how-to", "禁止停车 now", "", "  ", "…"):
        assert cutter.words(text) == normalised_words(text)
        assert [text[start:end] for start, end in cutter.spans(text)] == text.split()
    assert cutter.words(None) == []
    assert cutter.params == {}
    assert [cutter.is_cut(text) for text in ("Big sale", "한국 사람", "नमस्ते", None, "?!")] == [True] * 5
    assert [cutter.is_cut(text) for text in ("禁止", "sale 禁", "ห้าม", "ភាសា", "ひらがな")] == [False] * 5


def test_chinese_and_thai_are_cut_and_what_is_not_configured_is_not():
    pytest.importorskip("budoux", reason="extra segment is not installed")
    cutter = WordCutter(("ch_sim", "th"))
    assert cutter.words("禁止停车 NOW 50%") == ["禁止", "停车", "now", "50"]
    assert cutter.words("ห้ามจอดรถ") == ["ห้าม", "จอด", "รถ"]
    assert cutter.is_cut("禁止停车 ห้าม sale")
    assert not cutter.is_cut("禁止停车 ひらがな")
    text = "no禁止停车！ok 小心"
    pieces = [text[start:end] for start, end in cutter.spans(text)]
    assert pieces == ["no", "禁止", "停车", "！ok", "小心"]
    assert "".join(pieces) == text.replace(" ", "")
    assert set(cutter.params) == {"ch_sim", "th"}


def test_japanese_is_told_from_chinese_by_its_kana():
    pytest.importorskip("janome", reason="extra segment is not installed")
    pytest.importorskip("budoux", reason="extra segment is not installed")
    both = WordCutter(("ch_sim", "ja"))
    assert both.words("東京タワーの夜景") == ["東京", "タワー", "の", "夜景"]
    assert both.words("禁止停车") == ["禁止", "停车"]
    assert WordCutter(("ja",)).words("駐車禁止") == ["駐車", "禁止"]


def test_words_of_a_line_without_spaces_have_their_own_polygons():
    pytest.importorskip("budoux", reason="extra segment is not installed")
    reading = Reading("禁止停车", 0.9, LINE)
    cut = assembled([reading], width=400, height=100, cutter=WordCutter(("ch_sim",)))
    assert [(word["text"], word["polygon"][0]["x"]) for word in cut["words"]] == [
        ("禁止", 100),
        ("停车", 200),
    ]
    whole = assembled([reading], width=400, height=100)
    assert [word["text"] for word in whole["words"]] == ["禁止停车"]


def test_words_of_a_reading_that_may_run_downwards_have_all_of_its_polygon():
    reading = Reading("two words", 0.9, LINE, is_level=False)
    found = assembled([reading], width=400, height=100)
    assert [word["polygon"] for word in found["words"]] == [found["lines"][0]["polygon"]] * 2
    assert np.ptp([point["x"] for point in found["words"][0]["polygon"]]) == 200


def test_a_segmenter_that_is_not_installed_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(word_cutting.importlib.util, "find_spec", lambda name: None)
    assert cutter_of(("en", "ar", "ko")) == WordCutter()
    with pytest.raises(
        WeightsError, match=r"Chinese and Japanese.*budoux and janome.*parrot-captions\[segment\]"
    ):
        cutter_of(("ch_sim", "en", "ja"))
