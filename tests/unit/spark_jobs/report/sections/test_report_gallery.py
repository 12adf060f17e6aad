from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from spark_jobs.report.content import GallerySample, Reading
from spark_jobs.report.figures.thumbnails import (
    CO_EMB_COLOUR,
    OTHER_COLOUR,
    draw_thumbnail,
    is_co_emb,
    jpeg_data_uri,
)
from spark_jobs.report.read.pictures import is_unsafe
from spark_jobs.report.sections.gallery import CAPTION_CHARACTERS, card, mark

GREY = 128
SQUARE = ((20.0, 20.0), (80.0, 20.0), (80.0, 80.0), (20.0, 80.0))


def sample(**changes: object) -> GallerySample:
    grey = np.full((100, 100, 3), GREY, dtype=np.uint8)
    base = GallerySample("0/1", "concurrent", "Big SALE today", ("sale",), pixels=grey)
    return replace(base, **changes)


def near(pixel: np.ndarray, colour: tuple[int, int, int], tolerance: int = 12) -> bool:
    return bool(np.abs(pixel.astype(int) - np.array(colour)).max() <= tolerance)


def test_co_emb_polygon_is_drawn_solid_along_its_edges_and_nowhere_else() -> None:
    drawn = np.asarray(draw_thumbnail(sample(words=(Reading("SALE!", SQUARE),))))

    assert all(near(drawn[20, x], CO_EMB_COLOUR) for x in range(24, 77))
    assert all(near(drawn[y, 80], CO_EMB_COLOUR) for y in range(24, 77))
    assert (drawn[40:60, 40:60] == GREY).all()
    assert (drawn[:12] == GREY).all()


def test_other_polygon_is_drawn_dashed_in_another_colour() -> None:
    drawn = np.asarray(draw_thumbnail(sample(words=(Reading("PHOTO", SQUARE),))))

    edge = [near(drawn[20, x], OTHER_COLOUR) for x in range(24, 77)]
    assert 0.3 < np.mean(edge) < 0.8
    assert np.count_nonzero(np.diff(edge)) >= 6
    assert not any(near(drawn[20, x], CO_EMB_COLOUR) for x in range(100))


def test_co_emb_polygon_lies_above_another_on_the_same_place() -> None:
    readings = (Reading("sale", SQUARE), Reading("other", SQUARE))

    assert near(np.asarray(draw_thumbnail(sample(words=readings)))[20, 50], CO_EMB_COLOUR)


def test_polygons_are_scaled_with_the_image() -> None:
    large = np.full((512, 1024, 3), GREY, dtype=np.uint8)
    polygon = tuple((x * 4, y * 4) for x, y in SQUARE)

    drawn = np.asarray(draw_thumbnail(sample(pixels=large, words=(Reading("sale", polygon),))))

    assert drawn.shape == (128, 256, 3)
    assert near(drawn[20, 50], CO_EMB_COLOUR)


def test_polygons_refer_to_the_stated_size_where_pixels_are_already_smaller() -> None:
    polygon = tuple((x * 10, y * 5) for x, y in SQUARE)

    words = (Reading("sale", polygon),)
    drawn = np.asarray(draw_thumbnail(sample(words=words, image_width=1000, image_height=500)))

    assert near(drawn[20, 50], CO_EMB_COLOUR)


def test_lines_are_drawn_where_there_are_no_words() -> None:
    drawn = np.asarray(draw_thumbnail(sample(lines=(Reading("the sale", SQUARE),))))

    assert near(drawn[20, 50], CO_EMB_COLOUR)


@pytest.mark.parametrize(
    "polygon",
    [(), ((5.0, 5.0),), ((float("nan"), 1.0), (2.0, 2.0)), ((-1e30, -1e30), (1e30, 1e30)), ((3.0, 3.0),) * 4],
)
def test_strange_polygons_do_not_stop_the_thumbnail(polygon: tuple[tuple[float, float], ...]) -> None:
    for text in ("sale", "other"):
        assert draw_thumbnail(sample(words=(Reading(text, polygon),))).size == (100, 100)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (30, 20)])
def test_small_images_are_not_enlarged_and_narrow_ones_keep_a_pixel(shape: tuple[int, int]) -> None:
    drawn = draw_thumbnail(sample(pixels=np.zeros((*shape, 3), dtype=np.uint8)))

    assert 1 <= drawn.width <= min(256, shape[1])
    assert 1 <= drawn.height <= min(256, shape[0])


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_pixels_that_are_no_rgb_image_are_refused_with_the_sample_named(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"gallery sample 0/1: expected .* found \("):
        draw_thumbnail(sample(pixels=pixels))


def test_the_given_pixels_are_left_alone() -> None:
    given = sample(words=(Reading("sale", SQUARE),))

    draw_thumbnail(given)

    assert given.pixels is not None
    assert (given.pixels == GREY).all()


