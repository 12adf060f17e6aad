"""The steps of a training as lines of a file: written by its first process, read by whoever shows them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        step: Number, from 1.
        loss: Mean over all processes.
        lr: Learning rate.
        logit_scale: The model's, after the step.
        seconds: Wall time.
        waited: Of these, waiting for pairs; mean over all processes.
        samples: Pairs, of all processes.
    """

    step: int
    loss: float
    lr: float
    logit_scale: float
    seconds: float
    waited: float
    samples: int


def write_steps(path: Path, steps: Iterable[Step]) -> None:
    """Append steps."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(step)) + "\n" for step in steps)


def read_steps(path: Path) -> list[Step]:
    """All steps that are written whole."""
    return list(_parsed(path.read_text(encoding="utf-8"))) if path.is_file() else []


class StepTail:
    """Reads the steps of a training that runs, each line once.

    Args:
        path: The file; it may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._steps: list[Step] = []

    def read(self) -> list[Step]:
        """All steps so far; from the beginning where a training that resumes has cut the file."""
        if not self._path.is_file():
            return []
        if self._path.stat().st_size < self._place:
            self._place, self._steps = 0, []
        with self._path.open("rb") as file:
            file.seek(self._place)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._place += len(whole)
        self._steps += _parsed(whole.decode("utf-8"))
        return self._steps


def cut_steps(path: Path, last: int) -> list[Step]:
    """Forget the steps behind the checkpoint that a training resumes from; returns those that stay."""
    kept = [step for step in read_steps(path) if step.step <= last]
    path.write_text("".join(json.dumps(asdict(step)) + "\n" for step in kept), encoding="utf-8")
    return kept


@dataclass(frozen=True)
class Pace:
    """How a run of steps went.

    Attributes:
        loss: Mean loss.
        samples_per_second: Pairs by wall time.
        data_wait_share: Share of the wall time spent waiting for pairs.
    """

    loss: float
    samples_per_second: float
    data_wait_share: float


def pace_of(steps: Sequence[Step]) -> Pace:
    """How these steps went; at least one."""
    seconds = sum(step.seconds for step in steps)
    return Pace(
        loss=sum(step.loss for step in steps) / len(steps),
        samples_per_second=sum(step.samples for step in steps) / seconds,
        data_wait_share=sum(step.waited for step in steps) / seconds,
    )


def seconds_left(steps: Sequence[Step], total: int) -> float:
    """Seconds that the rest of a training takes at the pace of these steps."""
    return (total - steps[-1].step) * sum(step.seconds for step in steps) / len(steps)


def _parsed(text: str) -> Iterator[Step]:
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):  # the last one may be in the making
            yield Step(**json.loads(line))
