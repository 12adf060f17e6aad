from __future__ import annotations

import re

import numpy as np
import pytest

from udfs.text_rendering import (
    CANVAS_PX,
    MAX_CHARACTERS,
    STYLES,
    TextRenderer,
    available_layout,
    default_font,
)

COLOURS = {"white": 255, "black": 0, "gray": 128}


@pytest.fixture(scope="module")
def renderer():
    return TextRenderer(default_font(), available_layout())


def ink(image, background):
    """Where an image differs from its background: (left, top, right, bottom), right and bottom beyond."""
    rows, columns = np.nonzero((image != background).any(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_styles_are_the_papers_in_its_order():
    assert [(style.background, style.text) for style in STYLES] == [
        ("white", "black"),
        ("black", "white"),
        ("gray", "white"),
        ("gray", "black"),
    ]
    assert [style.name for style in STYLES] == ["black-white", "white-black", "white-grey", "black-grey"]


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_text_has_its_styles_two_colours(renderer, style):
    image = renderer.render("sale", style)
    assert (image.shape, image.dtype) == ((CANVAS_PX, CANVAS_PX, 3), np.uint8)
    assert (image[0] == COLOURS[style.background]).all()
    levels = np.unique(image)
    low, high = sorted((COLOURS[style.background], COLOURS[style.text]))
    assert (levels[0], levels[-1]) == (low, high)  # between them: smoothed edges
    assert (image[..., 0] == image[..., 1]).all()


@pytest.mark.parametrize("text", ["a", "sale", "new york", "gyp", "l'été"])
def test_a_text_stands_in_the_middle(renderer, text):
    left, top, right, bottom = ink(renderer.render(text, STYLES[0]), 255)
    assert (left + right) / 2 == pytest.approx(CANVAS_PX / 2, abs=2.5)  # letters have side bearings
    assert (top + bottom) / 2 == pytest.approx(CANVAS_PX / 2, abs=1)
    assert renderer.width(text) == pytest.approx(right - left, abs=5)


def test_a_long_text_is_one_line_cut_at_both_ends(renderer):
    text = "internationalization of everything"
    assert renderer.width(text) > CANVAS_PX
    left, top, right, bottom = ink(renderer.render(text, STYLES[0]), 255)
    assert left < 8  # a gap between letters may lie at the edge
    assert right > CANVAS_PX - 8
    assert bottom - top < 45


def test_letters_are_of_32_px(renderer):
    _, top, _, bottom = ink(renderer.render("H", STYLES[0]), 255)
    assert bottom - top == pytest.approx(0.729 * 32, abs=1)  # DejaVu's capitals


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("東京", r"no glyph for U\+6771 CJK UNIFIED IDEOGRAPH-6771, U\+4EAC"),
        ("sale \U0001f600\U0010ffff", r"U\+10FFFF without a name"),
        ("\u200d", "no mark"),
        (" ", "no mark"),
        ("x" * (MAX_CHARACTERS + 1), "2,001 characters"),
    ],
)
def test_what_the_font_cannot_show_is_told(renderer, text, reason):
    assert re.search(reason, renderer.fault(text))


@pytest.mark.parametrize("text", ["sale", "l'été", "привет", "ΑΒΓ", "a\ufe0f", "e\u0301", "50€"])
def test_what_the_font_can_show_has_no_fault(renderer, text):
    assert renderer.fault(text) is None


def test_missing_glyphs_are_those_that_are_drawn_as_the_missing_one(renderer):
    """The font's character map against its pixels, letter by letter."""
    missing = renderer.render("\U0010ffff", STYLES[0])
    for text in ("a", "é", "ж", "東", "अ", "あ"):
        is_missing = bool((renderer.render(text, STYLES[0]) == missing).all())
        assert is_missing == (renderer.fault(text) is not None), text


def test_without_shaping_right_to_left_text_is_refused():
    basic = TextRenderer(default_font(), "basic")
    assert "right-to-left" in basic.fault("שלום")
    assert basic.fault("sale") is None
    if available_layout() == "raqm":
        assert TextRenderer(default_font(), "raqm").fault("שלום") is None


def test_a_worker_that_cannot_shape_says_so(monkeypatch):
    monkeypatch.setattr("udfs.text_rendering.available_layout", lambda: "basic")
    with pytest.raises(ValueError, match=r"Raqm.*FriBiDi"):
        TextRenderer(default_font(), "raqm")


def test_a_file_that_is_no_font_is_refused(tmp_path):
    (tmp_path / "font.ttf").write_bytes(b"no font")
    with pytest.raises(ValueError, match=r"font\.ttf is no TrueType or OpenType font"):
        TextRenderer(tmp_path / "font.ttf", "basic")
