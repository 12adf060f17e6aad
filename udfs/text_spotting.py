"""Text spotting: the registry of spotters, and how raw readings become a row of `spotted_text`.

A spotter is one module with a function `resolve(**options)` that returns a `SpotterFactory`. It reads an
image into `Reading`s; everything else (clipping, words, area ratio) is shared. To add one, write the module
and give it a name in `SPOTTERS`.
"""

from __future__ import annotations

import importlib
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from PIL import Image

from udfs import geometry
from udfs.heap import trim_heap
from udfs.image_codec import upright
from udfs.names import did_you_mean
from udfs.weights import WeightFile, WeightsError
from udfs.word_cutting import WordCutter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from udfs.model_api import Result, Row

SPOTTERS: dict[str, str] = {
    "easyocr": "udfs.easyocr_spotter",
    "easyocr-fast": "udfs.easyocr_fast",
    "rapidocr": "udfs.rapidocr_spotter",
}
"""Name in the configuration -> module of the spotter."""

CONFIDENCE_DIGITS = 4
_WHITESPACE = WordCutter()
_JPEG_START = b"\xff\xd8"


@dataclass(frozen=True)
class Reading:
    """One raw reading of a spotter.

    Attributes:
        text: What was read, unchanged.
        confidence: Spotter's confidence, 0 to 1.
        polygon: Corners from the top left, clockwise, px of the decoded image; may reach beyond it.
        is_level: Whether its words stand side by side; False where it may run upwards, downwards or upside down.
    """

    text: str
    confidence: float
    polygon: ArrayLike
    is_level: bool = True


class SpotterFactory(Protocol):
    """A `ModelFactory` that also says what decides its readings. Picklable."""

    @property
    def spotter(self) -> str:
        """Spotter and languages, for the column `spotter`."""
        ...

    @property
    def params(self) -> dict[str, Any]:
        """Everything that decides a reading, as JSON types: it enters the run key."""
        ...

    @property
    def files(self) -> tuple[WeightFile, ...]:
        """Weight files that a worker needs."""
        ...

    def load(self) -> SpottingModel:
        """Load the spotter in a worker."""
        ...


@dataclass(frozen=True, eq=False)
class SpottingInput:
    """An image as spotters get it.

    Attributes:
        rgb: Decoded image, shape (height, width, 3), RGB uint8, full size.
        grey: Its luminance, shape (height, width), uint8.
    """

    rgb: NDArray[np.uint8]
    grey: NDArray[np.uint8]


class SpottingModel:
    """A loaded spotter as an `ImageModel`: reads image by image, so a batch never decides a reading."""

    def __init__(
        self, read: Callable[[SpottingInput], Iterable[Reading]], cutter: WordCutter = _WHITESPACE
    ) -> None:
        self._read = read
        self._cutter = cutter

    def prepare(self, image: NDArray[np.uint8], data: bytes | None = None) -> SpottingInput:
        """Add the grey image that `readtext` over the file would see.

        Args:
            image: The decoded file, shape (height, width, 3), RGB.
            data: The stored file; None computes grey from the pixels.
        """
        return SpottingInput(image, grey_of(image, data))

    def predict(self, prepared: Sequence[SpottingInput], rows: Sequence[Row]) -> list[Result]:
        """Read a batch of images.

        Args:
            prepared: Images as `prepare` returns them.
            rows: The same samples' columns; not used.

        Returns:
            `assembled` of each image, in order.
        """
        results: list[Result] = []
        for image in prepared:
            results.append(self._assembled(image, self._read(image)))
            trim_heap()  # what a large image leaves behind seldom fits the next one
        return results

    def _assembled(self, image: SpottingInput, readings: Iterable[Reading]) -> Result:
        height, width = image.rgb.shape[:2]
        return assembled(readings, width=width, height=height, cutter=self._cutter)


class BatchSpottingModel(SpottingModel):
    """A loaded spotter that reads the images of a batch together."""

    def __init__(
        self,
        read_all: Callable[[Sequence[SpottingInput]], Sequence[Iterable[Reading]]],
        cutter: WordCutter = _WHITESPACE,
    ) -> None:
        super().__init__(lambda image: read_all([image])[0], cutter)
        self._read_all = read_all

    def predict(self, prepared: Sequence[SpottingInput], rows: Sequence[Row]) -> list[Result]:
        """See `SpottingModel`."""
        readings = self._read_all(prepared)
        return [self._assembled(*pair) for pair in zip(prepared, readings, strict=True)]