def test_data_uri_is_a_jpeg_of_the_image() -> None:
    uri = jpeg_data_uri(Image.new("RGB", (30, 20), (200, 30, 30)))

    kind, _, data = uri.partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind == "data:image/jpeg;base64"
    assert (image.format, image.size) == ("JPEG", (30, 20))
    assert near(np.asarray(image)[10, 15], (200, 30, 30))


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("Big SALE, big", ("sale", "big"), "<mark>Big</mark> <mark>SALE</mark>, <mark>big</mark>"),
        ("sales sale", ("sale",), "sales <mark>sale</mark>"),
        ("a-b", ("b",), "a-<mark>b</mark>"),
        ("Cafe\u0301 \uff21\uff22", ("caf\xe9", "ab"), "<mark>Cafe\u0301</mark> <mark>\uff21\uff22</mark>"),
        ("Stra\xdfe", ("strasse",), "<mark>Stra\xdfe</mark>"),
        ("\xbd price", ("1", "2"), "<mark>\xbd</mark> price"),
        ("\U0001f600 ok", ("ok",), "\U0001f600 <mark>ok</mark>"),
        (
            "<b>sale</b> & more",
            ("b", "sale"),
            "&lt;<mark>b</mark>&gt;<mark>sale</mark>&lt;/<mark>b</mark>&gt; &amp; more",
        ),
        ("nothing", (), "nothing"),
        ("", ("x",), ""),
    ],
)
def test_marks_exactly_the_co_emb_words(text: str, words: tuple[str, ...], expected: str) -> None:
    assert mark(text, words) == expected


def test_a_reading_is_co_emb_if_one_of_its_words_is() -> None:
    assert is_co_emb(Reading("How-To:"), {"to"})
    assert not is_co_emb(Reading("tomorrow"), {"to"})
    assert not is_co_emb(Reading("..."), {"to"})
    assert not is_co_emb(Reading("to"), set())


def test_long_captions_are_cut_between_words_with_their_length_told() -> None:
    caption = "sale word " * 10_240

    made = card(sample(caption=caption))

    shown = re.sub("<[^>]*>", "", str(made.caption))
    assert len(shown) <= CAPTION_CHARACTERS + 2
    assert shown.endswith(("sale \N{HORIZONTAL ELLIPSIS}", "word \N{HORIZONTAL ELLIPSIS}"))
    assert made.cut_from == "102,400"


def test_long_captions_without_a_blank_are_cut_too() -> None:
    made = card(sample(caption="x" * 100_000))

    assert len(str(made.caption)) == CAPTION_CHARACTERS + 2
    assert made.cut_from == "100,000"


def test_captions_that_fit_are_whole() -> None:
    made = card(sample(caption="y" * CAPTION_CHARACTERS))

    assert str(made.caption) == "y" * CAPTION_CHARACTERS
    assert made.cut_from is None


def test_alternative_text_tells_what_was_spotted() -> None:
    made = card(sample(words=(Reading("SALE"), Reading("PHOTO"))))

    assert (
        made.alt
        == "Image of sample 0/1. Spotted and in the caption: SALE. Spotted, not in the caption: PHOTO."
    )


def test_a_sample_that_was_not_measured_is_not_said_to_show_no_text() -> None:
    made = card(sample(image_type=None, pixels=None, error="cannot be decoded"))

    assert "No text" not in made.alt
    assert not made.measured
    assert (made.image_uri, made.error) == (None, "cannot be decoded")
    assert (made.cotr, made.fuzzy_cotr, made.clip_score) == ("n/a", "n/a", "n/a")


def test_many_spotted_words_are_counted_not_listed() -> None:
    made = card(sample(words=tuple(Reading(f"w{index}") for index in range(100))))

    assert made.spotted_left_out == 60
    assert "w39" in str(made.spotted)
    assert "w40" not in str(made.spotted)


def test_readings_are_made_of_rows() -> None:
    row = {"text": "SALE", "confidence": 0.5, "polygon": [{"x": 1, "y": 2}, {"x": 3, "y": 4}], "line": 0}

    assert Reading.from_row(row) == Reading("SALE", ((1.0, 2.0), (3.0, 4.0)), 0.5)


def test_an_unsafe_picture_keeps_colours_but_no_forms_and_says_so() -> None:
    stripes = np.zeros((200, 200, 3), dtype=np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 240

    clear = np.asarray(draw_thumbnail(sample(pixels=stripes))).astype(int)
    blurred = np.asarray(draw_thumbnail(sample(pixels=stripes, unsafe=True))).astype(int)

    assert blurred.shape == clear.shape
    assert clear.std() > 100
    assert blurred.std() < 5
    assert abs(blurred.mean() - clear.mean()) < 5
    shown = card(sample(unsafe=True))
    assert shown.blurred
    assert "(blurred)" in shown.alt
    assert not card(sample()).blurred
    assert not card(sample(unsafe=True, pixels=None)).blurred


def test_polygons_are_drawn_over_a_blurred_picture() -> None:
    words = (Reading("sale", SQUARE),)

    assert near(np.asarray(draw_thumbnail(sample(words=words, unsafe=True)))[20, 50], CO_EMB_COLOUR)


@pytest.mark.parametrize(
    ("nsfw", "punsafe", "unsafe"),
    [
        (None, None, False), ("UNLIKELY", None, False), ("unlikely ", 0.49, False), ("", 0.1, False),
        ("NSFW", None, True), ("UNSURE", 0.0, True), ("UNLIKELY", 0.5, True), (None, 0.99, True),
        ("False", None, False), ("True", None, True), ("0.02", None, False), ("0.93", None, True),
    ],
)  # fmt: skip
def test_what_sources_write_of_unsafe_images(nsfw: str | None, punsafe: float | None, unsafe: bool) -> None:
    assert is_unsafe(nsfw, punsafe) is unsafe
