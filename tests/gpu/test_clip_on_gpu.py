"""Needs a GPU: the same vectors as on the CPU, to the tolerance stated in the README."""

from __future__ import annotations

import numpy as np
import pytest

from udfs.clip_embedding import resolve

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU on this machine")
    return torch


def test_vectors_equal_those_of_the_cpu(tmp_path, gpu, monkeypatch):
    factory = resolve("parrot-tiny", None, seed=0, cache_dir=tmp_path)
    images = [np.random.default_rng(n).integers(0, 256, (240, 320, 3), dtype=np.uint8) for n in range(8)]
    rows = [{"caption": f"picture number {n}"} for n in range(8)]
    on_gpu = factory.load()
    found = on_gpu.predict([on_gpu.prepare(image) for image in images], rows)
    monkeypatch.setattr(gpu.cuda, "is_available", lambda: False)
    on_cpu = factory.load()
    expected = on_cpu.predict([on_cpu.prepare(image) for image in images], rows)
    for left, right in zip(found, expected, strict=True):
        assert np.allclose(left["image_vector"], right["image_vector"], atol=1e-3)
        assert left["clip_score"] == pytest.approx(right["clip_score"], abs=1e-3)
