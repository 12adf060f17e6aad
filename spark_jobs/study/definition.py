"""What a study is: its YAML file, and the cells that follow from it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from spark_jobs.errors import ConfigError
from spark_jobs.sections import Section

_OWN_OF_TRAINING = {"export", "model", "seed", "output"}


class Study(Section):
    """A study: every subset with every model and seed.

    All subsets have one size and every training one budget, so that only what the pairs are differs.
    """

    study: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,60}$", description="Name; in the tags of its MLflow runs"
    )
    subsets: tuple[str, ...] = Field(min_length=1, description="Subsets, as `parrot curate` knows them")
    size: int | None = Field(None, ge=1, description="Members of each; null: what the definitions say")
    draw_seed: int = Field(0, ge=0, description="Seed of the draws")
    models: tuple[str, ...] = Field(min_length=1, description="open_clip architectures")
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, description="Seeds of the trainings")
    baseline: str | None = Field(
        None, description="Subset that the others are compared with; null: the first"
    )
    format: str = Field("parquet", pattern="^(parquet|webdataset)$", description="Format of the exports")
    train: Mapping[str, Any] = Field(default_factory=dict, description="Settings of train_clip for all cells")
    evaluate: Mapping[str, Any] = Field(default_factory=dict, description="Settings of evaluate_clip")
    relative_on: str | None = Field(
        None,
        min_length=1,
        description="Dataset whose text is removed for RSA, RSC and Fig. 9 (stages up to overlap done); "
        "null: the study's own",
    )

    @model_validator(mode="after")
    def _fits(self) -> Study:
        for name in ("subsets", "models", "seeds"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names one twice")
        if self.baseline is not None and self.baseline not in self.subsets:
            raise ValueError(f"baseline {self.baseline} is none of the subsets")
        taken = sorted(_OWN_OF_TRAINING & set(self.train))
        if taken:
            raise ValueError(f"train: {', '.join(taken)} follow from the study itself")
        return self

    @property
    def compared_with(self) -> str:
        """The baseline."""
        return self.baseline or self.subsets[0]

    def cells(self) -> list[Cell]:
        """All cells, those of a seed together: a study that is stopped has whole seeds."""
        return [
            Cell(subset, model, seed)
            for seed, model, subset in itertools.product(self.seeds, self.models, self.subsets)
        ]


@dataclass(frozen=True)
class Cell:
    """One training of a study.

    Attributes:
        subset: As the study names it.
        model: open_clip architecture.
        seed: Of the training.
    """

    subset: str
    model: str
    seed: int


def read_study(path: Path) -> Study:
    """Read a study's file.

    Raises:
        ConfigError: With all its faults.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no study at {path}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, one['loc'])) or 'study'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        ]
        raise ConfigError(f"{path} has {len(faults)} fault(s):\n  - " + "\n  - ".join(faults)) from error
