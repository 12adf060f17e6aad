"""Everything that can be measured of one CLIP model without a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spark_jobs.evaluation import attack, benchmark, words
from spark_jobs.evaluation.measures import Measure
from spark_jobs.evaluation.tasks import CLASSIFICATION, Task, report_missing, summary
from udfs.clip_model import ClipModel
from udfs.weights import sha256_of


@dataclass(frozen=True)
class Suite:
    """What is measured.

    Attributes:
        tasks: Task folders.
        words: Words for Sync score and word retrieval; empty for none.
        has_attack: Whether wrong class names are written on the images of each classification.
        seed: Of the attack.
        batch_size: Images per forward pass.
    """

    tasks: tuple[Task, ...]
    words: tuple[str, ...]
    has_attack: bool
    seed: int
    batch_size: int

    def contents(self) -> dict[str, object]:
        """What decides the numbers, beside the model; files by their SHA-256."""
        return {
            "tasks": {task.name: _contents(task.path) for task in self.tasks},
            "words": list(self.words),
            "attack": self.has_attack and self.seed,
        }


def evaluate(
    model: ClipModel, suite: Suite, *, say: Callable[[str], None]
) -> tuple[list[Measure], list[str]]:
    """Measure a model.

    Args:
        model: The model.
        suite: What to measure.
        say: Is told what is being measured.

    Returns:
        The numbers, and sentences that a reader must know.

    Raises:
        ConfigError: If a task needs clip_benchmark and it is not installed.
    """
    found: list[Measure] = []
    notes: list[str] = []
    for task in suite.tasks:
        say(task.name)
        found += benchmark.measure(model, task, batch_size=suite.batch_size)
        if suite.has_attack and task.kind == CLASSIFICATION and len(task.classes) > 1:
            found += attack.measure(model, task, batch_size=suite.batch_size, seed=suite.seed)
    if suite.tasks:
        columns, missing = summary(found)
        found += columns
        notes.append(report_missing(missing))
    if suite.words:
        say(words.TASK)
        found += words.measure(model, suite.words, batch_size=suite.batch_size)
    return found, notes


def _contents(folder: Path) -> dict[str, str]:
    files: Sequence[Path] = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
