"""CLIP models that cannot be: what `resolve` and `load` refuse, and what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints import AS_OPEN_CLIP
from udfs.clip_embedding import ClipFactory, resolve
from udfs.clip_model import ClipModel
from udfs.weights import MissingWeightsError, WeightsError

open_clip = pytest.importorskip("open_clip")
torch = pytest.importorskip("torch")

ARCHITECTURE = "parrot-tiny"


def test_wrong_sha256_is_refused(small_architecture: str, tmp_path: Path) -> None:
    small = resolve(small_architecture, None, seed=0, cache_dir=tmp_path)
    content = small.weights.path.read_bytes()
    small.weights.path.write_bytes(content[:-4] + b"\0\1\2\3")
    with pytest.raises(WeightsError, match="not the expected weight file"):
        small.load()
    small.weights.path.unlink()
    with pytest.raises(FileNotFoundError, match="neither at"):
        small.load()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_checkpoint_is_refused(
    content: bytes, small_architecture: str, tmp_path: Path
) -> None:
    file = tmp_path / "broken.pt"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=r"broken\.pt is no checkpoint of test-small"):
        resolve(small_architecture, str(file), seed=0, cache_dir=tmp_path, trained=AS_OPEN_CLIP).load()


def test_a_checkpoint_of_another_architecture_is_refused(
    factory: ClipFactory, small_architecture: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="is no checkpoint of test-small"):
        path = str(factory.weights.path)
        resolve(small_architecture, path, seed=0, cache_dir=tmp_path, trained=AS_OPEN_CLIP).load()


def test_a_checkpoint_that_runs_code_is_refused(small_architecture: str, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "touched",))

    file = tmp_path / "harmful.pt"
    torch.save({"state_dict": Harmful()}, file)
    with pytest.raises(WeightsError, match="no checkpoint"):
        resolve(small_architecture, str(file), seed=0, cache_dir=tmp_path, trained=AS_OPEN_CLIP).load()
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("name", "close"), [("ViT-B-23", "ViT-B-32"), ("vit-b-32x", "ViT-B-32"), ("parrot-tyni", "parrot-tiny")]
)
def test_unknown_architecture_names_close_ones(name: str, close: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"no architecture {name!r}.*{close}"):
        resolve(name, None, seed=0, cache_dir=tmp_path)


def test_hub_addresses_are_no_architectures(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no architecture"):
        resolve("hf-hub:someone/model", None, seed=0, cache_dir=tmp_path)


def test_unknown_tag_lists_the_tags(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"ViT-B-32 has no pretrained weights 'laion5b'\. Its tags: .*laion2b_s34b_b79k"
    ):
        resolve("ViT-B/32", "laion5b", seed=0, cache_dir=tmp_path)
    with pytest.raises(WeightsError, match=r"Its tags: \(none\)"):
        resolve(ARCHITECTURE, "openai", seed=0, cache_dir=tmp_path)


def test_missing_checkpoint_file_says_where(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=f"No checkpoint file at {tmp_path}/absent.pt"):
        resolve("ViT-B-32", str(tmp_path / "absent.pt"), seed=0, cache_dir=tmp_path)


def test_unknown_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="known: fp32, bf16, fp16"):
        resolve(ARCHITECTURE, None, seed=0, cache_dir=tmp_path, precision="int8")


def test_weights_without_network_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(_config: dict) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(open_clip, "download_pretrained", no_network)
    with pytest.raises(
        MissingWeightsError, match=r"no route to host.*--set embed\.pretrained=openai@/path/to/file"
    ):
        resolve("ViT-B-32", "openai", seed=0, cache_dir=tmp_path)


def test_a_vector_that_is_not_finite_is_an_error(model: ClipModel) -> None:
    prepared = model.prepare(np.zeros((40, 30, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="not finite"):
        model.predict([np.full_like(prepared, np.nan)], [{"caption": None}])


def test_a_needle_is_cropped_before_it_is_scaled(model):
    # Scaled to its shorter side as a whole, this would be 224 x 14,560,000 px: 10 GB.
    line = np.full((1, 65_000, 3), 90, np.uint8)
    line[0, 32_000:33_000] = 200
    prepared = model.prepare(line)
    assert prepared.shape[1:] == (224, 224)
    assert np.allclose(prepared, model.prepare(np.full((1, 1, 3), 200, np.uint8)), atol=1e-5)
    assert np.array_equal(model.prepare(np.ascontiguousarray(line.transpose(1, 0, 2))), prepared)
