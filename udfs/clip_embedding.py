"""Which CLIP model: from a name in the configuration to a factory that workers load. Driver side.

`resolve` finds architecture, weights and preprocessing, and downloads or makes weights where needed; workers
load from the files that it names. One thing workers still read from the hub's cache: the configuration of a
Hugging Face *text tower*, which a handful of architectures have.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from udfs.checkpoint_settings import settings_of
from udfs.clip_model import PRECISIONS, ClipFactory, ClipModel, ensure_architecture
from udfs.names import did_you_mean
from udfs.weights import MissingWeightsError, WeightFile, WeightsError, described, first_line, write_once

__all__ = ["RANDOM", "ClipFactory", "ClipModel", "resolve"]

RANDOM = "random"
"""Name of seeded random weights in the configuration."""

_CHECKPOINT_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".npz", ".npy")


@dataclass(frozen=True)
class _Source:
    """Weights, and how they were trained, as open_clip's entries of tags say it (empty: random weights)."""

    name: str
    weights: WeightFile
    tag_config: dict[str, Any]


def resolve(
    model: str,
    pretrained: str | None,
    *,
    cache_dir: str | Path,
    seed: int = 0,
    precision: str = "fp32",
    trained: Mapping[str, Any] | None = None,
) -> ClipFactory:
    """Find a CLIP model and its weights.

    Args:
        model: open_clip's name of an architecture, or one of this project: `parrot-small`, `parrot-tiny`.
        pretrained: One of
            - a tag of open_clip: its file in `cache_dir` (`staged_name`) where there is one, else downloaded by
              open_clip to its own cache;
            - `world` for `parrot-small`: the weights that come with this project;
            - a checkpoint file: one whose hash is known to be that of a tag gets the tag's preprocessing and
              activation; of another `trained`, or a configuration beside it, must state them;
            - `TAG@FILE`: the tag's weights from this file, with the tag's preprocessing and activation;
            - None or `random`: random weights of the seed.
        cache_dir: Folder of staged weights, and where random weights and hub tokenisers are kept.
        seed: Seed of random weights.
        precision: `fp32`, `bf16` or `fp16`.
        trained: How a checkpoint file was trained (`quick_gelu`, `mean`, `std`, `resize_mode`, `interpolation`).

    Raises:
        MissingWeightsError: If weights are neither on disk nor can be downloaded.
        WeightsError: If architecture, tag or precision do not exist, the tokeniser cannot be loaded, or nothing
            says how a checkpoint was trained.
    """
    if precision not in PRECISIONS:
        raise WeightsError(f"Unknown precision {precision!r}; known: {', '.join(PRECISIONS)}.")
    architecture = model.replace("/", "-")  # ViT-B/32 is ViT-B-32, as in open_clip
    config = _architecture_config(architecture)
    # Before the weights: a missing tokeniser should not show after a download.
    tokenizer = _portable_tokenizer(architecture, config, Path(cache_dir))
    if pretrained is None or pretrained in ("", RANDOM):
        source = _random_source(architecture, config, seed=seed, cache_dir=Path(cache_dir))
    else:
        folder = Path(cache_dir)
        source = _pretrained_source(
            architecture, str(pretrained), config=config, trained=trained, folder=folder
        )
    return ClipFactory(
        model_id=f"{architecture}/{source.name}",
        architecture=architecture,
        config=config,
        preprocess=_preprocess(source.tag_config),
        # open_clip only warns where a tag's weights want QuickGELU and the architecture has GELU; the scores
        # would be wrong without an error.
        quick_gelu=bool(source.tag_config.get("quick_gelu") or config.get("quick_gelu")),
        weights=source.weights,
        open_clip=importlib.metadata.version("open_clip_torch"),
        tokenizer=tokenizer,
        precision=precision,
    )


def _architecture_config(architecture: str) -> dict[str, Any]:
    import open_clip

    register_architectures()
    config: dict[str, Any] | None = None
    if ":" not in architecture:  # hf-hub: and local-dir: would be looked up in the network and on disk
        config = open_clip.get_model_config(architecture)
    if config is None:
        known = open_clip.list_models()
        hint = did_you_mean(architecture, known, count=5)
        raise WeightsError(
            f"open_clip has no architecture {architecture!r}.{hint} "
            f"It knows {len(known)}; open_clip.list_models() lists them."
        )
    return config


def register_architectures() -> None:
    """Make open_clip know this project's architectures, so that it loads their checkpoints by name."""
    for entry in (resources.files("udfs") / "clip_architectures").iterdir():
        if entry.name.endswith(".json"):
            config = json.loads(entry.read_text(encoding="utf-8"))
            ensure_architecture(entry.name.removesuffix(".json"), config)


def staged_name(architecture: str, tag: str, suffix: str) -> str:
    """Name of the file in a folder of weights that holds a tag's weights.

    Args:
        architecture: open_clip's name of the architecture.
        tag: open_clip's tag.
        suffix: Suffix of the file, by which open_clip knows what it holds: `.safetensors`, `.pt`, ...
    """
    return f"{architecture}-{tag}{suffix}"


