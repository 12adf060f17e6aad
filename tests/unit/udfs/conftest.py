"""Fixtures of the model tests: the tiny CLIP, loaded once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from udfs import clip_model
from udfs.clip_embedding import ClipFactory, resolve
from udfs.clip_model import ClipModel

open_clip = pytest.importorskip("open_clip")
torch = pytest.importorskip("torch")

ARCHITECTURE = "parrot-tiny"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def factory(cache_dir: Path) -> ClipFactory:
    return resolve(ARCHITECTURE, None, seed=0, cache_dir=cache_dir)


@pytest.fixture(scope="module")
def model(factory: ClipFactory) -> ClipModel:
    return factory.load()


@pytest.fixture
def small_architecture() -> Iterator[str]:
    """A model of a few kB parameters beside the vocabulary, known to open_clip for one test."""
    name = "test-small"
    clip_model.ensure_architecture(
        name,
        {
            "embed_dim": 16,
            "vision_cfg": {"image_size": 64, "layers": 1, "width": 32, "patch_size": 32, "head_width": 16},
            "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
        },
    )
    yield name
    open_clip.factory._MODEL_CONFIGS.pop(name)
