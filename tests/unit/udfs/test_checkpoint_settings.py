"""A checkpoint says how it was trained, or is refused: scores under another activation or other pixels are wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints import AS_OPEN_CLIP
from udfs.checkpoint_settings import settings_of
from udfs.clip_embedding import ClipFactory, resolve
from udfs.weights import WeightsError

ARCHITECTURE = "parrot-tiny"
PREPROCESS = {
    "mean": [0.5, 0.4, 0.3],
    "std": [0.25, 0.2, 0.3],
    "resize_mode": "squash",
    "interpolation": "bilinear",
}


@pytest.fixture
def checkpoint(factory: ClipFactory, tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    shutil.copy(factory.weights.path, path)
    return path


def resolved(checkpoint: Path, **options: object) -> ClipFactory:
    return resolve(ARCHITECTURE, str(checkpoint), cache_dir=checkpoint.parent, **options)


def test_a_checkpoint_of_which_nothing_is_known_is_refused(checkpoint: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        resolved(checkpoint)
    message = str(caught.value)
    assert "missing: mean, std, resize_mode, quick_gelu" in message
    assert "mine.safetensors.json" in message
    assert "embed.trained={quick_gelu" in message


@pytest.mark.parametrize("name", ["mine.safetensors.json", "open_clip_config.json"])
@pytest.mark.parametrize("quick_gelu", [True, False])
def test_a_configuration_beside_it_is_taken(checkpoint: Path, name: str, quick_gelu: bool) -> None:
    content = {"model_cfg": {"embed_dim": 128, "quick_gelu": quick_gelu}, "preprocess_cfg": PREPROCESS}
    checkpoint.with_name(name).write_text(json.dumps(content), encoding="utf-8")
    factory = resolved(checkpoint)
    assert factory.quick_gelu is quick_gelu
    assert {key: factory.params["preprocess"][key] for key in PREPROCESS} == PREPROCESS


def test_what_is_stated_goes_before_what_lies_beside_it(checkpoint: Path) -> None:
    content = {"model_cfg": {}, "preprocess_cfg": PREPROCESS}
    checkpoint.with_name("open_clip_config.json").write_text(json.dumps(content), encoding="utf-8")
    factory = resolved(checkpoint, trained={**AS_OPEN_CLIP, "quick_gelu": True})
    assert factory.quick_gelu
    assert factory.params["preprocess"]["resize_mode"] == "shortest"


def test_a_checkpoint_is_configured_by_its_path_and_a_tag_by_its_name(
    checkpoint: Path, factory: ClipFactory
) -> None:
    file = resolved(checkpoint, trained=AS_OPEN_CLIP)
    assert (file.model_id, file.configured_name) == (
        f"{ARCHITECTURE}/mine.safetensors",
        f"{ARCHITECTURE}/{checkpoint}",
    )
    assert factory.configured_name == factory.model_id == f"{ARCHITECTURE}/random-0"


def test_what_is_said_reaches_the_pixels(checkpoint: Path) -> None:
    image = np.full((10, 10, 3), 255, np.uint8)
    for settings in (AS_OPEN_CLIP, {**PREPROCESS, "quick_gelu": False}):
        pixels = resolved(checkpoint, trained=settings).load().prepare(image)
        expected = (1 - np.array(settings["mean"])) / np.array(settings["std"])
        np.testing.assert_allclose(pixels[:, 100, 100], expected, rtol=1e-5)


def test_an_architecture_with_quickgelu_needs_no_word_about_it(tmp_path: Path) -> None:
    stated = {name: value for name, value in AS_OPEN_CLIP.items() if name != "quick_gelu"}
    with pytest.raises(WeightsError, match="missing: quick_gelu"):
        settings_of(tmp_path / "x.pt", {}, stated=stated)
    assert settings_of(tmp_path / "x.pt", {"quick_gelu": True}, stated=stated)["quick_gelu"] is True


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"preprocess_cfg": 3}'])
def test_a_broken_configuration_beside_it_is_told(checkpoint: Path, content: str) -> None:
    checkpoint.with_name("open_clip_config.json").write_text(content, encoding="utf-8")
    with pytest.raises(WeightsError, match=r"open_clip_config\.json is no configuration of open_clip"):
        resolved(checkpoint)


def test_a_resize_mode_that_open_clip_does_not_know_is_told(checkpoint: Path) -> None:
    with pytest.raises(
        WeightsError, match="resize_mode is 'stretch', expected one of shortest, longest, squash"
    ):
        resolved(checkpoint, trained={**AS_OPEN_CLIP, "resize_mode": "stretch"})


def test_the_version_of_open_clip_and_the_tokeniser_decide_the_run_key(factory: ClipFactory) -> None:
    import open_clip

    assert factory.params["open_clip"] == open_clip.__version__
    assert factory.params["tokenizer"] is None
