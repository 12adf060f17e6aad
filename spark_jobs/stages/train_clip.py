"""Stage `train_clip`: a CLIP model trained on an export, by processes that know neither Spark nor tables.

Where there is a Spark session its TorchDistributor starts them: on this machine where Spark is local, else on the
cluster, one task per process; `train_clip.python` starts them without Spark, in another environment.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas import training_runs
from spark_jobs import tracking
from spark_jobs.dataset_input import DatasetInput
from spark_jobs.errors import ConfigError
from spark_jobs.runner.progress import console, duration
from spark_jobs.runner.stage import Situation, StageContract, check_dataset, plan_whole
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.whole_tables import Making, TableWork, run_whole
from spark_jobs.session import is_local
from spark_jobs.training.job import STEPS, Job, Result
from spark_jobs.training.launch import Prepared, Start, prepare, start_processes
from spark_jobs.training.launch import run as run_training
from spark_jobs.training.progress import Step, pace_of, seconds_left
from spark_jobs.warehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig
    from spark_jobs.training.config import TrainClipConfig

TABLE = training_runs.TABLE
_SAY_SECONDS = 15.0
_OUTPUT_KEPT = 20_000  # characters


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Train the model that the configuration asks for, or go on with it; nothing is done where it is finished.

    Raises:
        ParrotError: If the training cannot start, or one of its processes ends.
    """
    started = time.monotonic()
    prepared = _prepare(config)
    report = StageReport(stage="train_clip", dataset=config.dataset_name)
    tables = Tables(spark, config.warehouse)
    work = _work(
        tables, prepared, _start(spark, config.train_clip), register_as=config.train_clip.register_as
    )
    if not run_whole(tables, config.runner, (work,), report=report)[0]:
        report.notes.append(f"up to date: {_checkpoint(prepared)}")
    report.seconds = time.monotonic() - started
    return report


def _work(tables: Tables, prepared: Prepared, start: Start, *, register_as: str | None) -> TableWork:
    job = prepared.job

    def compute(making: Making) -> None:
        _track_input(prepared)
        result = run_training(prepared, start, _Follower(job))
        keys = {"dataset": making.dataset, "run_key": making.run_key, "input_key": making.input_key}
        row = {**keys, **_row(prepared, result)}
        where = {"dataset": making.dataset, "training": job.run_key}
        making.write(TABLE, making.tables.rows(TABLE, [row]), where=where)
        _tell(making.report, prepared, result, register_as=register_as)

    return TableWork(
        stage="train_clip",
        outputs=(TABLE,),
        reads={},
        params={"recipe": asdict(job.recipe), "subset": prepared.export.manifest.identity["subset_id"]},
        decides=job.decides,
        also=job.run_key,
        is_done=lambda _, input_key: _is_stored(tables, prepared, input_key),
        lock=job.run_key,
        compute=compute,
    )


def _is_stored(tables: Tables, prepared: Prepared, input_key: str) -> bool:
    """Whether the training's row is there, and the checkpoint that it names."""
    if not tables.exists(TABLE) or Result.read(prepared.folder) is None:
        return False
    rows = tables.read(TABLE, dataset=prepared.export.manifest.identity["dataset"])
    found = rows.where((rows["training"] == prepared.job.run_key) & (rows["input_key"] == input_key))
    return any(Path(row["checkpoint"]).is_file() for row in found.select("checkpoint").collect())


def _row(prepared: Prepared, result: Result) -> dict[str, Any]:
    job, identity = prepared.job, prepared.export.manifest.identity
    return {
        "training": job.run_key,
        "subset_id": identity["subset_id"],
        "content_hash": prepared.export.content_hash,
        "model": job.recipe.model,
        "seed": job.recipe.seed,
        "recipe": json.dumps(asdict(job.recipe), sort_keys=True),
        "first_weights": job.weights_sha256,
        "checkpoint": _checkpoint(prepared),
        "checkpoint_sha256": result.sha256,
        "steps": result.steps,
        "samples_seen": result.samples_seen,
        "samples_per_epoch": result.samples_per_epoch,
        "left_out": dict(result.skipped),
        "loss": result.loss,
        "seconds": result.seconds,
        "samples_per_second": result.samples_per_second,
        "data_wait_share": result.data_wait_share,
        "mlflow_run": tracking.current_run_id(),
    }


def _checkpoint(prepared: Prepared) -> str:
    return str((prepared.folder / prepared.job.checkpoint).absolute())


def _tell(report: StageReport, prepared: Prepared, result: Result, *, register_as: str | None) -> None:
    report.results |= {
        "final loss": result.loss,
        "samples per second": result.samples_per_second,
        "data wait share": result.data_wait_share,
    }
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in sorted(result.skipped.items()))
    report.notes.append(
        f"{result.steps:,} steps, {result.samples_seen:,} pairs ({result.samples_per_epoch:,} per epoch), "
        f"loss {result.loss:.3f}, {result.samples_per_second:,.0f} pairs/s, "
        f"{result.data_wait_share:.0%} of the time waiting for them"
        + (f"; left out: {left_out}" if left_out else "")
    )
    report.notes.append(f"model: {prepared.job.recipe.model}/{_checkpoint(prepared)}")
    report.artifacts.append(str(prepared.folder / STEPS))
    tracking.checkpoint(
        _checkpoint(prepared), architecture=prepared.job.recipe.model, register_as=register_as
    )


