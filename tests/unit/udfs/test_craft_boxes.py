"""Boxes from score maps beside EasyOCR's own."""

from __future__ import annotations

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")
pytest.importorskip("easyocr")

from udfs.craft_boxes import component_boxes, text_boxes  # noqa: E402


def maps(seed, shape=(180, 240)):
    """Blobs of text with links between some, at the edges too, and flecks that are too small or too weak."""
    rng = np.random.default_rng(seed)
    text, link = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for _ in range(25):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        axes = (int(rng.integers(1, 30)), int(rng.integers(1, 9)))
        angle = int(rng.choice([0, 0, 0, 20, 70]))
        blob = np.zeros(shape, np.float32)
        cv2.ellipse(blob, (int(x), int(y)), axes, angle, 0, 360, float(rng.uniform(0.5, 1)), -1)
        text = np.maximum(text, blob)
        cv2.ellipse(link, (int(x) + axes[0], int(y)), (8, 3), angle, 0, 360, float(rng.uniform(0.2, 1)), -1)
    return cv2.GaussianBlur(text, (5, 5), 0), cv2.GaussianBlur(link, (3, 3), 0)


@pytest.mark.parametrize("seed", range(12))
def test_boxes_equal_those_of_easyocr(seed):
    from easyocr.craft_utils import getDetBoxes_core

    text, link = maps(seed)
    expected, _, _ = getDetBoxes_core(text, link, 0.7, 0.4, 0.4)
    found = component_boxes(text, link)
    assert len(expected) > 3
    np.testing.assert_array_equal(np.array(found), np.array(expected))


@pytest.mark.parametrize(("seed", "ratio"), [(0, 1.0), (1, 0.37), (2, 1.7)])
def test_grouped_boxes_equal_those_that_detect_returns(seed, ratio, monkeypatch):
    from easyocr import detection, easyocr

    text, link = maps(seed)
    scores = np.stack([text, link], axis=2)
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(
        detection,
        "resize_aspect_ratio",
        lambda image, *_, **__: (np.zeros((32, 32, 3), np.float32), ratio, (0, 0)),
    )
    reader = easyocr.Reader.__new__(easyocr.Reader)
    reader.device, reader.get_textbox = "cpu", detection.get_textbox
    reader.detector = lambda _: (torch.from_numpy(scores[None]), None)
    level, free = easyocr.Reader.detect(reader, np.zeros((8, 8, 3), np.uint8), reformat=False)
    found = text_boxes(scores, ratio=ratio)
    assert found[0] == level[0] and len(found[0]) > 1
    assert [np.array(box).tolist() for box in found[1]] == [np.array(box).tolist() for box in free[0]]


def test_maps_without_text_have_no_boxes():
    for value in (0.0, 0.6):
        assert text_boxes(np.full((16, 24, 2), value, np.float32), ratio=1.0) == ([], [])
    strong = np.full((16, 24, 2), 0.9, np.float32)
    assert len(text_boxes(strong, ratio=1.0)[0]) == 1
