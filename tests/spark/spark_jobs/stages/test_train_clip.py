"""Stage `train_clip` through Spark's TorchDistributor: rows, checkpoint, MLflow, resume, petastorm's environment."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import torch

from schemas import training_runs
from spark_jobs.commands.run import run_stages
from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError, StageError
from spark_jobs.pipeline import select
from spark_jobs.stages import train_clip
from spark_jobs.training.job import STEPS
from spark_jobs.training.progress import read_steps
from spark_jobs.warehouse.tables import Tables
from tests.training_export import TINY, coloured_pairs, register_tiny, write_export
from udfs.weights import sha256_of

STEPS_IN_ALL = 300
TABLE = training_runs.TABLE


@pytest.fixture(scope="module", autouse=True)
def architecture():
    register_tiny()


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return write_export(tmp_path_factory.mktemp("train") / "export", coloured_pairs(), rows_per_file=5)


def configured(warehouse, export, *overrides, **values):
    section = {
        "export": str(export),
        "model": TINY,
        "batch_size": 4,
        "samples_seen": 4 * STEPS_IN_ALL,
        "warmup_steps": 2,
        "checkpoint_steps": 2,
        "threads": 1,
        **values,
    }
    return load_config(
        options={"warehouse": str(warehouse), "dataset": "test", "train_clip": section},
        overrides=(
            f"embed.cache_dir={Path(export).parent / 'weights'}",
            f"tracking.uri=sqlite:///{warehouse}/mlflow.db",
            *overrides,
        ),
    )


def trained(spark, config):
    Path(config.warehouse).mkdir(parents=True, exist_ok=True)
    (report,) = run_stages(spark, config, select(["train_clip"]), tags={"study": "of tests"})
    (row,) = Tables(spark, config.warehouse).read(TABLE).collect()
    return report, row


@pytest.fixture(scope="module")
def alone(_spark_session, export, tmp_path_factory):
    """One process, to its end: configuration, report and row."""
    config = configured(tmp_path_factory.mktemp("alone"), export)
    return config, *trained(_spark_session, config)


def test_the_row_says_what_was_trained_and_the_file_is_the_one_it_names(alone):
    import open_clip

    _, report, row = alone
    assert (row["dataset"], row["subset_id"], row["model"], row["seed"]) == ("test", "some", TINY, 0)
    assert (row["steps"], row["samples_seen"], row["samples_per_epoch"]) == (STEPS_IN_ALL, 1200, 12)
    assert row["checkpoint_sha256"] == sha256_of(row["checkpoint"])
    assert json.loads(row["recipe"])["batch_size"] == 4
    steps = read_steps(Path(row["checkpoint"]).parent / STEPS)
    assert [step.step for step in steps] == list(range(1, STEPS_IN_ALL + 1))
    assert row["loss"] == pytest.approx(sum(step.loss for step in steps[-15:]) / 15)
    assert row["loss"] < 0.7 * steps[0].loss  # four colours, each three times: two of a batch may be alike
    model, _, _ = open_clip.create_model_and_transforms(TINY, pretrained=row["checkpoint"])
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert any(row["checkpoint"] in note for note in report.notes)


def test_mlflow_has_the_curve_the_subset_and_the_checkpoint(alone):
    import mlflow

    config, _, row = alone
    client = mlflow.MlflowClient(config.tracking.uri)
    run = client.get_run(row["mlflow_run"])
    curve = client.get_metric_history(row["mlflow_run"], "loss")
    assert curve[-1].step == STEPS_IN_ALL
    assert {"learning rate", "samples per second", "data wait share"} <= set(run.data.metrics)
    (entry,) = run.inputs.dataset_inputs
    assert entry.dataset.name == "test.some"
    assert entry.dataset.digest == row["content_hash"][:36]
    assert (run.data.tags["subset"], run.data.params["recipe batch_size"]) == ("some", "4")
    kept = {artifact.path: artifact.file_size for artifact in client.list_artifacts(row["mlflow_run"])}
    assert kept[Path(row["checkpoint"]).name] == Path(row["checkpoint"]).stat().st_size
    assert client.get_run(run.data.tags["mlflow.parentRunId"]).data.tags["study"] == "of tests"


def test_what_is_trained_is_not_trained_again(spark, alone, monkeypatch):
    from pyspark.ml.torch.distributor import TorchDistributor

    def started(*_args, **_kwargs):
        raise AssertionError("started")

    config, _, row = alone
    monkeypatch.setattr(TorchDistributor, "run", started)
    version = Tables(spark, config.warehouse).version(TABLE)
    report, again = trained(spark, config)
    assert again == row
    assert Tables(spark, config.warehouse).version(TABLE) == version
    assert any("up to date" in note for note in report.notes)


def test_a_killed_process_of_two_ends_the_job_and_the_next_start_goes_on(spark, alone, export, tmp_path):
    config = configured(tmp_path / "warehouse", export, processes=2)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as background:
        killed = background.submit(kill_once_it_trains, 1, Path(config.warehouse), stop)
        try:
            with pytest.raises(
                StageError, match=r"(?s)process 1 of 2 ended: killed by signal 9.*goes on behind step"
            ):
                trained(spark, config)
        finally:
            stop.set()  # else another error would leave the test waiting for steps that never come
    assert killed.result() == 1
    assert not Tables(spark, config.warehouse).read(TABLE).count()

    _, row = trained(spark, config)
    assert row["steps"] == STEPS_IN_ALL
    ours, whole = (read_steps(Path(one["checkpoint"]).parent / STEPS) for one in (row, alone[2]))
    assert [step.step for step in ours] == list(range(1, STEPS_IN_ALL + 1))
    assert [step.loss for step in ours[:20]] == pytest.approx([step.loss for step in whole[:20]], abs=2e-4)
    assert row["loss"] == pytest.approx(alone[2]["loss"], rel=0.05)


def kill_once_it_trains(rank: int, warehouse: Path, stop: threading.Event) -> int:
    """Kill the process of a rank once ten steps are written; how many were killed."""
    while not stop.is_set():
        written = [len(read_steps(path)) for path in warehouse.rglob(STEPS)]
        if max(written, default=0) >= 10:
            found = [one for one in psutil.Process().children(recursive=True) if rank_of(one) == str(rank)]
            for one in found:
                one.kill()
            return len(found)
        time.sleep(0.05)
    return 0


def rank_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("RANK")
    except psutil.Error:  # it has ended meanwhile
        return None


def test_petastorm_trains_in_its_own_environment(spark, export, tmp_path, train_python):
    config = configured(
        tmp_path / "warehouse", export, feed="petastorm", python=str(train_python), samples_seen=24
    )
    _, row = trained(spark, config)
    assert (json.loads(row["recipe"])["feed"], row["steps"]) == ("petastorm", 6)
    assert (row["samples_per_epoch"], row["left_out"]) == (12, {})
    assert row["checkpoint_sha256"] == sha256_of(row["checkpoint"])


def test_an_export_of_another_dataset_is_refused(spark, export, tmp_path):
    config = configured(tmp_path, export)
    other = config.model_copy(update={"dataset": "other"})
    with pytest.raises(ConfigError, match="export of dataset test, not of other"):
        train_clip.run(spark, other)
