"""LAION's aesthetic heads on CLIP image vectors: from a local file to one affine map. Pure functions on numpy.

- *linear* (LAION-AI/aesthetic-predictor, `sa_0_4_vit_b_32_linear.pth`, `sa_0_4_vit_l_14_linear.pth`): one layer.
- *improved* (christophschuhmann/improved-aesthetic-predictor, `sac+logos+ava1-l14-linearMSE.pth`): five layers
  768-1024-128-64-16-1 with dropout and no activations, so that at inference it is an affine map too.

Both take L2-normalised image vectors of OpenAI's CLIP and predict a rating of about 1 to 10.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udfs.weights import WeightFile, WeightsError, described, first_line

_LINEAR = {512: "ViT-B-32", 768: "ViT-L-14"}
_LAYERS = {
    "layers.0": (1024, 768),
    "layers.2": (128, 1024),
    "layers.4": (64, 128),
    "layers.6": (16, 64),
    "layers.7": (1, 16),
}
_IMPROVED = {
    name: shape
    for layer, (rows, columns) in _LAYERS.items()
    for name, shape in ((f"{layer}.weight", (rows, columns)), (f"{layer}.bias", (rows,)))
}
_EXPECTED = (
    "a state dict of LAION's linear head (weight (1, 512) or (1, 768), bias (1,)) or of the improved predictor "
    "(layers.0, 2, 4, 6, 7 with weights (1024, 768), (128, 1024), (64, 128), (16, 64), (1, 16) and their biases)"
)


@dataclass(frozen=True)
class AestheticHead:
    """A head as one affine map: score = vector . weight + bias.

    Attributes:
        file: Where it came from, with its SHA-256.
        architecture: open_clip's name of OpenAI's model that it was trained for.
        weight: Shape (width,), float64.
        bias: The offset.
    """

    file: WeightFile
    architecture: str
    weight: NDArray[np.float64]
    bias: float

    @property
    def width(self) -> int:
        """Dimensions of the vectors that it takes: 512 or 768."""
        return len(self.weight)


def load_head(path: str | Path) -> AestheticHead:
    """Read a head from a file; nothing in the file is executed (`weights_only`).

    Raises:
        MissingWeightsError: If there is no such file.
        WeightsError: If it is not a checkpoint, or not of a known head; says what was expected and found.
    """
    import torch

    file = described(path)
    try:
        state = torch.load(file.path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError, KeyError) as error:
        raise WeightsError(
            f"{file.path} cannot be read as a checkpoint of plain tensors ({first_line(error)}). "
            f"Expected {_EXPECTED}."
        ) from error
    layers = _checked(state, file.path)
    weight, bias = _affine(layers)
    if not (np.isfinite(weight).all() and np.isfinite(bias)):
        raise WeightsError(f"{file.path} holds numbers that are not finite: it may be damaged.")
    return AestheticHead(file, _LINEAR[len(weight)], weight, bias)


def scores(vectors: NDArray[np.float32], head: AestheticHead) -> NDArray[np.float32]:
    """Aesthetic scores of image vectors; a row's score depends on that row alone.

    Args:
        vectors: L2-normalised image vectors of the model that the head is for, shape (rows, width).
        head: The head.

    Returns:
        Shape (rows,), float32, about 1 to 10, not clipped, rounded to five decimals.

    Raises:
        ValueError: If the vectors are not as wide as the head's.
    """
    if vectors.ndim != 2 or vectors.shape[1] != head.width:
        raise ValueError(f"the head takes vectors of {head.width}, found shape {vectors.shape}")
    # Not a matrix product: its last digits depend on how many rows there are.
    products = (vectors.astype(np.float64) * head.weight).sum(axis=1)
    return np.asarray(np.round(products + head.bias, 5), dtype=np.float32)


def _checked(state: Any, path: Path) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Weight and bias by layer, in double precision."""
    shapes = (
        {str(name): tuple(getattr(value, "shape", ("no tensor",))) for name, value in state.items()}
        if isinstance(state, Mapping)
        else {}
    )
    if shapes in ({"weight": (1, width), "bias": (1,)} for width in _LINEAR):
        prefixes = [""]
    elif shapes == _IMPROVED:
        prefixes = [f"{layer}." for layer in _LAYERS]
    else:
        found = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:12])
        raise WeightsError(
            f"{path} is no aesthetic head: expected {_EXPECTED}; found {found or type(state).__name__}."
        )
    return [
        (state[f"{prefix}weight"].double().numpy(), state[f"{prefix}bias"].double().numpy())
        for prefix in prefixes
    ]


def _affine(
    layers: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], float]:
    """The composition of the layers."""
    weight, bias = layers[0]
    for next_weight, next_bias in layers[1:]:
        weight, bias = next_weight @ weight, next_weight @ bias + next_bias
    return weight[0], float(bias[0])