def _track_input(prepared: Prepared) -> None:
    identity = prepared.export.manifest.identity
    tracking.params({f"recipe {name}": value for name, value in asdict(prepared.job.recipe).items()})
    recipe = prepared.job.recipe
    subset = identity["subset_id"]
    name = f"train_clip {subset} {recipe.model} seed {recipe.seed}"  # by which trainings are told apart
    tracking.tags({"subset": subset, "model": recipe.model, "seed": recipe.seed, "mlflow.runName": name})
    tracking.dataset_input(
        DatasetInput(
            name=f"{identity['dataset']}.{identity['subset_id']}",
            location=prepared.export.root,
            version=None,
            digest=prepared.export.content_hash[:36],
            columns=("sample_id", "caption"),
            rows=prepared.inventory.usable,
            tags={"format": prepared.export.format, "members": prepared.export.manifest.members},
        )
    )


class _Follower:
    """Shows and tracks the steps of a training while it runs."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._seen = 0
        self._said = time.monotonic()

    def __call__(self, steps: list[Step]) -> None:
        new = [step for step in steps if step.step > self._seen]
        if not new:
            return
        self._seen = new[-1].step
        pace = pace_of(new)
        tracking.metrics(
            {
                "loss": pace.loss,
                "learning rate": new[-1].lr,
                "logit scale": new[-1].logit_scale,
                "samples per second": pace.samples_per_second,
                "data wait share": pace.data_wait_share,
            },
            step=self._seen,
        )
        if time.monotonic() - self._said > _SAY_SECONDS:
            self._said = time.monotonic()
            total = self._job.recipe.steps
            console.print(
                f"{'train_clip':>12}  step {self._seen:,} of {total:,}, loss {pace.loss:.3f}, "
                f"{pace.samples_per_second:,.0f} pairs/s, {pace.data_wait_share:.0%} waiting, "
                f"{duration(seconds_left(steps[-200:], total))} left",
                markup=False,
            )


def _start(spark: SparkSession, section: TrainClipConfig) -> Start:
    if section.python is not None:
        return start_processes(str(section.python))
    from pyspark.ml.torch.distributor import TorchDistributor

    import spark_jobs
    from spark_jobs.training.worker import ENVIRONMENT, train

    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Its processes run a file in the temporary folder, from which this package would not be found.
    package = str(Path(spark_jobs.__file__).parents[1])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join([package, *(one for one in paths if one and one != package)])
    # On this machine processes see all its GPUs, by their rank; TorchDistributor would ask for Spark's GPU settings.
    local = is_local(spark)
    has_gpus = not local and float(spark.conf.get("spark.task.resource.gpu.amount", "0") or 0) >= 1
    distributor = TorchDistributor(num_processes=section.processes, local_mode=local, use_gpu=has_gpus)

    def start(_job: Job, folder: Path) -> None:
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):  # standard output is for results
                distributor.run(train, str(folder))
        except RuntimeError as error:  # which process failed may stand in the output alone
            raise RuntimeError(f"{said.getvalue()[-_OUTPUT_KEPT:]}\n{error}") from error

    return start


def _prepare(config: RunConfig) -> Prepared:
    """Check and prepare; the export is verified once for `check` and `run`."""
    section = config.train_clip
    manifest = Path(section.export or "") / "_manifest.json"
    stamp = manifest.stat().st_mtime_ns if manifest.is_file() else 0
    prepared = _prepared(section, _output(config), config.embed.weights_folder, stamp=stamp)
    found = prepared.export.manifest.identity["dataset"]
    if found != config.dataset_name:
        raise ConfigError(
            f"train_clip: {section.export} is an export of dataset {found}, not of {config.dataset_name}"
        )
    return prepared


@functools.lru_cache(maxsize=1)
def _prepared(section: TrainClipConfig, output: Path, cache: Path, *, stamp: int) -> Prepared:
    return prepare(section, output=output, cache=cache)


def _output(config: RunConfig) -> Path:
    if config.train_clip.output is not None:
        return config.train_clip.output
    if config.is_catalog or "://" in config.warehouse:
        raise ConfigError(
            f"train_clip: checkpoints need a folder that all processes see, and the warehouse {config.warehouse} is "
            "none: set train_clip.output (on Databricks a volume, /Volumes/...)"
        )
    return Path(config.warehouse).absolute() / "training"


def _check(config: RunConfig) -> None:
    check_dataset(config)
    _prepare(config)


def _ready(situation: Situation) -> None:
    """Nothing in the warehouse stops a training: the export holds all it reads."""


STAGE = StageContract(run, _check, _ready, plan_whole)
