"""Readings to rows, and EasyOCR behind the spotter contract."""

from __future__ import annotations

import io
import json
import math
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from udfs import easyocr_spotter, text_spotting
from udfs.image_codec import DecodeLimits, decode
from udfs.text_spotting import Reading, SpottingModel, assembled
from udfs.weights import MissingWeightsError, WeightsError

QUAD = [(10, 10), (50, 10), (50, 30), (10, 30)]


def drawn(text: str, *, size: tuple[int, int] = (420, 90), colour: str = "black") -> np.ndarray:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((20, 20), text, fill=colour, font=ImageFont.load_default(size=40))
    return np.asarray(image)


@pytest.fixture(scope="module")
def easyocr_model() -> SpottingModel:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # small images gain nothing from more
    return text_spotting.resolve("easyocr").load()


def test_a_reading_becomes_a_line_and_its_words() -> None:
    row = assembled([Reading("Buy two", 0.98765432, QUAD)], width=100, height=50)
    assert row["lines"] == [
        {
            "text": "Buy two",
            "confidence": 0.9877,
            "polygon": [{"x": float(x), "y": float(y)} for x, y in QUAD],
        }
    ]
    assert [(word["text"], word["confidence"], word["line"]) for word in row["words"]] == [
        ("Buy", 0.9877, 0),
        ("two", 0.9877, 0),
    ]
    split = 10 + 40 * 3 / 7
    assert row["words"][0]["polygon"][1] == {"x": pytest.approx(split), "y": 10.0}
    assert row["text_area_ratio"] == pytest.approx(40 * 20 / (100 * 50))
    assert (row["image_width"], row["image_height"]) == (100, 50)


def test_blank_readings_are_dropped_and_lines_renumbered() -> None:
    texts = [" \t", "one", "", "two"]
    row = assembled([Reading(text, 0.5, QUAD) for text in texts], width=100, height=50)
    assert [line["text"] for line in row["lines"]] == ["one", "two"]
    assert [word["line"] for word in row["words"]] == [0, 1]
    assert row["text_area_ratio"] == pytest.approx(2 * 40 * 20 / (100 * 50))


def test_an_image_without_readings_is_no_text() -> None:
    assert assembled([], width=8, height=4) == {
        "words": [],
        "lines": [],
        "text_area_ratio": 0.0,
        "image_width": 8,
        "image_height": 4,
    }


def test_polygons_are_clipped_but_words_are_cut_from_the_whole_line() -> None:
    reading = Reading("aaaa bbbbb", 0.5, [(-50, 0), (50, 0), (50, 10), (-50, 10)])
    row = assembled([reading], width=100, height=10)
    assert {point["x"] for point in row["lines"][0]["polygon"]} == {0.0, 50.0}
    first, second = row["words"]
    assert first["polygon"] == []  # its share, -50 to -10, lies outside
    assert {point["x"] for point in second["polygon"]} == {0.0, 50.0}
    assert row["text_area_ratio"] == 0.5


@pytest.mark.parametrize(
    "polygon", [[], [(1, 1)] * 4, [(float("nan"), 0)] * 4, [(-9, -9), (-5, -9), (-5, -5)]]
)
def test_a_degenerate_polygon_keeps_its_text(polygon: list[tuple[float, float]]) -> None:
    row = assembled([Reading("kept", 0.5, polygon)], width=10, height=10)
    assert row["lines"] == [{"text": "kept", "confidence": 0.5, "polygon": []}]
    assert row["words"] == [{"text": "kept", "confidence": 0.5, "polygon": [], "line": 0}]
    assert row["text_area_ratio"] == 0


@pytest.mark.parametrize(("raw", "stored"), [(1.0000001, 1.0), (-0.1, 0.0), (math.nan, 0.0), (0.00004, 0.0)])
def test_confidences_are_within_0_and_1(raw: float, stored: float) -> None:
    row = assembled([Reading("x", raw, QUAD)], width=100, height=50)
    assert row["lines"][0]["confidence"] == stored