def _pretrained_source(
    architecture: str,
    pretrained: str,
    *,
    config: Mapping[str, Any],
    trained: Mapping[str, Any] | None,
    folder: Path,
) -> _Source:
    import open_clip

    own = resources.files("udfs") / "clip_weights" / f"{architecture}-{pretrained}.safetensors"
    if isinstance(own, Path) and own.is_file():
        return _Source(pretrained, described(own), settings_of(own, config, stated=None))
    name, _, tag_file = pretrained.partition("@")
    tag = name.lower().replace("-", "_")  # as open_clip reads tags
    tag_config: dict[str, Any] = open_clip.get_pretrained_cfg(architecture, tag)
    if tag_config:
        file = tag_file or _staged(architecture, tag, folder)
        weights = described(file) if file else _downloaded(architecture, tag, tag_config)
        return _Source(tag, weights, tag_config)
    if Path(pretrained).is_file():
        weights = described(pretrained)
        known = _known_tag_config(architecture, weights.sha256)
        return _Source(weights.name, weights, known or settings_of(weights.path, config, stated=trained))
    if os.sep in pretrained or pretrained.endswith(_CHECKPOINT_SUFFIXES):
        raise MissingWeightsError(f"No checkpoint file at {Path(pretrained).absolute()}.")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    raise WeightsError(
        f"{architecture} has no pretrained weights {pretrained!r}. Its tags: {', '.join(tags) or '(none)'}. "
        f"A path to a checkpoint file and {RANDOM!r} work too."
    )


def _staged(architecture: str, tag: str, folder: Path) -> Path | None:
    """The file of a tag that somebody put into the folder; None where there is none."""
    names = (staged_name(architecture, tag, suffix) for suffix in _CHECKPOINT_SUFFIXES)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _downloaded(architecture: str, tag: str, tag_config: dict[str, Any]) -> WeightFile:
    import open_clip

    try:
        return described(open_clip.download_pretrained(tag_config))
    except Exception as error:
        raise MissingWeightsError(
            f"The weights {architecture}/{tag} are not on this disk and cannot be downloaded "
            f"({first_line(error)}). Fetch them where there is a network: `parrot weights --to FOLDER` with the "
            "same models, then --set embed.cache_dir=FOLDER here. Or give a local file: "
            f"--set embed.pretrained={tag}@/path/to/file keeps the tag's preprocessing and activation."
        ) from error


def _known_tag_config(architecture: str, sha256: str) -> dict[str, Any]:
    """The tag whose address names this hash, as OpenAI's do; empty where none does."""
    import open_clip

    for tag in open_clip.list_pretrained_tags_by_model(architecture):
        config: dict[str, Any] = open_clip.get_pretrained_cfg(architecture, tag)
        if sha256 in config.get("url", ""):
            return config
    return {}


def _preprocess(tag_config: dict[str, Any]) -> dict[str, Any]:
    """open_clip's evaluation preprocessing, the tag's values over the defaults; the size is the model's."""
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    merged: dict[str, Any] = merge_preprocess_dict(asdict(PreprocessCfg()), tag_config)
    return {key: value for key, value in merged.items() if key != "size"}


def _random_source(architecture: str, config: dict[str, Any], *, seed: int, cache_dir: Path) -> _Source:
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{RANDOM}-{seed}"
    path = cache_dir.absolute() / f"{architecture}-{name}-{digest}.safetensors"
    write_once(path, lambda partial: _write_random_weights(architecture, seed, partial))
    return _Source(name, described(path), {})


def _write_random_weights(architecture: str, seed: int, path: Path) -> None:
    import open_clip
    import torch
    from safetensors.torch import save_file

    with torch.random.fork_rng(devices=[]), _silent_logging():
        torch.manual_seed(seed)
        try:
            model = open_clip.create_model(architecture, pretrained=None, pretrained_text=False)
        except Exception as error:
            raise WeightsError(f"{architecture} cannot be built: {first_line(error)}") from error
    # Not torch.save: that writes the file's name into the file, so equal weights would differ in hash.
    save_file({key: value.detach().clone().contiguous() for key, value in model.state_dict().items()}, path)


@contextmanager
def _silent_logging() -> Iterator[None]:
    # open_clip warns on the root logger that the weights are random, which is what was asked for.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _portable_tokenizer(architecture: str, config: dict[str, Any], cache_dir: Path) -> WeightFile | None:
    """The tokeniser as a file for workers where open_clip fetches it from a hub; None where it ships it."""
    import open_clip

    source = config["text_cfg"].get("hf_tokenizer_name")
    if not source and "siglip" not in architecture.lower():
        return None
    try:
        tokenizer = open_clip.get_tokenizer(architecture)
        tokenizer(["a caption"])
        content, known = pickle.dumps(tokenizer), _vocabulary(tokenizer)
    except Exception as error:
        raise WeightsError(
            f"{architecture} needs the tokeniser {source or 'of SigLIP'} from a model hub, which cannot be "
            f"loaded ({first_line(error)}). It wants the package transformers, and network or a filled hub "
            "cache on the driver; or choose an architecture with CLIP's own tokeniser, such as ViT-B-32."
        ) from error
    digest = hashlib.sha256(known or content).hexdigest()
    path = cache_dir.absolute() / f"{architecture}-tokenizer-{digest[:16]}.pkl"

    def write(partial: Path) -> None:
        partial.write_bytes(content)

    return described(write_once(path, write))


def _vocabulary(tokenizer: Any) -> bytes | None:
    """All that a fast tokeniser of transformers knows, and whose code reads it; None of other tokenisers."""
    fast = getattr(getattr(tokenizer, "tokenizer", None), "backend_tokenizer", None)
    if fast is None:
        return None
    return f"transformers {importlib.metadata.version('transformers')} {fast.to_str()}".encode()
