"""CLIP models: resolved by name, loaded from files, equal to a plain open_clip loop."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.checkpoints import AS_OPEN_CLIP
from udfs import clip_embedding, clip_model
from udfs.clip_embedding import ClipFactory, resolve
from udfs.clip_model import ClipModel
from udfs.weights import WeightsError

open_clip = pytest.importorskip("open_clip")
torch = pytest.importorskip("torch")

ARCHITECTURE = "parrot-tiny"
CAPTIONS = ["a red box", None, "Sale! 50% off  ", "  ", "a dog & a cat", "ünïcode 字", "x" * 5000]


def drawn_images() -> list[np.ndarray]:
    random, images = np.random.default_rng(5), []
    for index, size in enumerate(
        [(224, 224), (640, 480), (100, 300), (31, 17), (512, 512), (900, 60), (1, 1)]
    ):
        image = Image.fromarray(random.integers(0, 256, size=(size[1], size[0], 3), dtype=np.uint8))
        ImageDraw.Draw(image).ellipse((0, 0, size[0] // 2, size[1] // 2), fill=(40 * index, 90, 200))
        images.append(np.asarray(image))
    return images


def embedded(model: ClipModel, images: list[np.ndarray], captions: list[str | None]) -> list[dict]:
    rows = [{"caption": caption} for caption in captions]
    return model.predict([model.prepare(image) for image in images], rows)


def open_clip_loop(
    checkpoint: Path, images: list[np.ndarray], captions: list[str], **options: object
) -> tuple[np.ndarray, np.ndarray]:
    """The reference: open_clip's README, one image at a time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, _, preprocess = open_clip.create_model_and_transforms(
            ARCHITECTURE, pretrained=str(checkpoint), **options
        )
    tokenizer = open_clip.get_tokenizer(ARCHITECTURE)
    model.eval()
    image_vectors, text_vectors = [], []
    with torch.no_grad():
        for image, caption in zip(images, captions, strict=True):
            vector = model.encode_image(preprocess(Image.fromarray(image)).unsqueeze(0))
            image_vectors.append((vector / vector.norm(dim=-1, keepdim=True))[0].numpy())
            vector = model.encode_text(tokenizer([caption]))
            text_vectors.append((vector / vector.norm(dim=-1, keepdim=True))[0].numpy())
    return np.array(image_vectors), np.array(text_vectors)


def test_vectors_equal_a_plain_open_clip_loop(model: ClipModel, factory: ClipFactory) -> None:
    images = drawn_images()
    rows = embedded(model, images, CAPTIONS)
    images_expected, texts_expected = open_clip_loop(
        factory.weights.path, images, [caption or "" for caption in CAPTIONS]
    )
    for row, image, text, caption in zip(rows, images_expected, texts_expected, CAPTIONS, strict=True):
        np.testing.assert_allclose(row["image_vector"], image, atol=1e-5)
        if caption is None or not caption.strip():
            assert row["caption_vector"] is None
            assert row["clip_score"] is None
        else:
            np.testing.assert_allclose(row["caption_vector"], text, atol=1e-5)
            assert row["clip_score"] == pytest.approx(float(image @ text), abs=1e-5)


def test_rows_are_unit_vectors_in_plain_types(model: ClipModel) -> None:
    (row,) = embedded(model, drawn_images()[:1], ["a box"])
    assert set(row) == {"image_vector", "caption_vector", "clip_score"}
    assert len(row["image_vector"]) == len(row["caption_vector"]) == 128
    assert np.linalg.norm(row["image_vector"]) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(row["caption_vector"]) == pytest.approx(1, abs=1e-6)
    assert -1 <= row["clip_score"] <= 1
    assert json.loads(json.dumps(row)) == row


@pytest.mark.parametrize("batch_size", [1, 3])
def test_result_does_not_depend_on_the_batch(model: ClipModel, batch_size: int) -> None:
    images = drawn_images()
    together = embedded(model, images, CAPTIONS)
    apart = []
    for start in range(0, len(images), batch_size):
        stop = start + batch_size
        apart += embedded(model, images[start:stop], CAPTIONS[start:stop])
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_allclose(one["image_vector"], other["image_vector"], atol=1e-5)
        assert (one["clip_score"] is None) == (other["clip_score"] is None)
        if one["clip_score"] is not None:
            np.testing.assert_allclose(one["caption_vector"], other["caption_vector"], atol=1e-5)
            assert one["clip_score"] == pytest.approx(other["clip_score"], abs=1e-5)