def test_rows_hold_the_columns_and_types_of_the_table() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyspark.sql.pandas.types import to_arrow_type

    from schemas import spotted_text

    numpy_quad = np.array(QUAD, dtype=np.int32)
    row = assembled([Reading("some words", np.float32(0.5), numpy_quad)], width=np.int64(100), height=50)
    fields = {field.name: field for field in spotted_text.TABLE.result_fields()}
    assert {*row, "spotter"} == set(fields)
    for name, value in row.items():
        back = pyarrow.array([value], type=to_arrow_type(fields[name].dataType)).to_pylist()[0]
        assert back == value, name
    assert json.loads(json.dumps(row)) == row  # plain Python throughout


def test_unknown_spotter_names_the_known_ones() -> None:
    with pytest.raises(WeightsError, match=r"Did you mean easyocr\? Known: easyocr"):
        text_spotting.resolve("easy-ocr")


def test_another_spotter_is_one_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(text_spotting.SPOTTERS, "mine", "udfs.easyocr_spotter")
    assert text_spotting.resolve("mine", canvas_size=640).params["canvas_size"] == 640


def test_easyocr_params_say_what_decides_a_reading() -> None:
    factory = text_spotting.resolve("easyocr", detector_precision="bf16")
    assert factory.spotter == "easyocr/en"
    params = json.loads(json.dumps(factory.params))
    assert params["detector_precision"] == "bf16"
    assert params["languages"] == ["en"]
    assert params["recognizer_batch_size"] == 1
    assert set(params["weights"]) == {"craft_mlt_25k.pth", "english_g2.pth"}
    assert all(len(sha256) == 64 for sha256 in params["weights"].values())
    assert factory.params != text_spotting.resolve("easyocr").params
    # What English readings do not depend on stays out of their key: stored ones would be read again.
    special = {"rotations", "cut_words", "right_to_left"}
    assert not special & set(params)
    assert text_spotting.resolve("easyocr", rotations=(270, 90)).params["rotations"] == [90, 270]
    arabic = easyocr_spotter.EasyOcrFactory(files=factory.files, languages=("en", "fa", "ar"))
    assert arabic.params["right_to_left"] == ["ar", "fa"]


