"""A CLIP model in a worker: any open_clip model as an `ImageModel`, loaded from staged files.

`udfs.clip_embedding.resolve` makes the factory on the driver.
"""

from __future__ import annotations

import json
import pickle
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.devices import is_out_of_memory
from udfs.weights import WeightFile, WeightsError, first_line, staged_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from udfs.model_api import Result, Row

MAX_CAPTION_CHARS = 2000
"""Captions are cut here before the tokeniser, whose time grows with the square of a word's length. CLIP reads
some 77 tokens, about 300 characters."""

PRECISIONS = ("fp32", "bf16", "fp16")
_MAX_CACHED_TOKENS = 200_000
_MAX_ASPECT = 32


@dataclass(frozen=True)
class ClipFactory:
    """Loads one open_clip model in a worker.

    Attributes:
        model_id: For the column `model`: `ARCHITECTURE/` and `TAG`, `FILE` or `random-SEED`.
        architecture: open_clip's name of the architecture.
        config: open_clip's configuration of the architecture, as the driver has it.
        preprocess: Mean, std, interpolation, resize mode and fill colour of the image preprocessing.
        quick_gelu: Whether the weights were trained with QuickGELU although the architecture has GELU.
        weights: The checkpoint.
        open_clip: Version of open_clip on the driver: its tokeniser and its layers decide vectors too.
        tokenizer: Pickled tokeniser where it comes from a hub; None where open_clip has it itself.
        precision: `fp32`, or `bf16` or `fp16` (autocast).
    """

    model_id: str
    architecture: str
    config: dict[str, Any] = field(hash=False)
    preprocess: dict[str, Any] = field(hash=False)
    quick_gelu: bool
    weights: WeightFile
    open_clip: str
    tokenizer: WeightFile | None = None
    precision: str = "fp32"

    @property
    def files(self) -> tuple[WeightFile, ...]:
        """Files that a worker needs."""
        return (self.weights, self.tokenizer) if self.tokenizer else (self.weights,)

    @property
    def configured_name(self) -> str:
        """The model as a configuration names it: `model_id`, with the whole path of a checkpoint file."""
        is_file = self.model_id == f"{self.architecture}/{self.weights.name}"
        return f"{self.architecture}/{self.weights.path}" if is_file else self.model_id

    @property
    def trained(self) -> dict[str, Any]:
        """How the weights were trained, as `resolve` takes it for a checkpoint file; JSON types."""
        names = ("mean", "std", "interpolation", "resize_mode")
        found: dict[str, Any] = json.loads(json.dumps({name: self.preprocess[name] for name in names}))
        return {**found, "quick_gelu": self.quick_gelu}

    @property
    def params(self) -> dict[str, Any]:
        """Everything that decides a vector, as JSON types."""
        params: dict[str, Any] = json.loads(
            json.dumps(
                {
                    "model": self.model_id,
                    "architecture": self.architecture,
                    "config": self.config,
                    "preprocess": self.preprocess,
                    "quick_gelu": self.quick_gelu,
                    "weights": self.weights.sha256,
                    "open_clip": self.open_clip,
                    # Named by what it knows: pickles of equal tokenisers may differ.
                    "tokenizer": self.tokenizer.name if self.tokenizer else None,
                    "precision": self.precision,
                    "max_caption_chars": MAX_CAPTION_CHARS,
                }
            )
        )
        return params

    def load(self) -> ClipModel:
        """Load model, preprocessing and tokeniser on the GPU if there is one, else on the CPU.

        Raises:
            MissingWeightsError: If the checkpoint is not where it was staged.
            WeightsError: If the checkpoint is not the expected file or does not fit the architecture.
        """
        import torch
        from open_clip.transform import PreprocessCfg, image_transform_v2

        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = self.network(device).eval()
        preprocessing = PreprocessCfg(**model.visual.preprocess_cfg)
        resized = image_transform_v2(preprocessing, is_train=False)
        transform = (
            (lambda image: resized(_without_ends(image)))
            if preprocessing.resize_mode == "shortest"
            else resized
        )
        return ClipModel(model, transform, self.tokenizer_of(), device=device, precision=self.precision)

    def tokenizer_of(self) -> CaptionTokens:
        """Load the tokeniser.

        Raises:
            MissingWeightsError: If its file is not where it was staged.
        """
        import open_clip

        ensure_architecture(self.architecture, self.config)
        if self.tokenizer:
            return CaptionTokens(pickle.loads(staged_path(self.tokenizer).read_bytes()))
        return CaptionTokens(open_clip.get_tokenizer(self.architecture))

    def network(self, device: str) -> Any:
        """Build the model with its weights on a device (`torch.nn.Module`).

        Raises:
            MissingWeightsError: If the checkpoint is not where it was staged.
            WeightsError: If the checkpoint is not the expected file or does not fit the architecture.
        """
        ensure_architecture(self.architecture, self.config)
        return self._create(staged_path(self.weights), device)

    def _create(self, checkpoint: Path, device: str) -> Any:
        import open_clip

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns that a TorchScript archive is one
                return open_clip.create_model(
                    self.architecture,
                    pretrained=str(checkpoint),
                    device=device,
                    force_quick_gelu=self.quick_gelu,
                    force_preprocess_cfg=self.preprocess,
                    # torch refuses TorchScript archives (OpenAI's own files) under weights_only.
                    weights_only=not is_torchscript(checkpoint),
                )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise WeightsError(
                f"{checkpoint} is no checkpoint of {self.architecture}: {first_line(error)}"
            ) from error


