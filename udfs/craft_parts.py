"""CRAFT, the detector of EasyOCR, cut into parts: what runs it whole, in bands or in int8 is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch


@runtime_checkable
class CraftParts(Protocol):
    """CRAFT cut where its maps are largest. Maps have the shape (images, channels, height, width)."""

    def half(self, images: torch.Tensor) -> torch.Tensor:
        """Map at half of the input's size."""
        ...

    def quarter(self, half: torch.Tensor) -> torch.Tensor:
        """Map at a quarter."""
        ...

    def deep(self, quarter: torch.Tensor) -> torch.Tensor:
        """Map at an eighth, of all that lies below."""
        ...

    def middle(self, up: torch.Tensor, quarter: torch.Tensor) -> torch.Tensor:
        """Map at a quarter, of the deep one (scaled) and that of `quarter`."""
        ...

    def last(self, up: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
        """Scores of text and link, then features, at half, of the middle one (scaled) and that of `half`."""
        ...


class FloatParts:
    """The parts of an `easyocr.craft.CRAFT`."""

    def __init__(self, net: Any) -> None:
        self._net = net

    def half(self, images: torch.Tensor) -> torch.Tensor:
        """See `CraftParts`."""
        maps: torch.Tensor = self._net.basenet.slice1(images)
        return maps

    def quarter(self, half: torch.Tensor) -> torch.Tensor:
        """See `CraftParts`."""
        maps: torch.Tensor = self._net.basenet.slice2(half)
        return maps

    def deep(self, quarter: torch.Tensor) -> torch.Tensor:
        """See `CraftParts`."""
        base = self._net.basenet
        eighth = base.slice3(quarter)
        sixteenth = base.slice4(eighth)
        up = self._net.upconv1(_joined(base.slice5(sixteenth), sixteenth))
        maps: torch.Tensor = self._net.upconv2(_joined(scaled(up, eighth), eighth))
        return maps

    def middle(self, up: torch.Tensor, quarter: torch.Tensor) -> torch.Tensor:
        """See `CraftParts`."""
        maps: torch.Tensor = self._net.upconv3(_joined(up, quarter))
        return maps

    def last(self, up: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
        """See `CraftParts`."""
        feature = self._net.upconv4(_joined(up, half))
        return _joined(self._net.conv_cls(feature), feature)


def scaled(maps: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Maps at the size of others, bilinear, as CRAFT scales them."""
    from torch.nn import functional

    size = like.shape[2:]
    result: torch.Tensor = functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    return result


def _joined(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat([one, other], dim=1)
