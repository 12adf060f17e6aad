"""EasyOCR's weights, several times faster: the spotter `easyocr-fast`.

The detector runs in int8 on a CPU and in half precision on a GPU, with batch norms folded; before it, the same
detector at half scale says whether there is any text at all. Crops of a batch's images are read together. In `fp32`
there is no such gate, and readings are those of `easyocr.Reader(quantize=False).readtext`.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any

from udfs import easyocr_spotter
from udfs.craft_bands import BAND_PIXELS, BandedCraft
from udfs.craft_boxes import text_boxes
from udfs.craft_layers import QuantisedCraft, Ranges, folded, has_int8
from udfs.crop_reading import PRECISIONS, Crop, CropReader, crops_of
from udfs.devices import has_native_bf16
from udfs.easyocr_spotter import (
    EasyOcrFactory,
    detection_scale,
    has_pixels,
    is_too_thin,
    load_reader,
    spans_pixels,
    without_library_warnings,
)
from udfs.heap import trim_heap
from udfs.text_spotting import BatchSpottingModel, Reading, SpottingInput, SpottingModel
from udfs.weights import WeightFile, WeightsError
from udfs.word_cutting import cutter_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

DETECTOR_PRECISIONS = ("int8", "fp16", "bf16", "fp32")
RANGES_FILE = "craft_ranges.json"
GATE_SCORE = 0.15
"""An image whose text scores at half scale all stay below this has no text."""
GATE_MIN_SIDE = 384
"""Images of a smaller side, px, go to the detector at once: half of them is too little to see."""
GPU_BATCH_PIXELS = 16 * 768 * 768


@dataclass(frozen=True)
class FastEasyOcrFactory:
    """Loads the fast spotter in a worker from verified weights.

    Attributes:
        exact: The exact spotter of the same weights and scale.
        detector_precision: Of `DETECTOR_PRECISIONS`; `fp16` wants a GPU, the others run on the CPU.
        recognizer_precision: Of `crop_reading.PRECISIONS`.
    """

    exact: EasyOcrFactory
    detector_precision: str
    recognizer_precision: str

    @property
    def files(self) -> tuple[WeightFile, ...]:
        """Detector and recogniser weights."""
        return self.exact.files

    @property
    def spotter(self) -> str:
        """Spotter and languages, for the column `spotter`."""
        return f"easyocr-fast/{'+'.join(self.exact.languages)}"

    @property
    def params(self) -> dict[str, Any]:
        """Everything that decides a reading, as JSON types."""
        own: dict[str, Any] = {
            "spotter": "easyocr-fast",
            "detector_precision": self.detector_precision,
            "recognizer_precision": self.recognizer_precision,
        }
        if self.has_gate:
            own["gate"] = {"score": GATE_SCORE, "min_side": GATE_MIN_SIDE}
        if self.detector_precision == "int8":
            text = json.dumps(_ranges_of(self._detector_sha256), sort_keys=True)
            own["ranges"] = hashlib.sha256(text.encode()).hexdigest()
        exact = self.exact.params
        exact.pop("recognizer_batch_size")
        return {**exact, **own}

    @property
    def has_gate(self) -> bool:
        """Whether the detector at half scale may say that there is no text."""
        return self.detector_precision != "fp32"

    @property
    def _detector_sha256(self) -> str:
        return next(file.sha256 for file in self.files if file.name == easyocr_spotter.DETECTOR_FILE)

    def load(self) -> SpottingModel:
        """Load detector and recogniser.

        Raises:
            MissingWeightsError: If a weight file is not where it was staged.
            WeightsError: If a weight file is not the expected one, or the precision wants what is not there.
        """
        import torch

        is_on_gpu = self.detector_precision == "fp16"
        if is_on_gpu and not torch.cuda.is_available():
            raise WeightsError(
                "easyocr-fast in fp16 needs a GPU, and this worker sees none: run it where every worker has one, or "
                "with --set spot_text.detector_precision=int8."
            )
        device = "cuda" if is_on_gpu else "cpu"
        reader = load_reader(self.files, self.exact.languages, quantize=False, device=device)
        ranges = _ranges_of(self._detector_sha256) if self.detector_precision == "int8" else None
        detector = _detector_of(reader.detector, precision=self.detector_precision, ranges=ranges)
        spotter = FastSpotter(
            self,
            detector,
            CropReader(reader, precision=self.recognizer_precision),
            batch_pixels=GPU_BATCH_PIXELS if is_on_gpu else 0,
        )
        return BatchSpottingModel(spotter.read, cutter_of(self.exact.languages))


def resolve(
    *,
    languages: Sequence[str] = ("en",),
    model_directory: str | None = None,
    detector_precision: str | None = None,
    rotations: Sequence[int] = (),
    canvas_size: int = 2560,
    mag_ratio: float = 1.0,
) -> FastEasyOcrFactory:
    """Check options and weights, choose the precision, and return the factory. Driver side.

    Args:
        languages: See `easyocr_spotter.resolve`.
        model_directory: See there.
        detector_precision: Of `DETECTOR_PRECISIONS`; None: `fp16` where there is a GPU, else `int8` where PyTorch
            has it, else `fp32`.
        rotations: Must be empty.
        canvas_size: Longer side to which larger images are scaled down for detection, px.
        mag_ratio: Scale of the image for detection, where that stays within `canvas_size`.

    Raises:
        MissingWeightsError: If weights are missing.
        WeightsError: If an option or a file is wrong.
    """
    if rotations:
        raise WeightsError("easyocr-fast reads no turned boxes: leave spot_text.rotations, or take easyocr.")
    if detector_precision is not None and detector_precision not in DETECTOR_PRECISIONS:
        raise WeightsError(
            f"The spotter easyocr-fast knows no detector precision {detector_precision!r}; "
            f"known: {', '.join(DETECTOR_PRECISIONS)}."
        )
    exact = easyocr_spotter.resolve(
        languages=languages, model_directory=model_directory, canvas_size=canvas_size, mag_ratio=mag_ratio
    )
    factory = FastEasyOcrFactory(exact, *_precisions(detector_precision))
    if factory.detector_precision == "int8" and not _ranges_of(factory._detector_sha256):
        raise WeightsError(
            f"{RANGES_FILE} has no ranges of the detector {factory._detector_sha256[:16]}, which int8 needs: take "
            "--set spot_text.detector_precision=fp32, or make them with `python -m spark_jobs.demo.craft_ranges`."
        )
    return factory


class FastSpotter:
    """Reads the images of a batch together.

    Args:
        options: The factory.
        detector: Takes pictures, shape (images, 3, height, width), fp32; returns scores and features as CRAFT does.
        recogniser: Reads crops.
        batch_pixels: Most px of equally large pictures that the detector sees at once; 0: one picture at a time.
    """

    def __init__(
        self, options: FastEasyOcrFactory, detector: Any, recogniser: CropReader, *, batch_pixels: int
    ) -> None:
        self._options = options
        self._detector = detector
        self._recogniser = recogniser
        self._batch_pixels = batch_pixels

    def read(self, images: Sequence[SpottingInput]) -> list[list[Reading]]:
        """Read images.

        Returns:
            Readings of each image, in `readtext`'s order.
        """
        import torch

        crops: list[list[Crop]] = [[] for _ in images]
        with torch.inference_mode(), without_library_warnings(), ThreadPoolExecutor(1) as beside:
            # Boxes of one picture are made while the detector looks at the next.
            made = {
                index: beside.submit(_crops, images[index], scores, ratio=ratio)
                for index, scores, ratio in self._scored(images)
            }
            for index, future in made.items():
                crops[index] = future.result()
            found = iter(self._recogniser.read([crop for each in crops for crop in each]))
        return [[Reading(*next(found), crop.polygon) for crop in each] for each in crops]

    def _scored(self, images: Sequence[SpottingInput]) -> Iterator[tuple[int, NDArray[np.float32], float]]:
        """Score maps of the images that may have text, with the scale of detection."""
        by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, image in enumerate(images):
            shape = self._canvas_shape(image.rgb)
            if shape is not None:
                by_shape[shape].append(index)
        for (height, width), members in by_shape.items():
            size = max(1, self._batch_pixels // (height * width))
            for first in range(0, len(members), size):
                yield from self._scored_alike(images, members[first : first + size])
                trim_heap()

    def _scored_alike(
        self, images: Sequence[SpottingInput], members: Sequence[int]
    ) -> Iterator[tuple[int, NDArray[np.float32], float]]:
        members = [index for index in members if not self._is_ruled_out(images[index].rgb)]
        if not members:
            return
        pictures = [self._picture(images[index].rgb) for index in members]
        scores = self._scores([picture for picture, _ in pictures])
        for index, (_, ratio), each in zip(members, pictures, scores, strict=True):
            yield index, each, ratio

    def _is_ruled_out(self, rgb: NDArray[np.uint8]) -> bool:
        """Whether the detector sees no text in the picture at half scale."""
        import cv2

        height, width = rgb.shape[:2]
        scale = self._scale(rgb)
        if not self._options.has_gate or min(height, width) * scale < GATE_MIN_SIDE:
            return False
        size = (int(width * scale / 2), int(height * scale / 2))
        half = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        picture, _ = _normalised(half, canvas_size=max(half.shape), mag_ratio=1.0)
        return bool(self._scores([picture])[0][:, :, 0].max() < GATE_SCORE)

    def _picture(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        exact = self._options.exact
        return _normalised(rgb, canvas_size=exact.canvas_size, mag_ratio=exact.mag_ratio)

    def _canvas_shape(self, rgb: NDArray[np.uint8]) -> tuple[int, int] | None:
        """Size of the picture as the detector sees it; None where nothing is left of it."""
        exact = self._options.exact
        if is_too_thin(rgb, canvas_size=exact.canvas_size, mag_ratio=exact.mag_ratio):
            return None
        height, width = rgb.shape[:2]
        scale = self._scale(rgb)
        return -(-int(height * scale) // 32) * 32, -(-int(width * scale) // 32) * 32

    def _scale(self, rgb: NDArray[np.uint8]) -> float:
        exact = self._options.exact
        return detection_scale(rgb, canvas_size=exact.canvas_size, mag_ratio=exact.mag_ratio)

    def _scores(self, pictures: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        import numpy as np
        import torch

        stack = torch.from_numpy(np.stack(pictures)).contiguous(memory_format=torch.channels_last)
        scores: NDArray[np.float32] = self._detector(stack)[0].float().cpu().numpy()
        return scores


def _precisions(wanted: str | None) -> tuple[str, str]:
    """Precision of detector and recogniser: what is wanted, else what this machine does best."""
    import torch

    if wanted is None:
        wanted = "fp16" if torch.cuda.is_available() else "int8" if has_int8() else "fp32"
    if wanted in PRECISIONS:
        return wanted, wanted
    return wanted, "bf16" if has_native_bf16() else "fp32"


def _ranges_of(detector_sha256: str) -> Ranges | None:
    text = resources.files("udfs").joinpath(RANGES_FILE).read_text(encoding="utf-8")
    ranges: dict[str, Ranges] = json.loads(text)
    return ranges.get(detector_sha256)


def _detector_of(net: Any, *, precision: str, ranges: Ranges | None) -> Any:
    import torch

    layers = folded(net.eval())
    if ranges is not None:
        return BandedCraft(QuantisedCraft(layers, ranges), band_pixels=2 * BAND_PIXELS)
    if precision == "fp32":
        return BandedCraft(layers)
    number = getattr(torch, PRECISIONS[precision])
    net = BandedCraft(layers.to(number))
    return partial(_in_precision, net, device=next(layers.parameters()).device, number=number)


def _in_precision(net: BandedCraft, stack: torch.Tensor, *, device: torch.device, number: torch.dtype) -> Any:
    return net(stack.to(device=device, dtype=number))


def _normalised(
    rgb: NDArray[np.uint8], *, canvas_size: int, mag_ratio: float
) -> tuple[NDArray[np.float32], float]:
    """A picture as CRAFT takes it, shape (3, height, width), sides multiples of 32, and its scale."""
    import cv2
    from easyocr.imgproc import normalizeMeanVariance, resize_aspect_ratio

    resized, ratio, _ = resize_aspect_ratio(
        rgb, canvas_size, interpolation=cv2.INTER_LINEAR, mag_ratio=mag_ratio
    )
    return normalizeMeanVariance(resized).transpose(2, 0, 1), ratio


def _crops(image: SpottingInput, scores: NDArray[np.float32], *, ratio: float) -> list[Crop]:
    level, free = text_boxes(scores, ratio=ratio)
    return crops_of(
        image.grey,
        [box for box in level if has_pixels(box, image.rgb)],
        [box for box in free if spans_pixels(box)],
    )
