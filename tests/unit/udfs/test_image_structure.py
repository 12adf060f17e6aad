"""Which files are decoded apart: decided from their bytes alone."""

from __future__ import annotations

import time

import pytest

from tests.builders import draw_image, image_bytes
from tests.hostile import encoded, hostile_images, jpeg_segment, jpeg_with, png_chunk, png_with
from udfs.image_structure import FORMATS, format_of, look_of, oddity, plain_pixels


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "AVIF"])
def test_formats_are_told_by_their_first_bytes(name):
    assert format_of(image_bytes(name)) == name


@pytest.mark.parametrize(
    ("data", "look"),
    [
        (b"<?xml version='1.0'?><svg/>", "HTML, SVG or other markup"), (b"%PDF-1.4", "PDF"),
        (b"%!PS-Adobe", "PostScript"), (b"8BPS\0\1", "Photoshop"), (b"PK\x03\x04..", "ZIP"),
        (b"404 not found", "text"), (b"\x01\x02\x03", r"begins with b'\x01\x02\x03'"),
    ],
)  # fmt: skip
def test_other_formats_are_named(data, look):
    assert format_of(data) is None
    assert look in look_of(data)


@pytest.mark.parametrize(
    "options",
    [
        {"format": "JPEG", "progressive": True}, {"format": "JPEG", "icc_profile": bytes(600_000)},
        {"format": "PNG", "icc_profile": bytes(3000)}, {"format": "WEBP", "lossless": True},
        {"format": "WEBP", "icc_profile": bytes(3000)}, {"format": "GIF"}, {"format": "BMP"},
    ],
)  # fmt: skip
def test_what_encoders_write_is_ordinary(options):
    options = dict(options)
    assert oddity(encoded(draw_image((300, 200)), options.pop("format"), **options)) is None


@pytest.mark.parametrize(
    "data",
    [
        jpeg_with(b"junk"),
        jpeg_with(jpeg_segment(0xE5, bytes(60_000)) * 20),
        jpeg_with(jpeg_segment(0xFE, b"") * 600),
        png_with(png_chunk(b"prVt", bytes(1_100_000))),
        png_with(png_chunk(b"acTL", (5000).to_bytes(4, "big") + bytes(4))),
        png_with(png_chunk(b"tEXt", b"Raw profile type exif\0")),
    ],
)
def test_unusual_structure_is_odd(data):
    assert oddity(data)


def test_telling_takes_no_time_even_on_hostile_files():
    for name, data in hostile_images().items():
        started = time.perf_counter()
        oddity(data)
        assert time.perf_counter() - started < 0.25, name


def test_many_pixels_in_few_bytes_are_not_plain():
    assert plain_pixels(100) == 4_000_000
    assert plain_pixels(200_000) == 10_000_000
    assert plain_pixels(10_000_000) == 16_000_000
