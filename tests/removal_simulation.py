"""A population with a planted effect of co-emb text, scored by a rule in place of a model.

Every image has text at its top and bottom, as memes do. Concurrent images (some 60 %) repeat some of it in the caption.
The rule: a base of its own, more for concurrent images; what of the co-emb lines can be seen adds `EFFECT`, what of the
other lines can be seen adds a little; filling in costs by the share of pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from udfs.geometry import to_points
from udfs.inpainting import InpaintParams, regions_of
from udfs.text_removal import variant_polygons

EFFECT = 0.030
_OTHER_TEXT = 0.005
_COST = 0.08
WIDTH, HEIGHT = 240, 180
_ROWS = (0.0, 0.1, 0.2, 0.7, 0.8, 0.9)  # where lines begin, by height


@dataclass(frozen=True)
class Sample:
    """An image with text: its lines, which of them are co-emb, and the score that it has without any text."""

    name: str
    lines: tuple[Any, ...]
    co_emb: tuple[Any, ...]
    base: float

    @property
    def text(self) -> dict[str, Any]:
        """As the stage passes it."""
        return {
            "all_emb": [to_points(line) for line in self.lines],
            "co_emb": [to_points(line) for line in self.co_emb],
        }


def population(count: int, *, seed: int) -> list[Sample]:
    """Draw samples, in an order that says nothing of them."""
    draw = np.random.default_rng(seed)
    found = []
    for number in range(count):
        rows = draw.permutation(_ROWS)[: int(draw.integers(2, 5))]
        lines = [_line(draw, row) for row in rows]
        co_emb = lines[: int(draw.integers(1, len(lines)))] if draw.random() < 0.6 else []
        base = 0.24 + draw.normal(0, 0.02) + (0.02 if co_emb else 0)
        found.append(Sample(f"{number:05d}", tuple(lines), tuple(co_emb), float(base)))
    return found


def _line(draw: np.random.Generator, row: float) -> Any:
    left = draw.uniform(0, 0.5) * WIDTH
    right = left + draw.uniform(0.2, 0.5) * WIDTH
    top, bottom = row * HEIGHT, (row + 0.07) * HEIGHT
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def score(sample: Sample, polygons: Any) -> float:
    """The rule's score of an image with the polygons filled in."""
    filled = _mask(polygons)
    others = sample.lines[len(sample.co_emb) :]
    text = EFFECT * _seen(sample.co_emb, filled) + _OTHER_TEXT * _seen(others, filled)
    return float(sample.base + text - _COST * filled.mean())


def _seen(lines: Any, filled: Any) -> float:
    """Share of lines that can be seen, 0 without lines."""
    mask = _mask(lines)
    return float((mask & ~filled).sum() / mask.sum()) if mask.any() else 0.0


def _mask(polygons: Any) -> Any:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for region in regions_of(list(polygons), width=WIDTH, height=HEIGHT, params=InpaintParams()):
        mask[region.place] |= region.mask > 0
    return mask


def scores_of(sample: Sample, row: dict[str, Any]) -> dict[str, float]:
    """Score of each variant that the stage makes of a sample's row."""
    found = variant_polygons(row, width=WIDTH, height=HEIGHT)
    return {"raw": score(sample, [])} | {name: score(sample, part) for name, part in found.items() if part}


def donor_of(sample: Sample, polygons: Any) -> dict[str, Any]:
    """A sample as the stage passes a donor."""
    return {
        "sample_id": sample.name,
        "polygons": [to_points(line) for line in polygons],
        "width": WIDTH,
        "height": HEIGHT,
    }


def simulated(samples: list[Sample]) -> list[float]:
    """S(random Co-Emb. removal) - S(Co-Emb. removal) of each concurrent sample; donors in a ring."""
    concurrent = [sample for sample in samples if sample.co_emb]
    found = []
    for sample, donor in zip(concurrent, concurrent[1:] + concurrent[:1], strict=True):
        scores = scores_of(sample, {"text": sample.text, "co_donor": donor_of(donor, donor.co_emb)})
        found.append(scores["random_co_removed"] - scores["co_removed"])
    return found


def before(samples: list[Sample]) -> float:
    """The comparison that this one replaces: every image with text, polygons where the donor has them."""
    random = [
        score(sample, donor.co_emb)
        for sample, donor in zip(samples, samples[1:] + samples[:1], strict=True)
        if donor.co_emb
    ]
    removed = [score(sample, sample.co_emb) for sample in samples if sample.co_emb]
    return float(np.mean(random) - np.mean(removed))


def estimate(differences: list[float]) -> tuple[float, float, float]:
    """Mean and its 95 % interval."""
    mean, error = np.mean(differences), np.std(differences, ddof=1) / math.sqrt(len(differences))
    return float(mean), float(mean - 1.96 * error), float(mean + 1.96 * error)
