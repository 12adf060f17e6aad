from __future__ import annotations

import io
import resource

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.builders import damaged_images, image_bytes, odd_images, png_that_claims
from udfs.image_codec import DecodeLimits, ImageFault, decode, read_facts

LIMITS = DecodeLimits()


def encoded(image, image_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("name", sorted(odd_images()))
def test_odd_but_sound_images_become_rgb(name):
    data = odd_images()[name]
    pixels = decode(data, LIMITS)
    facts = read_facts(data)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (facts.height, facts.width, 3)


@pytest.mark.parametrize("name", sorted(damaged_images()))
def test_damaged_images_are_faults_with_a_reason(name):
    with pytest.raises(ImageFault, match=r"\w+"):
        decode(damaged_images()[name], LIMITS)


def test_exif_orientation_is_applied():
    turned = image_bytes(size=(40, 20), orientation=6)
    assert decode(turned, LIMITS).shape == (40, 20, 3)
    assert (read_facts(turned).width, read_facts(turned).height) == (20, 40)


def test_transparency_is_composed_over_white():
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (200, 0, 0, 255))
    assert decode(encoded(image, "PNG"), LIMITS).tolist() == [[[255, 255, 255], [200, 0, 0]]]


def test_palette_transparency_is_composed_over_white():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert decode(encoded(image, "PNG", transparency=0), LIMITS).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_sixteen_bit_grey_is_scaled():
    grey = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))
    assert decode(encoded(grey, "PNG"), LIMITS)[0, :, 0].tolist() == [0, 128, 255]


def test_cmyk_white_is_white():
    white = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    assert decode(encoded(white, "JPEG"), LIMITS).min() >= 250


def test_a_huge_png_is_refused_by_its_header_alone():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageFault, match=r"50000 x 50000 px exceeds the limit of 64000000 pixels"):
        decode(png_that_claims(50_000, 50_000), LIMITS)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000  # kB; the picture would take 7.5 GB


def test_a_file_over_the_limit_is_not_decoded():
    with pytest.raises(ImageFault, match="exceeds the limit of 10 bytes"):
        decode(image_bytes(), DecodeLimits(max_bytes=10))


def test_an_empty_file_says_so():
    with pytest.raises(ImageFault, match="empty file"):
        decode(b"", LIMITS)
    assert read_facts(b"") is None


def test_a_side_that_no_table_can_hold_is_no_fact():
    bitmap = bytearray(image_bytes("BMP"))
    bitmap[22:26] = (-(2**31)).to_bytes(4, "little", signed=True)  # a height from top to bottom
    assert read_facts(bytes(bitmap)) is None
    with pytest.raises(ImageFault, match="x 2147483648 px exceeds the limit"):
        decode(bytes(bitmap), LIMITS)


def test_broken_exif_counts_as_none():
    jpeg = image_bytes()
    block = b"Exif\0\0MM\0*\xff\xff\xff\xff"
    broken = jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]
    assert np.array_equal(decode(broken, LIMITS), decode(jpeg, LIMITS))


def test_reading_the_header_of_a_png_decodes_no_pixels(monkeypatch):
    data = encoded(Image.new("RGB", (60, 40)), "PNG")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert (read_facts(data).width, read_facts(data).height) == (60, 40)


def test_exif_behind_the_pixels_of_a_png_is_read():
    rotated = image_bytes("PNG", size=(40, 20), orientation=6)
    start = rotated.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(rotated[start : start + 4], "big")
    behind = rotated[:start] + rotated[end:-12] + rotated[start:end] + rotated[-12:]
    assert (read_facts(behind).width, read_facts(behind).height) == (20, 40)
    assert decode(behind, LIMITS).shape == (40, 20, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_as_pillow_turns_them(orientation):
    data = image_bytes("JPEG", size=(40, 24), orientation=orientation)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(decode(data, LIMITS), np.asarray(turned))
