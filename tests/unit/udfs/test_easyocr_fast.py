"""The fast spotter: in fp32 beside `readtext`, in int8 on what was drawn, and what may not break it."""

from __future__ import annotations

import json
import os
import pickle
import platform
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

torch = pytest.importorskip("torch")
easyocr = pytest.importorskip("easyocr")

from spark_jobs.demo.captions import RELATIONS  # noqa: E402
from spark_jobs.demo.examples import make_example  # noqa: E402
from udfs import devices, easyocr_fast, easyocr_spotter, text_spotting  # noqa: E402
from udfs.craft_bands import BandedCraft  # noqa: E402
from udfs.craft_layers import has_int8  # noqa: E402
from udfs.crop_reading import CropReader, _stacks, crops_of  # noqa: E402
from udfs.weights import WeightsError  # noqa: E402

needs_int8 = pytest.mark.skipif(not has_int8(), reason="this PyTorch has no int8 convolutions of oneDNN")


def drawn(text, *, size=(420, 90), place=(20, 20)):
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text(place, text, fill="black", font=ImageFont.load_default(size=40))
    return np.asarray(image)


@pytest.fixture(scope="module")
def fp32():
    torch.set_num_threads(1)
    return text_spotting.resolve("easyocr-fast", detector_precision="fp32").load()


@pytest.fixture(scope="module")
def int8():
    torch.set_num_threads(1)
    return text_spotting.resolve("easyocr-fast", detector_precision="int8").load()


def spotter_of(model):
    return model._read_all.__self__


def read(model, *images):
    prepared = [model.prepare(image) for image in images]
    return model.predict(prepared, [{}] * len(prepared))


def words(row):
    return [word["text"].lower() for word in row["words"]]


def scenes(count, *, size=288, first=0):
    relations = [relation for relation in RELATIONS if relation != "no_text"]
    return [
        make_example(relations[number % len(relations)], rng=random.Random(number), size=size)
        for number in range(first, first + count)
    ]


