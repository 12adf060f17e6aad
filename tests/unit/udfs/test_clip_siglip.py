"""SigLIP's kind of model: a timm image tower, a text tower of its own, a tokeniser of transformers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from udfs.clip_embedding import resolve
from udfs.clip_model import ensure_architecture

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers", reason="tokenisers of a hub need the package transformers")

NAME = "test-siglip"
WORDS = ["[PAD]", "[UNK]", "[EOS]", "a", "red", "blue", "circle", "square"]


def write_tokenizer(folder: Path, words: list[str]) -> str:
    """A word-level tokeniser as transformers stores one."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: position for position, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]"
    )
    fast.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def siglip(tmp_path: Path) -> Iterator[str]:
    config = {
        "embed_dim": 64,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 160,
            "timm_model_name": "test_vit",
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
        },
        "text_cfg": {
            "context_length": 8,
            "vocab_size": len(WORDS),
            "hf_tokenizer_name": write_tokenizer(tmp_path / "tokenizer", WORDS),
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "width": 16,
            "heads": 2,
            "layers": 1,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
        },
    }
    ensure_architecture(NAME, config)
    yield NAME
    open_clip.factory._MODEL_CONFIGS.pop(NAME)


def test_images_and_captions_are_embedded_as_open_clip_does(siglip: str, tmp_path: Path) -> None:
    import torch
    from PIL import Image

    factory = resolve(siglip, None, seed=0, cache_dir=tmp_path / "cache")
    assert [file.name for file in factory.files][1].startswith(f"{NAME}-tokenizer-")
    model = factory.load()
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    (row,) = model.predict([model.prepare(image)], [{"caption": "A red circle."}])

    theirs, _, preprocess = open_clip.create_model_and_transforms(
        siglip, pretrained=str(factory.weights.path)
    )
    tokens = open_clip.get_tokenizer(siglip)(["A red circle."])
    assert tokens.tolist()[0][:3] == [3, 4, 6]
    with torch.inference_mode():
        theirs.eval()
        vector = theirs.encode_image(preprocess(Image.fromarray(image))[None], normalize=True)[0]
        caption = theirs.encode_text(tokens, normalize=True)[0]
    np.testing.assert_allclose(row["image_vector"], vector, atol=1e-5)
    np.testing.assert_allclose(row["caption_vector"], caption, atol=1e-5)
    assert row["clip_score"] == pytest.approx(float(vector @ caption), abs=1e-5)


def test_another_vocabulary_is_another_run_key(siglip: str, tmp_path: Path) -> None:
    def params() -> dict[str, object]:
        return resolve(siglip, None, seed=0, cache_dir=tmp_path / "cache").params

    before = params()
    assert params() == before, "the same vocabulary gives the same key"
    write_tokenizer(tmp_path / "tokenizer", [*WORDS[:-1], "triangle"])
    after = params()
    assert after["tokenizer"] != before["tokenizer"]
    assert {**after, "tokenizer": None} == {**before, "tokenizer": None}
