"""CRAFT, the detector of EasyOCR, in horizontal bands: large images in bounded memory, with the same scores.

Run over a whole image, the layers at full and at half resolution decide the memory: 64 channels of a canvas of
2560 x 2560 px are 1.7 GB, of which convolution and normalisation hold several. Here these layers see a band at a
time, with as many further rows as their filters reach; what the bands overlap in is cut off again. Scores differ
from those of the whole image by rounding (1e-6).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from udfs.craft_parts import CraftParts, FloatParts, scaled

if TYPE_CHECKING:
    import torch

BAND_PIXELS = 512 * 1024  # images up to it are run whole; a band costs some 0.7 GB


class BandedCraft:
    """A loaded `easyocr.craft.CRAFT`, called as it is called.

    Args:
        net: The network in evaluation mode, or its parts.
        band_pixels: Most px of a band (without what it overlaps).
    """

    def __init__(self, net: Any, *, band_pixels: int = BAND_PIXELS) -> None:
        self.net = net
        self._band_pixels = band_pixels

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Score maps and features of images.

        Args:
            images: Shape (images, 3, height, width), sides multiples of 32, as EasyOCR pads them.

        Returns:
            Scores, shape (images, height / 2, width / 2, 2), and features, shape (images, 32, height / 2, width / 2);
            parts that keep no features return none of the 32.
        """
        if images.shape[2] * images.shape[3] <= self._band_pixels:
            whole: tuple[torch.Tensor, torch.Tensor] = self.net(images)
            return whole
        both = in_bands(as_parts(self.net), images, pixels=self._band_pixels)
        return both[:, :2].permute(0, 2, 3, 1), both[:, 2:]


def as_parts(net: Any) -> CraftParts:
    """The network's parts: its own, where it has them, else those of an `easyocr.craft.CRAFT`."""
    return net if isinstance(net, CraftParts) else FloatParts(net)


def in_bands(parts: CraftParts, images: torch.Tensor, *, pixels: int) -> torch.Tensor:
    """Scores and features of images, the large maps a band at a time.

    Args:
        parts: The network.
        images: As `BandedCraft` takes them.
        pixels: Most px of a band of the input.

    Returns:
        Shape (images, 2 and features, height / 2, width / 2).
    """
    # A reach is what filters see beyond a row, in rows of the input: here 2 convolutions, and 2 behind a pooling.
    half = _in_bands(parts.half, images, pixels=pixels, reach=8, shrink=2)
    quarter = _in_bands(parts.quarter, half, pixels=pixels // 2, reach=4, shrink=2)
    up = scaled(parts.deep(quarter), quarter)
    up = _in_bands(parts.middle, up, quarter, pixels=pixels // 4, reach=2)
    del quarter
    up = scaled(up, half)
    return _in_bands(parts.last, up, half, pixels=pixels // 2, reach=4)


def _in_bands(
    work: Callable[..., torch.Tensor], *maps: torch.Tensor, pixels: int, reach: int, shrink: int = 1
) -> torch.Tensor:
    """What `work` makes of maps of one size, band by band.

    Args:
        work: Takes a band of each map, and returns maps that are smaller by `shrink`.
        maps: Each of shape (images, channels, height, width).
        pixels: Most px of a band.
        reach: Rows above and below a band that decide what becomes of it; a multiple of `shrink`.
        shrink: Size of the input over size of the output.
    """
    height, width = maps[0].shape[2:]
    rows = max(16, pixels // width // 16 * 16)
    out: Any = None
    for first in range(0, height, rows):
        last, start = min(first + rows, height), max(0, first - reach)
        part = work(*(each[:, :, start : last + reach] for each in maps))
        if out is None:
            # Filled band by band: joining them at the end would hold everything twice.
            out = _empty((*part.shape[:2], height // shrink, width // shrink), part)
        kept = slice((first - start) // shrink, (last - start) // shrink)
        out[:, :, first // shrink : last // shrink] = part[:, :, kept]
    held: torch.Tensor = out
    return held


def _empty(shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    if not like.is_quantized:
        return like.new_empty(shape)
    import torch

    levels = {"scale": like.q_scale(), "zero_point": like.q_zero_point()}
    kept: torch.Tensor = torch._empty_affine_quantized(
        shape, **levels, dtype=like.dtype, memory_format=torch.channels_last
    )
    return kept