def test_prepared_images_are_float32_of_the_models_size(model: ClipModel) -> None:
    for image in drawn_images():
        prepared = model.prepare(image)
        assert prepared.shape == (3, 224, 224)
        assert prepared.dtype == np.float32


def test_an_empty_batch_and_a_batch_without_captions(model: ClipModel) -> None:
    assert model.predict([], []) == []
    rows = model.predict([model.prepare(drawn_images()[0])], [{}])
    assert rows[0]["clip_score"] is None


def test_captions_are_stripped_and_cut(model: ClipModel) -> None:
    assert clip_model.cleaned_caption("  a dog\n") == "a dog"
    assert clip_model.cleaned_caption("x" * 10_000) == "x" * 2000
    assert [clip_model.cleaned_caption(caption) for caption in (None, "", " \t\u3000", 7)] == [None] * 4
    began = time.perf_counter()
    embedded(model, drawn_images()[:1], ["z" * 100_000])
    assert time.perf_counter() - began < 5, "the tokeniser is quadratic: the caption was not cut"


def test_the_tokenisers_memory_is_bounded(model: ClipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    (before,) = embedded(model, drawn_images()[:1], ["one caption"])
    embedded(model, drawn_images()[:1], [" ".join(f"word{index}abc" for index in range(200))])
    monkeypatch.setattr(clip_model, "_MAX_CACHED_TOKENS", 10)
    (after,) = embedded(model, drawn_images()[:1], ["one caption"])
    assert len(model.tokenizer._cache) < 10
    assert after == before


def test_random_weights_are_the_same_file_twice(factory: ClipFactory, tmp_path: Path) -> None:
    torch.manual_seed(123)
    drawn = torch.rand(1).item()
    torch.manual_seed(123)
    again = resolve(ARCHITECTURE, "random", seed=0, cache_dir=tmp_path)
    assert torch.rand(1).item() == drawn, "resolve moved the caller's random numbers"
    assert again.weights.path != factory.weights.path
    assert again.weights.sha256 == factory.weights.sha256
    assert again.params == factory.params
    assert again.model_id == f"{ARCHITECTURE}/random-0"
    written = again.weights.path.stat().st_mtime_ns
    assert resolve(ARCHITECTURE, "", seed=0, cache_dir=tmp_path) == again
    assert again.weights.path.stat().st_mtime_ns == written
    assert [file.name for file in tmp_path.iterdir()] == [again.weights.name]


def test_another_seed_gives_other_weights(factory: ClipFactory, cache_dir: Path) -> None:
    other = resolve(ARCHITECTURE, None, seed=1, cache_dir=cache_dir)
    assert other.model_id == f"{ARCHITECTURE}/random-1"
    assert other.weights.sha256 != factory.weights.sha256
    assert other.params != factory.params


def test_factory_is_picklable_and_hashable(factory: ClipFactory) -> None:
    copy = pickle.loads(pickle.dumps(factory))
    assert copy == factory
    assert len({copy, factory}) == 1
    assert json.loads(json.dumps(copy.params)) == factory.params
    assert copy.files == (factory.weights,)


def test_a_worker_needs_no_earlier_registration(factory: ClipFactory) -> None:
    """The architecture travels with the factory: a process that never resolved can load it."""
    import subprocess

    code = (
        "import pickle, sys, numpy as np\n"
        "model = pickle.load(sys.stdin.buffer).load()\n"
        "image = model.prepare(np.zeros((50, 50, 3), dtype=np.uint8))\n"
        "print(len(model.predict([image], [{'caption': 'x'}])[0]['image_vector']))\n"
    )
    root = Path(clip_model.__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(factory), capture_output=True, cwd=root, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.strip() == b"128"


def test_local_checkpoint_keeps_its_name_and_vectors(
    factory: ClipFactory, model: ClipModel, cache_dir: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    checkpoint = tmp_path / "epoch_7.pt"
    torch.save({"epoch": 7, "state_dict": load_file(factory.weights.path)}, checkpoint)
    local = resolve(ARCHITECTURE, str(checkpoint), seed=0, cache_dir=cache_dir, trained=AS_OPEN_CLIP)
    assert local.model_id == f"{ARCHITECTURE}/epoch_7.pt"
    assert local.weights.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    images = drawn_images()[:2]
    assert embedded(local.load(), images, ["a", "b"]) == embedded(model, images, ["a", "b"])


def write_torchscript_archive(checkpoint: Path, archive: Path) -> None:
    """An archive as OpenAI's: parameters under the model's names, and three numbers that are none."""
    from safetensors.torch import load_file

    root = torch.nn.Module()
    for key, value in load_file(checkpoint).items():
        *path, name = key.split(".")
        module = root
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.register_parameter(name, torch.nn.Parameter(value))
    for name, number in {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}.items():
        root.register_buffer(name, torch.tensor(number))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(root).save(str(archive))


def test_torchscript_archives_load(factory: ClipFactory, cache_dir: Path, tmp_path: Path) -> None:
    archive = tmp_path / "jit.pt"
    write_torchscript_archive(factory.weights.path, archive)
    with warnings.catch_warnings(), pytest.raises(RuntimeError, match="TorchScript"):
        warnings.simplefilter("ignore")
        open_clip.create_model(ARCHITECTURE, pretrained=str(archive))  # open_clip by itself refuses it
    loaded = resolve(ARCHITECTURE, str(archive), seed=0, cache_dir=cache_dir, trained=AS_OPEN_CLIP).load()
    images = drawn_images()[:2]
    expected, _ = open_clip_loop(factory.weights.path, images, ["", ""])
    for row, vector in zip(embedded(loaded, images, ["a", "b"]), expected, strict=True):
        np.testing.assert_allclose(row["image_vector"], vector, atol=1e-5)


def tag_factory(architecture: str, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClipFactory:
    """What `resolve` makes of a tag whose weights are already on disk."""
    file = tmp_path / "downloaded.safetensors"
    file.write_bytes(b"stands in for the weights")
    monkeypatch.setattr(open_clip, "download_pretrained", lambda _config: str(file))
    monkeypatch.setattr(clip_embedding, "_portable_tokenizer", lambda *_: None)
    return resolve(architecture, tag, seed=0, cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("architecture", "tag", "quick_gelu"),
    [
        ("ViT-B-32", "openai", True),
        ("ViT-B-32", "OpenAI", True),
        ("ViT-B-32", "laion2b_s34b_b79k", False),
        ("ViT-B-32-quickgelu", "openai", True),
        ("RN50", "cc12m", True),
        ("ViT-B-16", "dfn2b", True),
        ("roberta-ViT-B-32", "laion2b_s12b_b32k", True),  # its architecture says so, its tag does not
    ],
)
def test_activation_is_the_one_the_tag_was_trained_with(
    architecture: str, tag: str, quick_gelu: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = tag_factory(architecture, tag, tmp_path, monkeypatch)
    assert factory.quick_gelu is quick_gelu
    assert factory.params["quick_gelu"] is quick_gelu
    assert factory.model_id == f"{architecture}/{tag.lower()}"
    tag_says = open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu", False)
    config_says = open_clip.get_model_config(architecture).get("quick_gelu", False)
    assert factory.quick_gelu is (tag_says or config_says)


def test_preprocessing_is_the_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    siglip = tag_factory("ViT-B-16-SigLIP", "webli", tmp_path, monkeypatch)
    assert siglip.params["preprocess"]["mean"] == [0.5, 0.5, 0.5]
    assert siglip.params["preprocess"]["resize_mode"] == "squash"
    plain = tag_factory("ViT-B-32", "openai", tmp_path, monkeypatch)
    assert plain.params["preprocess"]["mean"] == pytest.approx(list(open_clip.OPENAI_DATASET_MEAN))
    assert plain.params["preprocess"]["interpolation"] == "bicubic"


def test_activation_and_preprocessing_reach_the_worker(
    factory: ClipFactory, model: ClipModel, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag of the tiny architecture, as SigLIP's are, given as a local file."""
    tag = {
        "quick_gelu": True,
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
        "interpolation": "bilinear",
        "resize_mode": "squash",
    }
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, ARCHITECTURE, {"mine": tag})
    tagged = resolve(ARCHITECTURE, f"mine@{factory.weights.path}", seed=0, cache_dir=cache_dir)
    assert tagged.model_id == f"{ARCHITECTURE}/mine"
    images, captions = drawn_images()[1:3], ["a", "b"]
    images_expected, texts_expected = open_clip_loop(
        factory.weights.path,
        images,
        captions,
        force_quick_gelu=True,
        image_mean=tag["mean"],
        image_std=tag["std"],
        image_interpolation="bilinear",
        image_resize_mode="squash",
    )
    rows = embedded(tagged.load(), images, captions)
    for row, image, text in zip(rows, images_expected, texts_expected, strict=True):
        np.testing.assert_allclose(row["image_vector"], image, atol=1e-5)
        np.testing.assert_allclose(row["caption_vector"], text, atol=1e-5)
    default = embedded(model, images, captions)
    assert np.abs(np.subtract(rows[0]["image_vector"], default[0]["image_vector"])).max() > 1e-3


def test_a_file_known_by_its_hash_gets_its_tags_settings(
    factory: ClipFactory, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = {"url": f"https://example.invalid/{factory.weights.sha256}/tiny.pt", "quick_gelu": True}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, ARCHITECTURE, {"mine": tag})
    assert resolve(ARCHITECTURE, str(factory.weights.path), seed=0, cache_dir=cache_dir).quick_gelu


def test_hub_tokenisers_travel_as_a_file(
    small_architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_clip.factory._MODEL_CONFIGS[small_architecture]["text_cfg"]["hf_tokenizer_name"] = (
        "someone/tokeniser"
    )
    hub = open_clip.SimpleTokenizer(clean="canonicalize")
    monkeypatch.setattr(open_clip, "get_tokenizer", lambda _name: hub)
    factory = resolve(small_architecture, None, seed=0, cache_dir=tmp_path)
    assert [file.name for file in factory.files] == [factory.weights.name, factory.tokenizer.name]

    def no_hub(_name: str) -> None:
        raise OSError("no network in a worker")

    monkeypatch.setattr(open_clip, "get_tokenizer", no_hub)
    loaded = factory.load()
    assert loaded.tokenizer(["A dog!"]).tolist() == hub(["A dog!"]).tolist()


def test_a_hub_tokeniser_that_cannot_be_loaded_is_told_on_the_driver(
    small_architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_clip.factory._MODEL_CONFIGS[small_architecture]["text_cfg"]["hf_tokenizer_name"] = (
        "someone/tokeniser"
    )

    def no_hub(_name: str) -> None:
        raise OSError("no network")

    monkeypatch.setattr(open_clip, "get_tokenizer", no_hub)
    with pytest.raises(WeightsError, match=r"needs the tokeniser someone/tokeniser .*no network"):
        resolve(small_architecture, None, seed=0, cache_dir=tmp_path)


def test_random_weights_of_an_architecture_with_a_resnet(tmp_path: Path) -> None:
    name = "test-resnet"
    clip_model.ensure_architecture(
        name,
        {
            "embed_dim": 32,
            "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
            "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
        },
    )
    try:
        model = resolve(name, "random", seed=3, cache_dir=tmp_path).load()
        (row,) = embedded(model, drawn_images()[:1], ["a box"])
        assert len(row["image_vector"]) == 32
    finally:
        open_clip.factory._MODEL_CONFIGS.pop(name)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_near_and_recorded(precision: str, model: ClipModel, cache_dir: Path) -> None:
    half = resolve(ARCHITECTURE, None, seed=0, cache_dir=cache_dir, precision=precision)
    assert half.params["precision"] == precision
    images = drawn_images()[:2]
    for one, other in zip(
        embedded(half.load(), images, ["a", "b"]), embedded(model, images, ["a", "b"]), strict=True
    ):
        assert np.dot(one["image_vector"], other["image_vector"]) > 0.99
        assert one["image_vector"] != other["image_vector"]
        assert np.linalg.norm(one["image_vector"]) == pytest.approx(1, abs=1e-6)


def test_rows_hold_the_columns_of_the_table(model: ClipModel) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyspark.sql.pandas.types import to_arrow_type

    from schemas import clip_embeddings

    (row,) = embedded(model, drawn_images()[:1], ["a box"])
    fields = {field.name: field for field in clip_embeddings.TABLE.result_fields()}
    assert {*row, "model"} == set(fields)
    for name, value in row.items():
        back = pyarrow.array([value], type=to_arrow_type(fields[name].dataType)).to_pylist()[0]
        np.testing.assert_allclose(back, value, rtol=1e-7)
