"""CRAFT, the detector of EasyOCR, in horizontal bands: large images in bounded memory, with the same scores.

Run over a whole image, the layers at full and at half resolution decide the memory: 64 channels of a canvas of
2560 x 2560 px are 1.7 GB, of which convolution and normalisation hold several. Here these layers see a band at a
time, with as many further rows as their filters reach; what the bands overlap in is cut off again. Scores differ
from those of the whole image by rounding (1e-6).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

BAND_PIXELS = 512 * 1024  # images up to it are run whole; a band costs some 0.7 GB


class BandedCraft:
    """A loaded `easyocr.craft.CRAFT`, called as it is called.

    Args:
        net: The network, in evaluation mode.
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
            Scores, shape (images, height / 2, width / 2, 2), and features, shape (images, 32, height / 2, width / 2).
        """
        if images.shape[2] * images.shape[3] <= self._band_pixels:
            whole: tuple[torch.Tensor, torch.Tensor] = self.net(images)
            return whole
        base, pixels = self.net.basenet, self._band_pixels
        # A reach is what filters see beyond a row, in rows of the input: here 2 convolutions, and 2 behind a pooling.
        half = _in_bands(base.slice1, images, pixels=pixels, reach=8, shrink=2)
        quarter = _in_bands(base.slice2, half, pixels=pixels // 2, reach=4, shrink=2)
        eighth = base.slice3(quarter)
        sixteenth = base.slice4(eighth)
        up = self.net.upconv1(_joined(base.slice5(sixteenth), sixteenth))
        up = self.net.upconv2(_joined(_scaled(up, eighth), eighth))
        del sixteenth, eighth
        up = _scaled(up, quarter)
        up = _in_bands(
            lambda *maps: self.net.upconv3(_joined(*maps)), up, quarter, pixels=pixels // 4, reach=2
        )
        del quarter
        up = _scaled(up, half)
        both = _in_bands(self._scores_and_features, up, half, pixels=pixels // 2, reach=4)
        return both[:, :2].permute(0, 2, 3, 1), both[:, 2:]

    def _scores_and_features(self, up: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
        feature = self.net.upconv4(_joined(up, half))
        return _joined(self.net.conv_cls(feature), feature)


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
            out = part.new_empty((*part.shape[:2], height // shrink, width // shrink))
        kept = slice((first - start) // shrink, (last - start) // shrink)
        out[:, :, first // shrink : last // shrink] = part[:, :, kept]
    held: torch.Tensor = out
    return held


def _joined(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat([one, other], dim=1)


def _scaled(maps: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    from torch.nn import functional

    size = like.shape[2:]
    scaled: torch.Tensor = functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    return scaled
