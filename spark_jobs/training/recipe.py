"""Recipes: everything that decides what a training gives, with the presets filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from spark_jobs.errors import ConfigError
from spark_jobs.warehouse.digest import digest

if TYPE_CHECKING:
    from spark_jobs.training.config import TrainClipConfig

_PAPER = {"lr": 5e-4, "warmup_steps": 500, "weight_decay": 0.2, "model": "RN50"}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "small": {
        "model": "parrot-tiny",
        "samples_seen": 100_000,
        "batch_size": 256,
        "lr": 1e-3,
        "warmup_steps": 50,
        "weight_decay": 0.1,
    },
    "parrot-small": {
        "model": "parrot-small",
        "samples_seen": 460_800,
        "batch_size": 128,
        "lr": 1e-3,
        "warmup_steps": 50,
        "weight_decay": 0.1,
    },
    "paper-3m": {**_PAPER, "samples_seen": 32 * 3_000_000, "batch_size": 4096},
    "paper-12m": {**_PAPER, "samples_seen": 32 * 12_000_000, "batch_size": 8192},
}


@dataclass(frozen=True)
class Recipe:
    """What decides a trained model, apart from its data and the weights that it starts from.

    Attributes:
        model: open_clip's name of the architecture.
        seed: Of weights, order and crops.
        feed: Feed that orders the samples.
        samples_seen: Pairs in all.
        batch_size: Pairs per step, over all processes.
        lr: Highest learning rate.
        warmup_steps: Steps of linear warm-up; then a cosine to 0.
        weight_decay: AdamW's.
        beta1: AdamW's.
        beta2: AdamW's.
        eps: AdamW's.
        clip_norm: Largest norm of the gradient; None for any.
        smallest_crop: Smallest share of an image's area that a crop shows.
        precision: auto, fp32, bf16 or fp16.
        shuffle_buffer: Samples that are shuffled together.
        checkpoint_activations: Whether activations are computed again.
        accumulate: Parts that a process's share of a batch is computed in.
    """

    model: str
    seed: int
    feed: str
    samples_seen: int
    batch_size: int
    lr: float
    warmup_steps: int
    weight_decay: float
    beta1: float
    beta2: float
    eps: float
    clip_norm: float | None
    smallest_crop: float
    precision: str
    shuffle_buffer: int
    checkpoint_activations: bool
    accumulate: int

    @property
    def steps(self) -> int:
        """Optimiser steps: the last one brings the samples seen to what was asked for, or just above."""
        return -(-self.samples_seen // self.batch_size)

    @property
    def digest(self) -> str:
        """Hash of all of it."""
        return digest(asdict(self))


def recipe_of(section: TrainClipConfig, *, feed: str) -> Recipe:
    """The recipe that a configuration asks for.

    Args:
        section: The configuration.
        feed: The feed, where the section says `auto`.

    Raises:
        ConfigError: If a preset's batch cannot be cut into as many parts as asked for.
    """
    preset = PRESETS[section.preset]
    values = {
        name: preset[name] if name in preset and getattr(section, name) is None else getattr(section, name)
        for name in Recipe.__dataclass_fields__
    }
    recipe = Recipe(**{**values, "feed": feed})
    parts = section.processes * section.accumulate
    if recipe.batch_size % parts:
        raise ConfigError(
            f"train_clip: a batch of {recipe.batch_size:,} (preset {section.preset}) cannot be cut into "
            f"{section.processes} processes x {section.accumulate} parts: set train_clip.batch_size to a multiple "
            f"of {parts}"
        )
    return recipe