def resolve(name: str, **options: Any) -> SpotterFactory:
    """Find a spotter by name and check that it can run. Driver side.

    Args:
        name: Key of `SPOTTERS`.
        **options: What the spotter's own `resolve` takes.

    Raises:
        WeightsError: If there is no such spotter, an option is wrong, or weights are missing.
    """
    module = SPOTTERS.get(name)
    if module is None:
        hint = did_you_mean(name, SPOTTERS)
        raise WeightsError(f"Unknown text spotter {name!r}.{hint} Known: {', '.join(sorted(SPOTTERS))}.")
    return cast("SpotterFactory", importlib.import_module(module).resolve(**options))


def grey_of(image: NDArray[np.uint8], data: bytes | None = None) -> NDArray[np.uint8]:
    """The luminance of an image.

    A JPEG stores luminance as a plane of its own, and OpenCV's grey decoding takes that plane. Grey values
    computed from RGB differ from it where colours were clipped (by up to 12 levels, in 1 % of the pixels of
    web images), which changed a reading in 31 of 150 memes.

    Args:
        image: Decoded image, shape (height, width, 3), RGB.
        data: The stored file, where it is at hand; its plane is taken if it is a JPEG.

    Returns:
        Array of shape (height, width), uint8.
    """
    import cv2

    plane = _luminance_plane(data) if data else None
    if plane is not None and plane.shape == image.shape[:2]:
        return plane
    return cast("NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def assembled(
    readings: Iterable[Reading], *, width: int, height: int, cutter: WordCutter = _WHITESPACE
) -> dict[str, Any]:
    """Turn an image's raw readings into the measured columns of table `spotted_text`.

    Readings without a character are dropped, confidences rounded, polygons clipped to the image. A word has
    the confidence and line of its reading, and its character share of the reading's polygon; all of that where the
    reading's direction is not known. A reading whose polygon has no area in the image keeps its text and gets an empty
    polygon.

    Args:
        readings: Raw readings in the spotter's order.
        width: Image width, px.
        height: Image height, px.
        cutter: Says where the words of a reading are.

    Returns:
        `lines`, `words`, `text_area_ratio`, `image_width`, `image_height`, in plain Python types.
    """
    lines: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    polygons = []
    for reading in readings:
        if not reading.text.strip():
            continue
        confidence = _rounded(reading.confidence)
        polygon = geometry.clip_to_image(reading.polygon, width=width, height=height)
        for word in geometry.cut_words(reading.text, reading.polygon, spans=cutter.spans(reading.text)):
            clipped = geometry.clip_to_image(word.polygon, width=width, height=height)
            clipped = clipped if reading.is_level else polygon
            words.append({**_entry(word.text, confidence, clipped), "line": len(lines)})
        lines.append(_entry(reading.text, confidence, polygon))
        polygons.append(polygon)
    return {
        "words": words,
        "lines": lines,
        "text_area_ratio": geometry.text_area_ratio(polygons, width=width, height=height),
        "image_width": int(width),
        "image_height": int(height),
    }


def _luminance_plane(data: bytes) -> NDArray[np.uint8] | None:
    """The luminance plane of a JPEG, EXIF-upright; None where the file is none."""
    if not data.startswith(_JPEG_START):
        return None
    try:
        with Image.open(io.BytesIO(data)) as file:
            if file.mode not in ("RGB", "L"):
                return None
            file.draft("L", file.size)  # the decoder then skips the colours
            return np.asarray(upright(file).convert("L"), dtype=np.uint8)
    except Exception:  # noqa: BLE001 - the RGB decode before this one told what is wrong with the file
        return None


def _entry(text: str, confidence: float, polygon: NDArray[np.float64]) -> dict[str, Any]:
    return {"text": text, "confidence": confidence, "polygon": geometry.to_points(polygon)}


def _rounded(confidence: float) -> float:
    value = float(confidence)
    return round(min(max(value, 0.0), 1.0), CONFIDENCE_DIGITS) if math.isfinite(value) else 0.0
