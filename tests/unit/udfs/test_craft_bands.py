"""EasyOCR's detector in bands beside the same network over the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

torch = pytest.importorskip("torch")
easyocr = pytest.importorskip("easyocr")

from udfs import text_spotting  # noqa: E402
from udfs.craft_bands import BandedCraft  # noqa: E402


@pytest.fixture(scope="module")
def model():
    return text_spotting.resolve("easyocr").load()


def page(width, height):
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for y in range(10, height - 30, 50):
        draw.text((12, y), "parrot captions spot text", fill=(0, 0, 0), font_size=24)
    return np.asarray(image)


@pytest.mark.parametrize(("width", "height", "rows"), [(416, 320, 96), (160, 352, 32), (320, 96, 16)])
def test_bands_give_the_scores_of_the_whole_image(model, width, height, rows):
    net = model._read.__self__._reader.detector.net
    pixels = torch.from_numpy(page(width, height).astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1)
    with torch.no_grad():
        whole, whole_features = net(pixels)
        scores, features = BandedCraft(net, band_pixels=width * rows)(pixels)
    assert whole.max() > 0.3, "there is text"
    assert scores.shape == whole.shape
    torch.testing.assert_close(scores, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(features, whole_features, rtol=0, atol=1e-4)


def test_a_large_image_is_never_seen_whole(model, monkeypatch):
    reader = model._read.__self__._reader
    net, seen = reader.detector.net, []
    first = net.basenet.slice1[0]
    hook = first.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[2:].numel()))
    monkeypatch.setattr(reader, "detector", BandedCraft(net, band_pixels=320 * 64))
    image = model.prepare(page(320, 400))
    try:
        (banded,) = model.predict([image], [{}])
    finally:
        hook.remove()
    monkeypatch.setattr(reader, "detector", net)
    (whole,) = model.predict([image], [{}])
    assert len(seen) == 7
    assert max(seen) <= 320 * (64 + 2 * 8)
    assert banded == whole
    assert len(banded["words"]) == 32