class CaptionTokens:
    """open_clip's tokeniser, which remembers every word that it has seen: without end on captions of the web.

    Args:
        tokenizer: The tokeniser.
    """

    def __init__(self, tokenizer: Callable[[list[str]], Any]) -> None:
        self._tokenizer = tokenizer
        cache = getattr(tokenizer, "cache", None)
        self._cache: dict[str, str] | None = cache if isinstance(cache, dict) else None
        self._first = dict(self._cache or {})

    def __call__(self, texts: list[str]) -> Any:
        """Token tensor (texts, context length) of texts cut by `cleaned_caption`."""
        if self._cache is not None and len(self._cache) > _MAX_CACHED_TOKENS:
            self._cache.clear()
            self._cache.update(self._first)
        return self._tokenizer(texts)


class ClipModel:
    """A loaded CLIP model as an `ImageModel`.

    Args:
        model: The network: `encode_image` and `encode_text`.
        transform: open_clip's evaluation preprocessing: PIL image to tensor (3, size, size).
        tokenizer: Texts to token tensor.
        device: Where the network is.
        precision: `fp32`, or `bf16` or `fp16` (autocast).
    """

    def __init__(
        self,
        model: Any,
        transform: Callable[[Any], Any],
        tokenizer: CaptionTokens,
        *,
        device: str,
        precision: str,
    ) -> None:
        self.network = model
        self.transform = transform
        self.tokenizer = tokenizer
        self.device = device
        self._precision = precision

    def prepare(self, image: NDArray[np.uint8], data: bytes | None = None) -> NDArray[np.float32]:
        """Resize, crop and normalise as open_clip evaluates: (height, width, 3) uint8 to (3, size, size)."""
        from PIL import Image

        prepared: NDArray[np.float32] = self.transform(Image.fromarray(image)).numpy()
        return prepared

    def predict(self, prepared: Sequence[NDArray[np.float32]], rows: Sequence[Row]) -> list[Result]:
        """Embed a batch of images and their captions.

        Args:
            prepared: Images as `prepare` returns them.
            rows: The same samples' columns; `caption` is read. None or blank: no caption vector, no score.

        Returns:
            Per image `image_vector` and `caption_vector` (L2-normalised float lists) and `clip_score` (their
            cosine, -1 to 1).

        Raises:
            ValueError: If a vector is not finite (half precision can overflow).
        """
        if not prepared:
            return []
        captions = [cleaned_caption(row.get("caption")) for row in rows]
        texts = [caption for caption in captions if caption is not None]
        image_vectors = self.embed_images(prepared)
        text_vectors = iter(self.embed_texts(texts)) if texts else iter(())
        results: list[Result] = []
        for image_vector, caption in zip(image_vectors, captions, strict=True):
            text_vector = next(text_vectors) if caption is not None else None
            results.append(_result(image_vector, text_vector))
        return results

    def embed_images(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """L2-normalised vectors of images as `prepare` returns them, shape (images, width); at least one."""
        import torch

        batch = torch.from_numpy(np.stack(prepared))
        return self._embed(self.network.encode_image, batch)

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """L2-normalised vectors of texts cut by `cleaned_caption`, shape (texts, width); at least one."""
        return self._embed(self.network.encode_text, self.tokenizer(texts))

    def _embed(self, encode: Callable[[Any], Any], batch: Any) -> NDArray[np.float32]:
        import torch

        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self._precision, torch.float32)
        autocast = torch.autocast(self.device, dtype=dtype, enabled=self._precision != "fp32")
        with torch.inference_mode(), autocast:
            vectors = encode(batch.to(self.device)).float()
        normalised = torch.nn.functional.normalize(vectors, dim=-1)
        array: NDArray[np.float32] = normalised.cpu().numpy()
        return array


def cleaned_caption(caption: object) -> str | None:
    """The caption as the tokeniser gets it: stripped, cut to `MAX_CAPTION_CHARS`; None where it is blank."""
    if not isinstance(caption, str):
        return None
    return caption.strip()[:MAX_CAPTION_CHARS] or None


def ensure_architecture(name: str, config: dict[str, Any]) -> None:
    """Make open_clip know an architecture under exactly this configuration.

    The configuration travels with the factory: a worker may have another open_clip, or run from an archive in
    which open_clip cannot read files.
    """
    import open_clip

    if open_clip.get_model_config(name) == config:
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        open_clip.add_model_config(file)


def _result(image_vector: NDArray[np.float32], text_vector: NDArray[np.float32] | None) -> Result:
    vectors = [image_vector] if text_vector is None else [image_vector, text_vector]
    if not all(np.isfinite(vector).all() for vector in vectors):
        raise ValueError("the embedding is not finite; use embed.precision=fp32 or bf16")
    score = None if text_vector is None else float(np.clip(np.dot(image_vector, text_vector), -1.0, 1.0))
    return {
        "image_vector": image_vector.tolist(),
        "caption_vector": None if text_vector is None else text_vector.tolist(),
        "clip_score": score,
    }


def _without_ends(image: Any) -> Any:
    """The middle of an image (PIL) that is much longer than wide, or wider than long.

    Of an image scaled to its shorter side only the middle square is used, but all of it is computed: 9 GB for
    a line of 1 x 65,000 px.
    """
    width, height = image.size
    longest = _MAX_ASPECT * min(width, height)
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    if not (left or top):
        return image
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, which holds code beside tensors."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