def test_easyocr_factory_is_picklable_and_hashable() -> None:
    factory = text_spotting.resolve("easyocr", languages=["en", "en"])
    copy = pickle.loads(pickle.dumps(factory))
    assert copy == factory
    assert len({copy, factory}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detector_precision": "int8"}, "known: fp32, bf16"),
        ({"canvas_size": 0}, "canvas_size >= 32"),
        ({"mag_ratio": 0.0}, "mag_ratio > 0"),
        ({"recognizer_batch_size": 0}, "recognizer_batch_size >= 1"),
        ({"rotations": [45]}, r"turns boxes by 90, 180, 270 degrees; found rotations \(45,\)"),
        ({"languages": ["en", "xx"]}, "does not know the language xx"),
        ({"languages": []}, "none given"),
        ({"languages": ["ja", "ru"]}, "cannot read ja, ru together"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        text_spotting.resolve("easyocr", **options)


def test_other_languages_need_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=r"craft_mlt_25k\.pth and latin_g2\.pth .*model_directory"):
        text_spotting.resolve("easyocr", languages=["fr", "en"])
    with pytest.raises(MissingWeightsError, match=r"lacks craft_mlt_25k\.pth and latin_g2\.pth"):
        text_spotting.resolve("easyocr", languages=["fr", "en"], model_directory=str(tmp_path))
    for name in ("craft_mlt_25k.pth", "latin_g2.pth"):
        (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(WeightsError, match=r"craft_mlt_25k\.pth is not the expected weight file"):
        text_spotting.resolve("easyocr", languages=["fr", "en"], model_directory=str(tmp_path))


def test_a_folder_with_the_english_weights_gives_the_same_run(tmp_path: Path) -> None:
    packaged = text_spotting.resolve("easyocr")
    for file in packaged.files:
        (tmp_path / file.name).symlink_to(file.path)
    own = text_spotting.resolve("easyocr", model_directory=str(tmp_path))
    assert own.params == packaged.params
    assert {file.path.parent for file in own.files} == {tmp_path}


def test_weights_changed_after_resolve_are_refused(tmp_path: Path) -> None:
    for file in text_spotting.resolve("easyocr").files:
        (tmp_path / file.name).write_bytes(file.path.read_bytes())
    factory = text_spotting.resolve("easyocr", model_directory=str(tmp_path))
    (tmp_path / "english_g2.pth").write_bytes(b"cut short")
    with pytest.raises(WeightsError, match=r"english_g2\.pth is not the expected weight file"):
        factory.load()


def test_easyocr_reads_drawn_words(easyocr_model: SpottingModel) -> None:
    image = drawn("PARROT caption")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the library's own warnings must not reach a strict caller
        (row,) = easyocr_model.predict([easyocr_model.prepare(image)], [{}])
    assert [word["text"].lower() for word in row["words"]] == ["parrot", "caption"]
    xs = [point["x"] for word in row["words"] for point in word["polygon"]]
    ys = [point["y"] for word in row["words"] for point in word["polygon"]]
    inked = np.argwhere(image.min(axis=2) < 128)
    assert min(xs) <= inked[:, 1].min() and max(xs) >= inked[:, 1].max()
    assert min(ys) <= inked[:, 0].min() and max(ys) >= inked[:, 0].max()
    assert 0 < row["text_area_ratio"] < 1


def test_text_that_was_turned_is_read_where_rotations_are_set(easyocr_model: SpottingModel) -> None:
    upright = drawn("GARDEN PARTY")
    turned = np.ascontiguousarray(np.rot90(upright))
    rotating = text_spotting.resolve("easyocr", rotations=(90, 270)).load()
    (plain,) = easyocr_model.predict([easyocr_model.prepare(turned)], [{}])
    (found, level) = rotating.predict([rotating.prepare(image) for image in (turned, upright)], [{}, {}])
    assert {word["text"] for word in plain["words"]} != {"GARDEN", "PARTY"}
    assert {word["text"] for word in found["words"]} == {"GARDEN", "PARTY"}
    for word in found["words"]:
        assert word["polygon"] == found["lines"][word["line"]]["polygon"]  # up or down is not known
    assert [word["text"] for word in level["words"]] == ["GARDEN", "PARTY"]
    assert level["words"][0]["polygon"] != level["words"][1]["polygon"]
    blank = np.full((40, 60, 3), 255, np.uint8)
    assert rotating.predict([rotating.prepare(blank)], [{}])[0]["words"] == []


def test_easyocr_equals_readtext_over_the_file(easyocr_model: SpottingModel, tmp_path: Path) -> None:
    # Saturated colours: readtext on an RGB array would take them for BGR and read other grey values.
    image = drawn("Red and BLUE", colour="#0000ff")
    image = np.where(image == 255, np.array([255, 200, 0], dtype=np.uint8), image)
    path = tmp_path / "drawn.jpg"
    Image.fromarray(image).save(path)
    data = path.read_bytes()
    decoded = decode(data, DecodeLimits())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = easyocr_model._read.__self__._reader.readtext(str(path))
    (row,) = easyocr_model.predict([easyocr_model.prepare(decoded, data)], [{}])
    (computed,) = easyocr_model.predict([easyocr_model.prepare(decoded)], [{}])
    assert [line["text"] for line in row["lines"]] == [text for _, text, _ in expected]
    assert [line["text"] for line in computed["lines"]] == [text for _, text, _ in expected]
    assert computed != row, "an image whose luminance plane does not matter"
    for line, (polygon, _, confidence) in zip(row["lines"], expected, strict=True):
        assert line["confidence"] == round(confidence, 4)
        assert [(point["x"], point["y"]) for point in line["polygon"]] == [(x, y) for x, y in polygon]


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_grey_of_a_jpeg_is_what_opencv_reads(mode: str, orientation: int, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    noise = np.random.default_rng(1).integers(0, 256, size=(40, 60, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "noise.jpg"
    Image.fromarray(noise).resize((120, 80)).convert(mode).save(path, exif=exif)
    data = path.read_bytes()
    grey = text_spotting.grey_of(decode(data, DecodeLimits()), data)
    np.testing.assert_array_equal(grey, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))


@pytest.mark.parametrize("data", [None, b"", b"GIF89a", b"\xff\xd8 cut short"])
def test_grey_without_a_jpeg_comes_from_rgb(data: bytes | None) -> None:
    colours = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]], dtype=np.uint8)
    assert text_spotting.grey_of(colours, data).tolist() == [[76, 150, 29, 255]]


def test_grey_of_another_size_is_not_taken() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), "white").save(buffer, "JPEG")
    assert (
        text_spotting.grey_of(np.zeros((5, 8, 3), dtype=np.uint8), buffer.getvalue()).tolist()
        == [[0] * 8] * 5
    )


