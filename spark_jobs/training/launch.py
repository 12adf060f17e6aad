"""Prepare a training, start its processes and follow them; what stops them ends as one clear error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spark_jobs.errors import ConfigError, ExportError, ModelError, ParrotError, StageError
from spark_jobs.training.checkpoints import last_step
from spark_jobs.training.export_folder import Inventory, TrainingExport, inventory_of, open_export
from spark_jobs.training.job import STEPS, Job, Result
from spark_jobs.training.progress import Step, StepTail
from spark_jobs.training.recipe import Recipe, recipe_of
from spark_jobs.training.worker import ENVIRONMENT, FAULT
from spark_jobs.warehouse.digest import digest
from udfs.clip_embedding import resolve
from udfs.clip_model import ClipFactory, is_torchscript
from udfs.weights import WeightsError

if TYPE_CHECKING:
    from spark_jobs.training.config import TrainClipConfig

Start = Callable[[Job, Path], None]
"""Runs all processes of a job to their end; raises what their output says if one of them fails."""
Follow = Callable[[list[Step]], None]
_POLL_SECONDS = 1.0
_TAIL_LINES = 40
_FAILURE = re.compile(r"rank\s*:\s*(\d+).*?exitcode\s*:\s*(-?\d+)", re.DOTALL)
_ENDED_BY_TORCHRUN = "-15"


@dataclass(frozen=True)
class Prepared:
    """A training that can start.

    Attributes:
        job: The job.
        folder: The run's folder.
        export: The export.
        inventory: What of it can be trained on.
    """

    job: Job
    folder: Path
    export: TrainingExport
    inventory: Inventory


def prepare(section: TrainClipConfig, *, output: Path, cache: Path) -> Prepared:
    """Check everything that would stop a training later, and write its job.

    Args:
        section: Section `train_clip`.
        output: Folder in which the run gets a folder of its own.
        cache: Folder where random weights are kept.

    Raises:
        ConfigError: If no export is named, or the batch cannot be cut.
        ExportError: If the export does not verify, or holds fewer pairs than a batch.
        ModelError: If the model does not exist, or the weights are missing, another model's, or not tensors alone.
    """
    if section.export is None:
        raise ConfigError("train_clip: name the export to train on: --set train_clip.export=FOLDER")
    export, feed = open_export(section.export, section.feed)
    recipe = recipe_of(section, feed=feed)
    factory = _factory(section, recipe, cache)
    weights = factory.weights
    inventory = inventory_of(export, output, threads=section.decode_threads)
    _check_size(inventory, recipe, section)
    decides = {
        "recipe": recipe.digest,
        "weights": weights.sha256,
        "content": export.content_hash,
        "files": export.digest,
    }
    run_key = digest(decides)
    folder = output / run_key
    job = Job(
        run_key=run_key,
        decides=decides,
        recipe=recipe,
        architecture=factory.config,
        export=export.root,
        inventory=str((output / f"inventory-{export.digest}.json").absolute()),
        weights=str(weights.path),
        weights_sha256=weights.sha256,
        trained=factory.trained,
        processes=section.processes,
        threads=section.threads,
        decode_threads=section.decode_threads,
        checkpoint_steps=section.checkpoint_steps,
    )
    job.write(folder)
    return Prepared(job, folder, export, inventory)


def run(prepared: Prepared, start: Start, follow: Follow) -> Result:
    """Train to the end, or go on where an earlier start was stopped; nothing is done where all is done.

    Args:
        prepared: What to train.
        start: Runs the processes.
        follow: Is given the steps so far, once a second.

    Raises:
        StageError: If a process fails or is killed; names it and what it said.
    """
    folder = prepared.folder
    done = Result.read(folder)
    if done is not None:
        return done
    for old in folder.glob(FAULT.format(rank="*")):
        old.unlink()
    running = _Running(start, prepared.job, folder)
    running.thread.start()
    tail = StepTail(folder / STEPS)
    while running.thread.is_alive():
        running.thread.join(_POLL_SECONDS)
        follow(tail.read())
    follow(tail.read())
    if running.fault is not None:
        raise StageError(_told(running.fault, folder, prepared.job)) from running.fault
    result = Result.read(folder)
    if result is None:
        raise StageError(f"train_clip: the processes ended without a result in {folder}")
    return result


def start_processes(python: str | None = None) -> Start:
    """Start the processes without Spark: one alone, several by torchrun.

    Args:
        python: Interpreter; None for this one.
    """

    def start(job: Job, folder: Path) -> None:
        alone = [python or sys.executable, "-m"]
        several = [*alone, "torch.distributed.run", "--standalone", f"--nproc-per-node={job.processes}", "-m"]
        command = [*(alone if job.processes == 1 else several), "spark_jobs.training.worker", str(folder)]
        # Another interpreter finds this package where this one does.
        paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        environment = {**ENVIRONMENT, **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                tail = deque(process.stdout or (), maxlen=_TAIL_LINES)
                code = process.wait()
            finally:
                process.kill()
        if code:
            raise RuntimeError(f"exitcode : {code}\n" + "".join(tail))

    return start


@dataclass
class _Running:
    start: Start
    job: Job
    folder: Path
    fault: Exception | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.start(self.job, self.folder)
        except Exception as error:  # noqa: BLE001 - it is raised by whoever waits for the thread
            self.fault = error


def _factory(section: TrainClipConfig, recipe: Recipe, cache: Path) -> ClipFactory:
    if section.init is not None and section.init.is_file() and is_torchscript(section.init):
        raise ModelError(
            f"train_clip.init: {section.init} is a TorchScript archive, which holds code: save its "
            "weights as safetensors first"
        )
    try:
        factory = resolve(
            recipe.model, str(section.init) if section.init else None, cache_dir=cache, seed=recipe.seed
        )
        if section.init is not None:
            factory.network("cpu")  # another model's weights show here, not after the processes have started
    except WeightsError as error:
        raise ModelError(f"train_clip: {error}") from error
    return factory


def _check_size(inventory: Inventory, recipe: Recipe, section: TrainClipConfig) -> None:
    skipped = (
        ", ".join(f"{count:,} {reason}" for reason, count in sorted(inventory.skipped.items())) or "none"
    )
    if inventory.usable < section.processes:
        raise ExportError(
            f"train_clip: {inventory.usable:,} pairs leave one of {section.processes} processes without data (skipped: "
            f"{skipped}): set train_clip.processes lower"
        )
    if inventory.usable < recipe.batch_size:
        raise ExportError(
            f"train_clip: the export {section.export} has {inventory.usable:,} pairs to train on (skipped: {skipped}), "
            f"fewer than a batch of {recipe.batch_size:,}: set train_clip.batch_size lower, or export more"
        )


def _told(error: Exception, folder: Path, job: Job) -> str:
    """Which process ended, what it said, and what comes next."""
    if isinstance(error, ParrotError):
        return str(error)
    text = _all_said(error)
    rank, exit_code = _first_to_end(text)
    fault = folder / FAULT.format(rank=rank)
    if fault.is_file():
        said = fault.read_text(encoding="utf-8")
    elif int(exit_code) < 0:
        said = f"killed by signal {-int(exit_code)}" + (" (out of memory?)" if exit_code == "-9" else "")
    else:
        said = f"exit code {exit_code}: " + (text.strip().splitlines() or [""])[-1][:500]
    kept = last_step(folder)
    return (
        f"train_clip: process {rank} of {job.processes} ended: {said}\n"
        f"The same command goes on behind step {kept:,} of {job.recipe.steps:,} ({folder})"
    )


def _first_to_end(text: str) -> tuple[str, str]:
    """Rank and exit code of the process because of which the others ended, from what torchrun says.

    Its summary ends with the failure that it observed first. A process that was killed goes before: the others fail
    because their connection to it is gone, and may be observed sooner.
    """
    failures: list[tuple[str, str]] = _FAILURE.findall(
        text[text.rfind("Failures:") :] if "Root Cause" in text else ""
    )
    killed = [one for one in failures if one[1].startswith("-") and one[1] != _ENDED_BY_TORCHRUN]
    if killed:
        return killed[0]
    causes: list[tuple[str, str]] = _FAILURE.findall(
        text[text.rfind("Root Cause") :] if "Root Cause" in text else ""
    )
    code = re.search(r"exitcode : (-?\d+)", text)
    return causes[0] if causes else ("0", code.group(1) if code else "1")


def _all_said(error: BaseException) -> str:
    """What an error says, and before it what those say that it came from: TorchDistributor's own says nothing."""
    before = error.__cause__ or error.__context__
    return f"{_all_said(before)}\n{error}" if before is not None else str(error)
