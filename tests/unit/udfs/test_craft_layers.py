"""EasyOCR's detector with folded layers and in int8 beside the detector itself."""

from __future__ import annotations

import json
import random
from importlib import resources

import numpy as np
import pytest

torch = pytest.importorskip("torch")
easyocr = pytest.importorskip("easyocr")

from spark_jobs.demo.craft_ranges import ranges_over_drawings  # noqa: E402
from spark_jobs.demo.examples import make_example  # noqa: E402
from udfs import craft_layers, easyocr_spotter  # noqa: E402
from udfs.craft_bands import in_bands  # noqa: E402
from udfs.craft_layers import QuantisedCraft, folded, has_int8, quantised_engine, weight_levels  # noqa: E402

needs_int8 = pytest.mark.skipif(not has_int8(), reason="this PyTorch has no int8 convolutions of oneDNN")


@pytest.fixture(scope="module")
def net():
    torch.set_num_threads(1)
    factory = easyocr_spotter.resolve()
    return easyocr_spotter.load_reader(factory.files, factory.languages, device="cpu").detector.eval()


@pytest.fixture(scope="module")
def shipped():
    factory = easyocr_spotter.resolve()
    ranges = json.loads(resources.files("udfs").joinpath("craft_ranges.json").read_text())
    return ranges[factory.files[0].sha256]


@pytest.fixture(scope="module")
def picture():
    from easyocr.imgproc import normalizeMeanVariance

    drawn = make_example("full", rng=random.Random(99), size=256).image
    return torch.from_numpy(normalizeMeanVariance(np.asarray(drawn)).transpose(2, 0, 1)[None])


@pytest.fixture(scope="module")
def scores(net, picture):
    with torch.inference_mode():
        return net(picture)[0]


def test_folded_layers_give_the_same_scores(net, picture, scores):
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    faster = folded(net)
    assert len(norms) == 20
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in faster.modules())
    with torch.inference_mode():
        torch.testing.assert_close(faster(picture)[0], scores, rtol=0, atol=1e-5)
    assert norms == [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]


@needs_int8
def test_int8_scores_are_near_and_the_same_each_time(net, picture, scores, shipped):
    quantised = QuantisedCraft(folded(net), shipped)
    with torch.inference_mode():
        found, features = quantised(picture)
        assert torch.equal(found, quantised(picture)[0])
    assert scores.max() > 0.7, "there is text"
    assert found.shape == scores.shape and features.shape[1] == 0
    assert (found - scores).abs().mean() < 0.01
    assert ((found > 0.4) == (scores > 0.4)).float().mean() > 0.99


@needs_int8
def test_int8_bands_give_the_scores_of_the_whole_image(net, picture, shipped):
    quantised = QuantisedCraft(folded(net), shipped)
    with torch.inference_mode():
        banded = in_bands(quantised, picture, pixels=256 * 32)
        assert torch.equal(banded.permute(0, 2, 3, 1), quantised(picture)[0])


@needs_int8
def test_weights_of_a_processor_that_overflows_are_halved(monkeypatch, net, picture, scores, shipped):
    monkeypatch.setattr(craft_layers, "weight_levels", lambda: 63)
    with torch.inference_mode():
        found, _ = QuantisedCraft(folded(net), shipped)(picture)
    assert ((found > 0.4) == (scores > 0.4)).float().mean() > 0.98
    monkeypatch.undo()
    assert weight_levels() in (63, 127)


@needs_int8
def test_packing_leaves_the_engine_of_other_models():
    before = torch.backends.quantized.engine
    with pytest.raises(KeyError), quantised_engine():
        assert torch.backends.quantized.engine == "onednn"
        raise KeyError
    assert torch.backends.quantized.engine == before


def test_the_shipped_ranges_hold_those_of_each_drawing(net, shipped):
    found = ranges_over_drawings(net, pictures=1)
    assert set(found) == set(shipped)
    for name, (low, high) in found.items():
        assert shipped[name][0] <= low + 1e-3 and high <= shipped[name][1] + 1e-3, name
        assert low < high
