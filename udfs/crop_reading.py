"""EasyOCR's recogniser over the crops of many images at once, with the readings that it gives of each alone.

EasyOCR pads each crop to the next multiple of its height. Here crops of one padded width are stacked; nothing is
padded further, so a crop is read alike whatever it is stacked with (up to rounding).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from udfs.craft_layers import fold_norms

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

HEIGHT = 64
"""Height of the recogniser's crops, px."""
STACK_WIDTH = 8192
"""Most px that a stack's crops are wide together: some 200 MB in fp32."""
SECOND_PASS_BELOW = 0.1
CONTRAST = 0.5
"""`readtext`'s: readings of less confidence are tried again with the contrast raised to this."""

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True, eq=False)
class Crop:
    """A box's pixels, ready for the recogniser.

    Attributes:
        polygon: Corners of the box, px of the image.
        pixels: Grey values, shape (64, width), uint8.
        width: Width to which the crop is padded, a multiple of 64 px.
    """

    polygon: Sequence[Sequence[float]]
    pixels: NDArray[np.uint8]
    width: int


def crops_of(
    grey: NDArray[np.uint8],
    level: Iterable[Sequence[int]],
    free: Iterable[Sequence[Sequence[float]]],
) -> list[Crop]:
    """Cut boxes out of an image as EasyOCR does one by one.

    Args:
        grey: Luminance, shape (height, width).
        level: Boxes as (left, right, top, bottom), px.
        free: Boxes by their corners, px.
    """
    from easyocr.utils import get_image_list

    each: list[tuple[list[Any], list[Any]]] = [([box], []) for box in level] + [([], [box]) for box in free]
    found = []
    for boxes in each:
        cut, width = get_image_list(*boxes, grey, model_height=HEIGHT)
        found += [Crop(polygon, pixels, int(width)) for polygon, pixels in cut]
    return found


class CropReader:
    """A loaded recogniser.

    Args:
        reader: An `easyocr.Reader` without a quantised LSTM; its recogniser is changed.
        precision: Of `PRECISIONS`.
    """

    def __init__(self, reader: Any, *, precision: str) -> None:
        import torch

        network = reader.recognizer.eval()
        layers = network.FeatureExtraction.ConvNet
        if isinstance(layers, torch.nn.Sequential):  # older recognisers have a residual network
            fold_norms(layers)
        network.to(memory_format=torch.channels_last)
        self._network = _InPrecision(network, getattr(torch, PRECISIONS[precision]))
        self._converter = reader.converter
        self._device = reader.device
        unwanted = set(reader.character) - set(reader.lang_char)
        self._ignored = [reader.character.index(letter) + 1 for letter in unwanted]
        self._is_arabic = reader.model_lang == "arabic"

    def read(self, crops: Sequence[Crop]) -> list[tuple[str, float]]:
        """Text and confidence of each crop, in order."""
        found = self._pass(crops, contrast=0.0)
        unsure = [index for index, (_, confidence) in enumerate(found) if confidence < SECOND_PASS_BELOW]
        again = self._pass([crops[index] for index in unsure], contrast=CONTRAST)
        for index, second in zip(unsure, again, strict=True):
            if not found[index][1] > second[1]:
                found[index] = second
        if self._is_arabic:
            from bidi import get_display

            return [(get_display(text), confidence) for text, confidence in found]
        return found

    def _pass(self, crops: Sequence[Crop], *, contrast: float) -> list[tuple[str, float]]:
        from easyocr.recognition import recognizer_predict

        found: list[tuple[str, float]] = [("", 0.0)] * len(crops)
        for members in _stacks([crop.width for crop in crops]):
            width = crops[members[0]].width
            stack = _stacked([crops[index].pixels for index in members], width=width, contrast=contrast)
            readings = recognizer_predict(
                self._network, self._converter, [stack], width // 10, self._ignored, {}, device=self._device
            )
            for index, (text, confidence) in zip(members, readings, strict=True):
                found[index] = (text, float(confidence))
        return found


class _InPrecision:
    """The recogniser under autocast; called as EasyOCR calls it, and gives fp32."""

    def __init__(self, network: Any, precision: torch.dtype) -> None:
        self._network = network
        self._precision = precision

    def eval(self) -> None:
        """EasyOCR calls it before each batch; the network is in evaluation mode."""

    def __call__(self, images: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        import torch

        images = images.contiguous(memory_format=torch.channels_last)
        is_half = self._precision != torch.float32
        with torch.autocast(images.device.type, dtype=self._precision if is_half else None, enabled=is_half):
            scores: torch.Tensor = self._network(images, text)
        return scores.float()


def _stacks(widths: Sequence[int]) -> list[list[int]]:
    """Positions of crops that are read together: of one width, and no more than memory allows."""
    by_width: dict[int, list[int]] = defaultdict(list)
    for index, width in enumerate(widths):
        by_width[width].append(index)
    stacks = []
    for width, members in sorted(by_width.items()):
        size = max(1, STACK_WIDTH // width)
        stacks += [members[first : first + size] for first in range(0, len(members), size)]
    return stacks


def _stacked(crops: Sequence[NDArray[np.uint8]], *, width: int, contrast: float) -> torch.Tensor:
    from easyocr.recognition import AlignCollate
    from PIL import Image

    collate = AlignCollate(imgH=HEIGHT, imgW=width, keep_ratio_with_pad=True, adjust_contrast=contrast)
    stack: torch.Tensor = collate([Image.fromarray(crop) for crop in crops])
    return stack
