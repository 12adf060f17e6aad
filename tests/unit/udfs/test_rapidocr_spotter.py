"""RapidOCR behind the spotter contract, with the models of its package."""

from __future__ import annotations

import importlib.util
import json
import pickle

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

pytest.importorskip("rapidocr")
pytest.importorskip("onnxruntime")

from udfs import rapidocr_spotter, text_spotting
from udfs.weights import MissingWeightsError, WeightsError


@pytest.fixture(scope="module")
def model():
    return text_spotting.resolve("rapidocr").load()


def drawn(text, *, colour="black"):
    image = Image.new("RGB", (420, 90), "white")
    ImageDraw.Draw(image).text((20, 20), text, fill=colour, font=ImageFont.load_default(size=40))
    return np.asarray(image)


def read(model, image):
    (row,) = model.predict([model.prepare(image)], [{}])
    return row


def test_drawn_words_are_read_where_they_stand(model):
    image = drawn("PARROT caption", colour="#0000ff")
    row = read(model, image)
    assert "".join(word["text"].lower() for word in row["words"]) == "parrotcaption"
    assert row["lines"][0]["confidence"] > 0.8
    inked = np.argwhere(image.min(axis=2) < 128)
    xs = [point["x"] for word in row["words"] for point in word["polygon"]]
    ys = [point["y"] for word in row["words"] for point in word["polygon"]]
    # The detector's boxes are grown around the ink (unclip_ratio), by less than half of the letters' height here.
    (top, left), (bottom, right) = inked.min(axis=0), inked.max(axis=0)
    grown = [left - min(xs), max(xs) - right, top - min(ys), max(ys) - bottom]
    assert all(0 <= side < (bottom - top) / 2 for side in grown)
    assert read(model, image) == row


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 900), (900, 1), (7, 300), (8, 8), (8, 200), (200, 9), (31, 33)]
)
def test_odd_shapes_are_read_as_no_text(model, shape):
    row = read(model, np.full((*shape, 3), 255, np.uint8))
    assert row["words"] == []
    assert (row["image_height"], row["image_width"]) == shape


@pytest.mark.parametrize(
    ("shape", "padded"), [((60, 200), (60, 200)), ((8, 900), (113, 900)), ((900, 9), (900, 113))]
)
def test_long_images_are_padded_with_their_edge(shape, padded):
    image = np.full((*shape, 3), 7, np.uint8)
    found = rapidocr_spotter._padded(image)
    assert found.shape == (*padded, 3) and set(found.flat) == {7}


def test_noise_raises_nothing(model):
    noise = np.random.default_rng(1).integers(0, 256, size=(60, 200, 3), dtype=np.uint8)
    assert set(read(model, noise)) == {"words", "lines", "text_area_ratio", "image_width", "image_height"}


def test_params_name_version_and_models():
    factory = text_spotting.resolve("rapidocr", canvas_size=2560, mag_ratio=1.0)
    params = json.loads(json.dumps(factory.params))
    assert factory.spotter == "rapidocr/en"
    assert params["version"] == importlib.metadata.version("rapidocr")
    assert len(params["weights"]) == 3
    assert all(len(sha256) == 64 for sha256 in params["weights"].values())
    copy = pickle.loads(pickle.dumps(factory))
    assert copy == factory and len({copy, factory}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": ("en", "fr")}, r"found \('en', 'fr'\)"),
        ({"rotations": (90,)}, r"takes no spot_text\.rotations=\(90,\)"),
        ({"detector_precision": "int8"}, r"takes no spot_text\.detector_precision=int8"),
        ({"model_directory": "/models"}, r"takes no spot_text\.model_directory=/models"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(WeightsError, match=message):
        text_spotting.resolve("rapidocr", **options)


def test_a_missing_package_or_model_says_what_to_do(monkeypatch, tmp_path):
    models = rapidocr_spotter._shipped_models()
    with pytest.raises(MissingWeightsError, match=r"one model \*_rec_\*\.onnx .* found none"):
        rapidocr_spotter._only([file for file in models if "_rec_" not in file.name], "rec")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match=r"needs rapidocr and onnxruntime.*parrot-captions\[rapidocr\]"):
        text_spotting.resolve("rapidocr")
