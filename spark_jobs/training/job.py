"""A training as its processes are told it: one file in the run's folder, and the names of the others there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spark_jobs.training.recipe import Recipe

JOB, STEPS, RESULT = "job.json", "steps.jsonl", "result.json"


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        run_key: Hash of recipe, weights and content of the subset.
        decides: What it is the hash of.
        recipe: The recipe.
        architecture: open_clip's configuration of the model, as the driver has it.
        export: Folder of the export.
        inventory: File of its inventory.
        weights: Checkpoint that the training starts from.
        weights_sha256: Its SHA-256.
        trained: Activation and image preprocessing that the weights go with (`ClipFactory.trained`).
        processes: Number of processes.
        threads: Threads per process; None: cores by processes.
        decode_threads: Threads per process that decode images.
        checkpoint_steps: Steps between checkpoints.
    """

    run_key: str
    decides: Mapping[str, str]
    recipe: Recipe
    architecture: Mapping[str, Any]
    export: str
    inventory: str
    weights: str
    weights_sha256: str
    trained: Mapping[str, Any]
    processes: int
    threads: int | None
    decode_threads: int
    checkpoint_steps: int

    @property
    def checkpoint(self) -> str:
        """Name of the trained model's file: unlike any other's, since models are told apart by it."""
        return f"{self.run_key}.safetensors"

    def write(self, folder: Path) -> None:
        """Put the job into a run's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        put_whole(
            folder / JOB, lambda path: path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        )

    @classmethod
    def read(cls, folder: Path) -> Job:
        """The job of a run's folder."""
        values: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
        return cls(**{**values, "recipe": Recipe(**values["recipe"])})


@dataclass(frozen=True)
class Result:
    """What a finished training left.

    Attributes:
        sha256: Of the model's file.
        steps: Steps done.
        samples_seen: Pairs seen.
        loss: Mean loss of the last steps (a twentieth of all).
        seconds: Time of all steps, those before a stop included.
        samples_per_second: Pairs by that time.
        data_wait_share: Share of it spent waiting for pairs.
        skipped: Samples that could not be trained on, by reason.
        samples_per_epoch: Samples that could.
    """

    sha256: str
    steps: int
    samples_seen: int
    loss: float
    seconds: float
    samples_per_second: float
    data_wait_share: float
    skipped: Mapping[str, int]
    samples_per_epoch: int

    def write(self, folder: Path) -> None:
        """Declare the training finished."""
        put_whole(
            folder / RESULT,
            lambda path: path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8"),
        )

    @classmethod
    def read(cls, folder: Path) -> Result | None:
        """The result in a run's folder; None where the training has not finished."""
        file = folder / RESULT
        return cls(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def put_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make or replace a file; at every moment it is there whole, as it was or as it becomes."""
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