def test_in_fp32_readings_are_those_of_readtext_with_weights_as_they_are(fp32):
    factory = easyocr_spotter.resolve()
    reader = easyocr_spotter.load_reader(factory.files, factory.languages, quantize=False, device="cpu")
    images = [np.asarray(scene.image) for scene in scenes(4)]
    # Turned and dim text: free boxes, and readings of the second pass.
    turned = Image.fromarray(drawn("GARDEN party 12", size=(420, 260), place=(60, 110))).rotate(
        18, fillcolor="white"
    )
    dim = Image.fromarray(drawn("faint", size=(200, 80)) // 42 + 190)
    images += [np.asarray(turned), np.asarray(dim.resize((100, 40)).resize((200, 80)))]
    rows = read(fp32, *images)
    boxes = 0
    for image, row in zip(images, rows, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # What readtext does, given the grey values of an RGB image.
            level, free = reader.detect(image, reformat=False)
            expected = reader.recognize(text_spotting.grey_of(image), level[0], free[0], reformat=False)
        expected = text_spotting.assembled(
            [text_spotting.Reading(text, float(sure), polygon) for polygon, text, sure in expected],
            width=image.shape[1],
            height=image.shape[0],
        )
        boxes += len(free[0])
        assert [line["text"] for line in row["lines"]] == [line["text"] for line in expected["lines"]]
        for line, other in zip(row["lines"], expected["lines"], strict=True):
            assert line["polygon"] == other["polygon"]
            assert line["confidence"] == pytest.approx(other["confidence"], abs=2e-4)
    assert boxes > 0 and sum(len(row["lines"]) for row in rows) > 8


@needs_int8
def test_in_int8_drawn_text_is_read_as_in_fp32(fp32, int8):
    pictures = scenes(6, first=10)
    images = [np.asarray(scene.image) for scene in pictures]
    found, exact = read(int8, *images), read(fp32, *images)
    assert read(int8, *images) == found
    planted = [{word.lower() for word in scene.words} for scene in pictures]
    total = sum(map(len, planted))
    hits = sum(len(true & set(words(row))) for true, row in zip(planted, found, strict=True))
    exact_hits = sum(len(true & set(words(row))) for true, row in zip(planted, exact, strict=True))
    assert exact_hits > 0.8 * total
    assert abs(hits - exact_hits) <= 0.05 * total


@needs_int8
@pytest.mark.parametrize("size", [384, 480])
def test_the_gate_never_rules_drawn_text_out(int8, size):
    spotter = spotter_of(int8)
    with torch.inference_mode():
        assert not [
            scene.words
            for scene in scenes(8, size=size, first=20)
            if spotter._is_ruled_out(np.asarray(scene.image))
        ]


@needs_int8
def test_the_gate_spares_the_detector_pictures_without_text(int8, monkeypatch):
    spotter, seen = spotter_of(int8), []
    detector = spotter._detector
    monkeypatch.setattr(spotter, "_detector", lambda stack: seen.append(stack.shape[2:]) or detector(stack))
    blank = np.full((400, 420, 3), 120, np.uint8)
    tiny = np.full((60, 90, 3), 120, np.uint8)
    rows = read(int8, blank, tiny, drawn("text", size=(416, 384)))
    assert [words(row) for row in rows] == [[], [], ["text"]]
    # By padded size: half of the blank one; the tiny one at once; half of the last, and all of it.
    assert [tuple(shape) for shape in seen] == [(224, 224), (64, 96), (192, 224), (384, 416)]


def test_a_batch_reads_like_its_images_alone(fp32):
    images = [drawn("first one"), np.full((90, 420, 3), 255, np.uint8), drawn("second", size=(300, 120))]
    together = read(fp32, *images)
    for row, image in zip(together, images, strict=True):
        (alone,) = read(fp32, image)
        assert words(row) == words(alone)
        for line, other in zip(row["lines"], alone["lines"], strict=True):
            assert line["polygon"] == other["polygon"]
            assert line["confidence"] == pytest.approx(other["confidence"], abs=2e-4)
    assert [words(row) for row in together] == [["first", "one"], [], ["second"]]


def test_pictures_of_one_size_go_through_the_detector_together_as_on_a_gpu(fp32, monkeypatch):
    spotter, seen = spotter_of(fp32), []
    images = [drawn("one"), drawn("two", size=(300, 120)), drawn("three", size=(410, 96)), drawn("four")]
    expected = read(fp32, *images)
    detector = spotter._detector
    monkeypatch.setattr(spotter, "_batch_pixels", 2 * 96 * 448)
    monkeypatch.setattr(spotter, "_detector", lambda stack: seen.append(len(stack)) or detector(stack))
    found = read(fp32, *images)
    assert seen == [2, 1, 1]  # 416 x 96 px hold the first, third and fourth
    assert [words(row) for row in found] == [words(row) for row in expected]
    assert [[line["polygon"] for line in row["lines"]] for row in found] == [
        [line["polygon"] for line in row["lines"]] for row in expected
    ]


def test_half_precision_is_what_the_network_gets(monkeypatch):
    kinds = []

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float16))

        def forward(self, stack):
            kinds.append(stack.dtype)
            return stack.permute(0, 2, 3, 1), stack

    net = Net()
    scores, _ = easyocr_fast._in_precision(
        BandedCraft(net), torch.zeros(1, 3, 32, 32), device=net.weight.device, number=torch.float16
    )
    assert kinds == [torch.float16] and scores.dtype == torch.float16
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    factory = text_spotting.resolve("easyocr-fast", detector_precision="fp16")
    with pytest.raises(WeightsError, match=r"fp16 needs a GPU.*detector_precision=int8"):
        factory.load()


def test_bf16_reads_drawn_words():
    model = text_spotting.resolve("easyocr-fast", detector_precision="bf16").load()
    assert words(read(model, drawn("PARROT caption"))[0]) == ["parrot", "caption"]


@pytest.mark.parametrize("name", ["fp32", pytest.param("int8", marks=needs_int8)])
def test_large_images_go_through_in_bands(name, request, monkeypatch):
    model = request.getfixturevalue(name)
    spotter = spotter_of(model)
    page = np.concatenate([drawn("upper line"), drawn("lower line"), drawn("the last")])
    expected = read(model, page)
    net = spotter._detector.net
    monkeypatch.setattr(spotter, "_detector", BandedCraft(net, band_pixels=448 * 64))
    assert [words(row) for row in read(model, page)] == [words(row) for row in expected]
    assert words(expected[0]) == ["upper", "line", "lower", "line", "the", "last"]


@needs_int8
@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (3, 5000), (5000, 3), (31, 33), (7, 7)])
def test_odd_shapes_are_read_as_no_text(int8, shape):
    (row,) = read(int8, np.full((*shape, 3), 255, np.uint8))
    assert row["words"] == []
    assert (row["image_height"], row["image_width"]) == shape


@needs_int8
def test_nothing_is_warned_of(int8):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(int8, drawn("quiet"))[0]["words"]