def test_a_batch_reads_like_its_images_alone(easyocr_model: SpottingModel) -> None:
    drawings = [drawn("first one"), drawn("no words", colour="white"), drawn("second", size=(300, 120))]
    images = [easyocr_model.prepare(image) for image in drawings]
    together = easyocr_model.predict(images, [{}] * 3)
    assert together == [easyocr_model.predict([image], [{}])[0] for image in images]
    assert together[1]["words"] == []


def test_degenerate_boxes_do_not_fail_the_image(
    easyocr_model: SpottingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import easyocr

    image = easyocr_model.prepare(drawn("still here"))
    expected = easyocr_model.predict([image], [{}])
    original = easyocr.Reader.detect

    def detect(self: object, *args: object, **options: object) -> tuple[list[list], list[list]]:
        horizontal, free = original(self, *args, **options)
        beyond = [[30, 30, 5, 40], [30, 60, 50, 50], [900, 950, 10, 40], [-40, -1, 0, 30], [60, 30, 5, 40]]
        flat = [[[5, 5]] * 4, [[5, 5], [40, 5], [40, 5], [5, 5]], [[5, 5], [5, 5], [5, 40], [5, 40]]]
        return [[*horizontal[0], *beyond]], [[*free[0], *flat]]

    monkeypatch.setattr(easyocr.Reader, "detect", detect)
    assert easyocr_model.predict([image], [{}]) == expected


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (5000, 3), (1, 6000), (31, 33)])
def test_odd_shapes_are_read_as_no_text(easyocr_model: SpottingModel, shape: tuple[int, int]) -> None:
    blank = easyocr_model.prepare(np.full((*shape, 3), 255, dtype=np.uint8))
    (row,) = easyocr_model.predict([blank], [{}])
    assert row["words"] == []
    assert (row["image_height"], row["image_width"]) == shape


def test_bf16_detector_reads_the_same_drawn_words(easyocr_model: SpottingModel) -> None:
    image = easyocr_model.prepare(drawn("PARROT caption"))
    model = text_spotting.resolve("easyocr", detector_precision="bf16").load()
    (half,), (full,) = model.predict([image], [{}]), easyocr_model.predict([image], [{}])
    assert [word["text"] for word in half["words"]] == [word["text"] for word in full["words"]]


def test_data_parallel_is_unwrapped() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(2, 2)
    assert easyocr_spotter._unwrapped(torch.nn.DataParallel(module)) is module
    assert easyocr_spotter._unwrapped(module) is module
