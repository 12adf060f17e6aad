"""CRAFT, the detector of EasyOCR, as layers that run faster: batch norm folded into convolutions, and in int8.

The int8 network is the same network with 8-bit weights (per output channel) and 8-bit maps, whose levels are spread
over a range per layer that was measured once over drawn pictures (`craft_ranges.json`). PyTorch's quantised
convolutions do the work, with the engine oneDNN, which takes what a processor offers (AVX2, VNNI, AMX).
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from udfs.craft_parts import scaled

if TYPE_CHECKING:
    import torch

Ranges = Mapping[str, tuple[float, float]]
"""Convolution -> smallest and largest value of its output (after its ReLU, where it has one)."""

ENGINE = "onednn"
LEVELS = 255
_SLICES = ("slice1", "slice2", "slice3", "slice4", "slice5")
_UPWARDS = ("upconv1", "upconv2", "upconv3", "upconv4")
_PIXELS = ((0.0 - 0.485) / 0.229, (1.0 - 0.406) / 0.225)
"""Range of a picture as EasyOCR normalises it: black in red, white in blue."""


def folded(net: Any) -> Any:
    """A copy of a CRAFT with its batch norms folded into the convolutions before them, in channels_last.

    Args:
        net: `easyocr.craft.CRAFT` in evaluation mode; not changed.
    """
    import torch

    faster = copy.deepcopy(net)
    for part in _sequences(faster).values():
        fold_norms(part)
    return faster.to(memory_format=torch.channels_last)


def fold_norms(sequence: Any) -> None:
    """Fold each batch norm of a `Sequential` into the convolution before it, in place."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    names = list(sequence._modules)
    for name, following in itertools.pairwise(names):
        conv, norm = sequence._modules[name], sequence._modules[following]
        if isinstance(conv, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
            sequence._modules[name] = fuse_conv_bn_eval(conv, norm)
            sequence._modules[following] = torch.nn.Identity()


@dataclass(frozen=True)
class _Convolution:
    """A convolution of a folded CRAFT, and whether a ReLU follows (in the next part, for three of the slices)."""

    name: str
    module: Any
    has_relu: bool


def measure_ranges(net: Any, run: Callable[[], None]) -> dict[str, tuple[float, float]]:
    """The range of every convolution's output while `run` runs the network.

    Args:
        net: A folded CRAFT.
        run: Calls the network over the pictures.
    """
    found: dict[str, tuple[float, float]] = {}

    def watch(one: _Convolution) -> Callable[[Any, Any, torch.Tensor], None]:
        def seen(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
            low, high = float(output.min()), float(output.max())
            low = 0.0 if one.has_relu else low
            before = found.get(one.name, (low, high))
            found[one.name] = (min(before[0], low), max(before[1], high))

        return seen

    hooks = [one.module.register_forward_hook(watch(one)) for one in _convolutions(net)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


class QuantisedCraft:
    """CRAFT in int8: takes pictures in fp32 and returns scores in fp32, called as CRAFT is called.

    Args:
        net: A folded CRAFT.
        ranges: Of `measure_ranges`, over pictures of the kind that will be seen.
    """

    def __init__(self, net: Any, ranges: Ranges) -> None:
        weight_limit = weight_levels()
        with quantised_engine():
            convolutions = {
                one.name: _QuantisedConvolution(one, ranges[one.name], weight_limit)
                for one in _convolutions(net)
                if one.name != _LAST
            }
        self._parts = {name: _steps(name, part, convolutions) for name, part in _sequences(net).items()}
        self._scores = _sequences(net)["conv_cls"][-1]
        self._joins = {name: _joint(ranges, *pair) for name, pair in _JOINED.items()}

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores, shape (images, height / 2, width / 2, 2), and no features."""
        half = self.half(images)
        quarter = self.quarter(half)
        up = self.middle(scaled(self.deep(quarter), quarter), quarter)
        scores = self.last(scaled(up, half), half)
        return scores.permute(0, 2, 3, 1), scores[:, :0]

    def half(self, images: torch.Tensor) -> torch.Tensor:
        """See `CraftParts`."""
        import torch

        scale, zero = _levels(_PIXELS)
        pictures = images.contiguous(memory_format=torch.channels_last)
        return self._run("slice1", torch.quantize_per_tensor(pictures, scale, zero, torch.quint8))

    def quarter(self, half: torch.Tensor) -> torch.Tensor:
        """See `CraftParts`."""
        return self._run("slice2", half)

    def deep(self, quarter: torch.Tensor) -> torch.Tensor:
        """See `CraftParts`."""
        eighth = self._run("slice3", quarter)
        sixteenth = self._run("slice4", eighth)
        up = self._joined("upconv1", self._run("slice5", sixteenth), sixteenth)
        return self._joined("upconv2", scaled(up, eighth), eighth)

    def middle(self, up: torch.Tensor, quarter: torch.Tensor) -> torch.Tensor:
        """See `CraftParts`."""
        return self._joined("upconv3", up, quarter)

    def last(self, up: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
        """See `CraftParts`; without features."""
        maps = self._run("conv_cls", self._joined("upconv4", up, half))
        scores: torch.Tensor = self._scores(maps.dequantize())
        return scores

    def _joined(self, name: str, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        import torch

        return self._run(name, torch.ops.quantized.cat([one, other], 1, *self._joins[name]))

    def _run(self, name: str, maps: torch.Tensor) -> torch.Tensor:
        for step in self._parts[name]:
            maps = step(maps)
        return maps


class _QuantisedConvolution:
    def __init__(self, one: _Convolution, output: tuple[float, float], weight_limit: int) -> None:
        import torch

        conv = one.module
        weight = conv.weight.detach().float()
        scales = (weight.abs().amax(dim=(1, 2, 3)) / weight_limit).clamp(min=1e-12)
        packed = torch.quantize_per_channel(
            weight, scales, torch.zeros(len(scales), dtype=torch.long), 0, torch.qint8
        )
        self._packed = torch.ops.quantized.conv2d_prepack(
            packed, conv.bias.detach().float(), conv.stride, conv.padding, conv.dilation, conv.groups
        )
        self._output = _levels(output)
        self._work = torch.ops.quantized.conv2d_relu if one.has_relu else torch.ops.quantized.conv2d

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self._work(maps, self._packed, *self._output)
        return result


@contextmanager
def quantised_engine() -> Iterator[None]:
    """Pack weights for oneDNN meanwhile; the engine before is that of other models.

    Raises:
        RuntimeError: If this build of PyTorch lacks it.
    """
    import torch

    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = ENGINE
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


def has_int8() -> bool:
    """Whether this build of PyTorch has int8 convolutions with the engine that is used here."""
    import torch

    return ENGINE in torch.backends.quantized.supported_engines


def weight_levels() -> int:
    """Largest quantised weight that this processor's int8 convolution adds up rightly.

    Without VNNI, processors add products of 8 bits in 16 bits, which overflow with weights of 8 bits: then half of
    them are used. It is tried, because the environment (ONEDNN_MAX_CPU_ISA) may switch VNNI off.
    """
    import torch

    conv = torch.nn.Conv2d(64, 64, 1)
    with torch.no_grad():
        conv.weight.fill_(1.0)
        conv.bias.fill_(0.0)
        bright = torch.full((1, 64, 8, 8), 1.0).contiguous(memory_format=torch.channels_last)
        with quantised_engine():
            step = _QuantisedConvolution(_Convolution("", conv, True), (0.0, 64.0), 127)
        found = step(torch.quantize_per_tensor(bright, 1 / LEVELS, 0, torch.quint8)).dequantize()
    return 127 if float((found - 64.0).abs().max()) < 1.0 else 63


def _convolutions(net: Any) -> list[_Convolution]:
    import torch

    found = []
    for name, part in _sequences(net).items():
        modules = [(key, module) for key, module in part.named_children()]
        kinds = [module for _, module in modules if not isinstance(module, torch.nn.Identity)]
        for key, module in modules:
            if not isinstance(module, torch.nn.Conv2d):
                continue
            following = kinds[kinds.index(module) + 1 :]
            # The ReLU at the start of the next slice works in place, so what is joined later has passed it.
            has_relu = isinstance(following[0], torch.nn.ReLU) if following else name in _SLICES[:3]
            found.append(_Convolution(f"{name}.{key}", module, has_relu))
    return found


def _steps(
    name: str, part: Any, convolutions: Mapping[str, _QuantisedConvolution]
) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    import torch

    steps: list[Callable[[torch.Tensor], torch.Tensor]] = []
    for key, module in part.named_children():
        if f"{name}.{key}" in convolutions:
            steps.append(convolutions[f"{name}.{key}"])
        elif isinstance(module, torch.nn.MaxPool2d):
            steps.append(module)
    return steps


def _sequences(net: Any) -> dict[str, Any]:
    base = {name: getattr(net.basenet, name) for name in _SLICES}
    return {**base, **{name: getattr(net, name).conv for name in _UPWARDS}, "conv_cls": net.conv_cls}


_LAST = "conv_cls.8"
# What each upward part joins: the convolutions whose outputs (scaled or not) these are.
_JOINED = {
    "upconv1": ("slice5.2", "slice4.37"),
    "upconv2": ("upconv1.3", "slice3.27"),
    "upconv3": ("upconv2.3", "slice2.17"),
    "upconv4": ("upconv3.3", "slice1.10"),
}


def _joint(ranges: Ranges, one: str, other: str) -> tuple[float, int]:
    low, high = min(ranges[one][0], ranges[other][0]), max(ranges[one][1], ranges[other][1])
    return _levels((low, high))


def _levels(limits: tuple[float, float]) -> tuple[float, int]:
    """Scale and zero point of 8 bits over a range that holds 0."""
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    scale = max(high - low, 1e-6) / LEVELS
    return scale, round(-low / scale)