def test_crops_are_stacked_by_width_within_memory():
    assert _stacks([128, 64, 128, 8192, 9000]) == [[1], [0, 2], [3], [4]]
    assert [len(stack) for stack in _stacks([4096] * 5)] == [2, 2, 1]
    assert _stacks([]) == []


def test_unsure_crops_are_read_again_and_the_surer_reading_is_kept(fp32, monkeypatch):
    reader = spotter_of(fp32)._recogniser
    answers = {0.0: [("a", 0.05), ("b", 0.5), ("c", 0.09)], 0.5: [("A", 0.04), ("C", 0.09)]}
    asked = []

    def one_pass(self, crops, *, contrast):
        asked.append((len(crops), contrast))
        return list(answers[contrast])

    monkeypatch.setattr(CropReader, "_pass", one_pass)
    crops = crops_of(drawn("x")[:, :, 0], [[0, 60, 0, 60]] * 3, [])
    assert reader.read(crops) == [("a", 0.05), ("b", 0.5), ("C", 0.09)]
    assert asked == [(3, 0.0), (2, 0.5)]


def test_params_say_what_decides_a_reading(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    factory = text_spotting.resolve("easyocr-fast")
    assert factory.spotter == "easyocr-fast/en"
    params = json.loads(json.dumps(factory.params))
    assert params["spotter"] == "easyocr-fast"
    assert params["detector_precision"] == ("int8" if has_int8() else "fp32")
    assert set(params["weights"]) == {"craft_mlt_25k.pth", "english_g2.pth"}
    assert "recognizer_batch_size" not in params
    exact = text_spotting.resolve("easyocr-fast", detector_precision="fp32").params
    assert exact["recognizer_precision"] == "fp32"
    assert not {"gate", "ranges"} & set(exact)
    assert exact["canvas_size"] == text_spotting.resolve("easyocr").params["canvas_size"]


@needs_int8
def test_the_precision_is_what_the_machine_does_best(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert text_spotting.resolve("easyocr-fast").params["detector_precision"] == "fp16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for has_bf16, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(easyocr_fast, "has_native_bf16", lambda has=has_bf16: has)
        params = text_spotting.resolve("easyocr-fast").params
        assert (params["detector_precision"], params["recognizer_precision"]) == ("int8", precision)
        assert len(params["ranges"]) == 64
    monkeypatch.setattr(easyocr_fast, "has_int8", lambda: False)
    assert text_spotting.resolve("easyocr-fast").params["detector_precision"] == "fp32"


def test_the_environment_may_switch_bf16_off(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert not devices.has_native_bf16()
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    assert devices.has_native_bf16()


def test_the_factory_is_picklable_and_hashable():
    factory = text_spotting.resolve("easyocr-fast")
    copy = pickle.loads(pickle.dumps(factory))
    assert copy == factory and copy.params == factory.params
    assert len({copy, factory}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"detector_precision": "int4"},
            "easyocr-fast knows no detector precision 'int4'; known: int8, fp16",
        ),
        ({"rotations": (90,)}, "reads no turned boxes"),
        ({"canvas_size": 0}, "canvas_size >= 32"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(WeightsError, match=message):
        text_spotting.resolve("easyocr-fast", **options)


@needs_int8
def test_weights_without_ranges_are_refused_in_int8(monkeypatch):
    monkeypatch.setattr(easyocr_fast, "_ranges_of", lambda _: None)
    with pytest.raises(WeightsError, match=r"no ranges of the detector 4a5efbfb.*craft_ranges"):
        text_spotting.resolve("easyocr-fast", detector_precision="int8")


WITHOUT_VNNI = """
import json, sys
import numpy as np
from udfs import craft_layers, text_spotting
model = text_spotting.resolve("easyocr-fast", detector_precision="int8").load()
image = np.load(sys.argv[1])
(row,) = model.predict([model.prepare(image)], [{}])
print(json.dumps([craft_layers.weight_levels(), [word["text"].lower() for word in row["words"]]]))
"""


@needs_int8
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the features and their switch are those of x86")
def test_with_the_processors_newer_features_switched_off_the_same_words_are_read(int8, tmp_path):
    image = drawn("PARROT caption")
    np.save(tmp_path / "image.npy", image)
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_VNNI, str(tmp_path / "image.npy")],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    levels, found = json.loads(run.stdout.splitlines()[-1])
    assert levels == 63
    assert found == words(read(int8, image)[0]) == ["parrot", "caption"]
