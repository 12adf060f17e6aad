"""Aesthetic heads: against the published modules in plain torch, and files that are none."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from udfs.aesthetic import load_head, scores
from udfs.weights import MissingWeightsError, WeightsError

HEADS = {
    "sa_0_4_vit_b_32_linear.pth": (512, "ViT-B-32"),
    "sa_0_4_vit_l_14_linear.pth": (768, "ViT-L-14"),
    "sac+logos+ava1-l14-linearMSE.pth": (768, "ViT-L-14"),
}


class Improved(torch.nn.Module):
    """The improved predictor as its repository defines it."""

    def __init__(self):
        super().__init__()
        linear, dropout = torch.nn.Linear, torch.nn.Dropout
        self.layers = torch.nn.Sequential(
            linear(768, 1024),
            dropout(0.2),
            linear(1024, 128),
            dropout(0.2),
            linear(128, 64),
            dropout(0.1),
            linear(64, 16),
            linear(16, 1),
        )

    def forward(self, x):
        return self.layers(x)


def module_of(width, improved):
    return Improved() if improved else torch.nn.Linear(width, 1)


def drawn(width, count=200):
    vectors = np.random.default_rng(1).standard_normal((count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_torch(module, vectors):
    with torch.inference_mode():
        return module.eval()(torch.from_numpy(vectors))[:, 0].numpy()


@pytest.mark.parametrize(("width", "improved"), [(512, False), (768, False), (768, True)])
def test_scores_are_those_of_the_module(tmp_path, width, improved):
    torch.manual_seed(0)
    module = module_of(width, improved)
    torch.save(module.state_dict(), tmp_path / "head.pth")
    head = load_head(tmp_path / "head.pth")
    assert (head.width, head.file.name) == (width, "head.pth")
    vectors = drawn(width)
    found = scores(vectors, head)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_torch(module, vectors), atol=2e-5)
    assert found.std() > 0.001
    one_by_one = np.concatenate([scores(vectors[n : n + 1], head) for n in range(len(vectors))])
    assert np.array_equal(one_by_one, found)


@pytest.mark.parametrize("name", HEADS)
def test_laions_own_heads(shared_data, name):
    path = shared_data / "aesthetic_heads" / name
    width, architecture = HEADS[name]
    head = load_head(path)
    assert (head.width, head.architecture) == (width, architecture)
    module = module_of(width, "linearMSE" in name)
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    vectors = drawn(width)
    expected = by_torch(module, vectors)
    np.testing.assert_allclose(scores(vectors, head), expected, atol=1e-4)
    assert expected.std() > 0.01


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "head.pth"

    def message(state=None, *, content=None):
        if content is None:
            torch.save(state, path)
        else:
            path.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            load_head(path)
        return str(caught.value)

    improved = Improved().state_dict()
    assert "no aesthetic head" in message(torch.nn.Linear(640, 1).state_dict())
    assert "found weight (1, 640), bias (1,)" in message(torch.nn.Linear(640, 1).state_dict())
    assert "layers.0, 2, 4, 6, 7" in message({k: v for k, v in improved.items() if "7" not in k})
    # The variant with ReLU has other places; its scores would be wrong.
    assert "layers.9.weight" in message({k.replace("7", "9"): v for k, v in improved.items()})
    assert "found Tensor" in message(torch.zeros(3))
    assert "not finite" in message({"weight": torch.full((1, 512), torch.nan), "bias": torch.zeros(1)})
    assert "cannot be read" in message(content=b"<html>404</html>")
    torch.save(improved, path)
    assert "cannot be read" in message(content=path.read_bytes()[:2000])
    assert "cannot be read" in message(content=b"")
    with pytest.raises(MissingWeightsError, match="No weight file at"):
        load_head(tmp_path / "none.pth")


class _Harm:
    def __reduce__(self):
        return (open, ("harm", "w"))


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(_Harm(), protocol=2))
    torch.save(_Harm(), tmp_path / "zipped.pth")
    for name in ("plain.pth", "zipped.pth"):
        with pytest.raises(WeightsError, match="cannot be read as a checkpoint of plain tensors"):
            load_head(tmp_path / name)
    assert not (tmp_path / "harm").exists()


def test_vectors_of_another_width_are_refused(tmp_path):
    torch.save(torch.nn.Linear(512, 1).state_dict(), tmp_path / "head.pth")
    with pytest.raises(ValueError, match="takes vectors of 512, found shape"):
        scores(drawn(768), load_head(tmp_path / "head.pth"))
