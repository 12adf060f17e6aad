"""RapidOCR as a text spotter: PP-OCR models of its package on ONNX Runtime, independent of EasyOCR.

The models that its package ships read Latin letters and Chinese. Nothing is downloaded.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from udfs.text_spotting import Reading, SpottingInput, SpottingModel
from udfs.weights import MissingWeightsError, WeightFile, WeightsError, described, staged_path
from udfs.word_cutting import WordCutter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_SIDE = 8
"""Images with a side of fewer px have no text: RapidOCR fails on some of them."""
MAX_ASPECT = 8
"""Longer images are padded to it: RapidOCR enlarges the shorter side to 736 px, whatever becomes of the other."""
_PARTS = {"det": "Det", "rec": "Rec", "cls": "Cls"}
_INSTALL = "pip install 'parrot-captions[rapidocr]'"


@dataclass(frozen=True)
class RapidOcrFactory:
    """Loads RapidOCR in a worker from verified models.

    Attributes:
        files: Models of detector, recogniser and classifier of upside-down lines.
        version: Of the package.
        text_score: Readings of less confidence are left out; RapidOCR's default. Without it 6 of 8 photos
            without text would have some.
    """

    files: tuple[WeightFile, ...]
    version: str
    text_score: float = 0.5

    @property
    def spotter(self) -> str:
        """Spotter and languages, for the column `spotter`."""
        return "rapidocr/en"

    @property
    def params(self) -> dict[str, Any]:
        """Everything that decides a reading, as JSON types."""
        return {
            "spotter": "rapidocr",
            "version": self.version,
            "languages": ["en"],
            "weights": {file.name: file.sha256 for file in self.files},
            "text_score": self.text_score,
        }

    def load(self) -> SpottingModel:
        """Load the models on the CPU, one thread each: a worker has a core.

        Raises:
            MissingWeightsError: If a model is not where it was staged.
            WeightsError: If a model is not the expected one, or the package is missing.
        """
        _require()
        from rapidocr import RapidOCR

        paths = {part: str(staged_path(_only(self.files, part))) for part in _PARTS}
        settings: dict[str, Any] = {f"{_PARTS[part]}.model_path": path for part, path in paths.items()}
        settings |= {
            "Global.log_level": "error",
            "Global.text_score": self.text_score,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
        engine = RapidOCR(params=settings)
        logging.getLogger("RapidOCR").setLevel(logging.ERROR)
        return SpottingModel(_Reader(engine).read, WordCutter())


def resolve(
    *,
    languages: Sequence[str] = ("en",),
    model_directory: str | None = None,
    detector_precision: str | None = None,
    rotations: Sequence[int] = (),
    **_scale: Any,
) -> RapidOcrFactory:
    """Check options and find the models of the installed package. Driver side.

    Args:
        languages: Must be `en`.
        model_directory: Must be None: the package brings its models.
        detector_precision: Must be None or `fp32`.
        rotations: Must be empty: RapidOCR turns upside-down lines by itself.
        **_scale: EasyOCR's canvas_size and mag_ratio, which mean nothing here.

    Raises:
        MissingWeightsError: If the package lacks a model.
        WeightsError: If the package is missing, or an option means nothing to it.
    """
    _require()
    if tuple(languages) != ("en",):
        raise WeightsError(f"rapidocr reads with the model of languages ('en',); found {tuple(languages)}.")
    odd = {
        "model_directory": model_directory,
        "rotations": tuple(rotations) or None,
        "detector_precision": None if detector_precision == "fp32" else detector_precision,
    }
    named = [f"spot_text.{name}={value}" for name, value in odd.items() if value is not None]
    if named:
        raise WeightsError(
            f"rapidocr takes no {', '.join(named)}: leave it out, or choose an EasyOCR spotter."
        )
    return RapidOcrFactory(_shipped_models(), importlib.metadata.version("rapidocr"))


class _Reader:
    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def read(self, prepared: SpottingInput) -> list[Reading]:
        """Read an image."""
        image: NDArray[np.uint8] = prepared.rgb
        if min(image.shape[:2]) < MIN_SIDE:
            return []
        found = self._engine(_padded(image[:, :, ::-1]))  # arrays are taken for BGR
        if getattr(found, "boxes", None) is None or getattr(found, "txts", None) is None:
            return []
        return [
            Reading(text, float(confidence), polygon)
            for polygon, text, confidence in zip(found.boxes, found.txts, found.scores, strict=True)
        ]


def _padded(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image with its last row or column repeated until it is no longer than `MAX_ASPECT`."""
    import numpy as np

    height, width = image.shape[:2]
    shortest = -(-max(height, width) // MAX_ASPECT)
    missing = [(0, max(0, shortest - side)) for side in (height, width)]
    return np.ascontiguousarray(np.pad(image, [*missing, (0, 0)], mode="edge"))


def _require() -> None:
    missing = [name for name in ("rapidocr", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise WeightsError(
            f"The spotter rapidocr needs {' and '.join(missing)}, not installed here: {_INSTALL}."
        )


def _shipped_models() -> tuple[WeightFile, ...]:
    spec = importlib.util.find_spec("rapidocr")
    folder = Path(str(spec.origin)).parent / "models" if spec else Path()
    found = sorted(folder.glob("*.onnx"))
    files = tuple(described(path) for path in found)
    for part in _PARTS:
        _only(files, part)
    return files


def _only(files: Sequence[WeightFile], part: str) -> WeightFile:
    """The one model of a part (det, rec, cls), told by its name."""
    named = [file for file in files if f"_{part}_" in file.name]
    if len(named) != 1:
        raise MissingWeightsError(
            f"Expected one model *_{part}_*.onnx in the package rapidocr, found "
            f"{', '.join(file.name for file in named) or 'none'}. Install the tested version again: {_INSTALL}."
        )
    return named[0]
