"""From a stored image to the square that a model trains on: open_clip's random crop, by a key of its own.

open_clip draws crops from torch's global generator, whose order depends on threads and processes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from udfs.image_codec import DecodeLimits, decode

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RATIOS = (3 / 4, 4 / 3)
_TRIES = 10


def prepared(data: bytes, *, size: int, smallest_crop: float, key: tuple[int, ...]) -> NDArray[np.uint8]:
    """Decode an image, crop it at random and scale the crop.

    Args:
        data: The stored file.
        size: Side of the result, px.
        smallest_crop: Smallest share of the area that the crop shows; 1: the whole image, squeezed to a square.
        key: Decides the crop.

    Returns:
        Shape (3, size, size), uint8, RGB.

    Raises:
        ImageFault: If it does not decode.
    """
    from PIL import Image

    pixels = decode(data, DecodeLimits())
    height, width = pixels.shape[:2]
    box = crop_box(width, height, smallest=smallest_crop, rng=np.random.default_rng(key))
    image = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def crop_box(
    width: int, height: int, *, smallest: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A random crop as torchvision's RandomResizedCrop draws it: area and aspect ratio at random, ten tries.

    Args:
        width: Of the image, px.
        height: Of the image, px.
        smallest: Smallest share of the area; 1: all of it.
        rng: Generator.

    Returns:
        left, top, right, bottom, px.
    """
    if smallest >= 1:
        return 0, 0, width, height
    for _ in range(_TRIES):
        area = width * height * rng.uniform(smallest, 1.0)
        ratio = math.exp(rng.uniform(math.log(_RATIOS[0]), math.log(_RATIOS[1])))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left, top = int(rng.integers(width - across + 1)), int(rng.integers(height - down + 1))
            return left, top, left + across, top + down
    # The middle, of a ratio that is allowed.
    across = min(width, round(height * _RATIOS[1]))
    down = min(height, round(width / _RATIOS[0]))
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down
