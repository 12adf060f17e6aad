"""Training: it learns, goes on exactly where it was stopped, and gives the same with one process and two."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spark_jobs.errors import ConfigError, ExportError, ModelError, StageError
from spark_jobs.training.checkpoints import Owner, last_step, load_state, save_state, states
from spark_jobs.training.config import TrainClipConfig
from spark_jobs.training.job import STEPS, Job
from spark_jobs.training.launch import prepare, run, start_processes
from spark_jobs.training.loop import Place, Trainer, autocast_type
from spark_jobs.training.optimiser import adamw, learning_rate
from spark_jobs.training.progress import (
    Step,
    StepTail,
    cut_steps,
    pace_of,
    read_steps,
    seconds_left,
    write_steps,
)
from spark_jobs.training.recipe import recipe_of
from spark_jobs.training.worker import train
from tests.checkpoints import AS_OPEN_CLIP
from tests.training_export import TINY, TINY_CONFIG, coloured_pairs, register_tiny, write_export
from udfs.checkpoint_settings import write_beside
from udfs.clip_model import ensure_architecture


@pytest.fixture(scope="module", autouse=True)
def architecture():
    register_tiny()


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train") / "export"
    return write_export(folder, coloured_pairs(), rows_per_file=5)


def section_of(export, **values):
    defaults = {
        "export": export,
        "model": TINY,
        "batch_size": 4,
        "samples_seen": 24,
        "warmup_steps": 2,
        "checkpoint_steps": 2,
        "threads": 1,
        "lr": 5e-3,
    }
    return TrainClipConfig(**{**defaults, **values})


def prepared_in(folder, section):
    return prepare(section, output=folder / "out", cache=folder / "cache")


def losses(folder):
    return [step.loss for step in read_steps(folder / STEPS)]


def checkpoint_of(prepared):
    return prepared.folder / prepared.job.checkpoint


@pytest.fixture(scope="module")
def trained(export, tmp_path_factory):
    """A training that ran to its end in one go, in this process."""
    prepared = prepared_in(tmp_path_factory.mktemp("trained"), section_of(export))
    train(str(prepared.folder))
    return prepared


def test_open_clip_loads_the_checkpoint(trained):
    import open_clip

    model, _, _ = open_clip.create_model_and_transforms(TINY, pretrained=str(checkpoint_of(trained)))
    state = torch.load(states(trained.folder)[-1], weights_only=True)
    assert torch.equal(model.visual.proj, state["parts"]["model"]["visual.proj"])


def test_a_finished_training_is_not_done_again(trained):
    def start(job, folder):
        raise AssertionError("started")

    result = run(trained, start, lambda steps: None)
    assert result.steps == 6
    assert result.samples_seen == 24
    assert result.samples_per_epoch == 12
    assert result.skipped == {}
    assert 0 <= result.data_wait_share <= 1
    assert [step.step for step in read_steps(trained.folder / STEPS)] == [1, 2, 3, 4, 5, 6]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(export, trained, tmp_path):
    again = prepared_in(tmp_path / "again", section_of(export))
    other = prepared_in(tmp_path / "other", section_of(export, seed=1))
    for prepared in (again, other):
        train(str(prepared.folder))
    assert again.job.run_key == trained.job.run_key != other.job.run_key
    assert checkpoint_of(again).read_bytes() == checkpoint_of(trained).read_bytes()
    assert checkpoint_of(other).read_bytes() != checkpoint_of(trained).read_bytes()


def test_a_training_that_stopped_goes_on_to_the_same_end(export, trained, tmp_path, monkeypatch):
    prepared = prepared_in(tmp_path, section_of(export))
    real = Trainer._step

    def stops(self, number, batches):
        if number == 5:
            raise RuntimeError("power cut")
        return real(self, number, batches)

    monkeypatch.setattr(Trainer, "_step", stops)
    with pytest.raises(RuntimeError, match="power cut"):
        train(str(prepared.folder))
    assert (prepared.folder / "fault-0.txt").read_text() == "RuntimeError: power cut"
    monkeypatch.undo()
    train(str(prepared.folder))
    assert losses(prepared.folder) == losses(trained.folder)
    assert checkpoint_of(prepared).read_bytes() == checkpoint_of(trained).read_bytes()


def test_parts_of_a_batch_give_the_gradients_of_the_whole(export, tmp_path):
    whole = prepared_in(tmp_path / "whole", section_of(export))
    parts = prepared_in(tmp_path / "parts", section_of(export, accumulate=2, checkpoint_activations=True))
    assert whole.job.run_key != parts.job.run_key
    for prepared in (whole, parts):
        train(str(prepared.folder))
    assert losses(parts.folder) == pytest.approx(losses(whole.folder), abs=2e-4)


def test_two_processes_give_the_losses_of_one_and_a_killed_one_is_named(export, trained, tmp_path):
    prepared = prepared_in(tmp_path, section_of(export, processes=2))
    assert prepared.job.run_key == trained.job.run_key
    run(prepared, start_processes(), lambda steps: None)
    assert losses(prepared.folder) == pytest.approx(losses(trained.folder), abs=2e-4)


def test_a_killed_process_ends_the_job_with_its_number(export, tmp_path):
    prepared = prepared_in(tmp_path, section_of(export, processes=2, samples_seen=4_000_000))
    killed = []

    def follow(steps):
        if steps and steps[-1].step > 2 and not killed:
            killed.extend(pid for pid in worker_pids(prepared.folder) if rank_of(pid) == "1")
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(
        StageError, match=r"(?s)process 1 of 2 ended: killed by signal 9.*goes on behind step"
    ) as told:
        run(prepared, start_processes(), follow)
    assert len(killed) == 1
    assert str(prepared.folder) in str(told.value)
    assert f"behind step {last_step(prepared.folder):,} of 1,000,000" in str(told.value)
    assert last_step(prepared.folder) >= 2


@pytest.mark.parametrize(
    ("first", "other", "rank", "said"),
    [
        ((0, "1"), (1, "-9"), 1, "killed by signal 9"),  # seen later, but the reason of the other
        ((1, "-9"), (0, "-15"), 1, "killed by signal 9"),
        ((1, "1"), (0, "-15"), 1, "exit code 1"),
        ((0, "-11"), None, 0, "killed by signal 11"),
    ],
)
def test_the_process_because_of_which_the_others_ended_is_named(trained, first, other, rank, said):
    def failure(number, process):
        return (
            f"[{number}]:\n  time      : 2026-01-01_00:00:00\n  host      : here\n"
            f"  rank      : {process[0]} (local_rank: {process[0]})\n  exitcode  : {process[1]} (pid: 7)\n"
        )

    others = failure(1, other) if other else "  <NO_OTHER_FAILURES>\n"
    root = f"Root Cause (first observed failure):\n{failure(0, first)}"
    summary = f"worker.py FAILED\n----\nFailures:\n{others}----\n{root}"

    def start(_job, _folder):
        try:
            raise RuntimeError(summary)
        except RuntimeError:  # as TorchDistributor does
            raise RuntimeError("failed during training")  # noqa: B904

    job = dataclasses.replace(trained.job, processes=2)
    unfinished = dataclasses.replace(trained, job=job, folder=trained.folder / "unfinished")
    with pytest.raises(StageError, match=f"process {rank} of 2 ended: {said}"):
        run(unfinished, start, lambda steps: None)


def worker_pids(folder):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(folder).encode() in words and b"torch.distributed.run" not in words:
                found.append(int(entry.name))
    return found


def rank_of(pid):
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next(one.partition(b"=")[2].decode() for one in environment if one.startswith(b"RANK="))


def test_a_process_that_fails_is_quoted(export, tmp_path):
    prepared = prepared_in(tmp_path, section_of(export))
    shutil.rmtree(export_images := Path(prepared.job.inventory).parent / "gone", ignore_errors=True)
    job = json.loads((prepared.folder / "job.json").read_text())
    (prepared.folder / "job.json").write_text(json.dumps({**job, "export": str(export_images)}))
    with pytest.raises(StageError, match=r"process 0 of 1 ended: no export in .*gone"):
        run(prepared, start_processes(sys.executable), lambda steps: None)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"export": None}, ConfigError, "name the export"),
        ({"batch_size": 40}, ExportError, r"12 pairs to train on .* fewer than a batch of 40"),
        ({"batch_size": 26, "processes": 13}, ExportError, "leave one of 13 processes without data"),
        ({"model": "no-such-model"}, ModelError, "no architecture"),
        ({"init": Path("/no/such.pt")}, ModelError, "No checkpoint file"),
    ],
)
def test_what_would_stop_a_training_is_found_before(export, tmp_path, values, error, message):
    with pytest.raises(error, match=message):
        prepared_in(tmp_path, section_of(**{"export": export, **values}))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit
def test_weights_that_are_another_models_or_hold_code_are_refused(export, trained, tmp_path):
    ensure_architecture("test-train-wide", {**TINY_CONFIG, "embed_dim": 24})
    with pytest.raises(ModelError, match="is no checkpoint of test-train-wide"):
        prepared_in(tmp_path, section_of(export, model="test-train-wide", init=checkpoint_of(trained)))
    evil = tmp_path / "evil.pt"
    torch.save({"state_dict": Evil()}, evil)
    with pytest.raises(ModelError, match="nothing says how it was trained"):
        prepared_in(tmp_path, section_of(export, init=evil))
    write_beside(evil, AS_OPEN_CLIP)
    with pytest.raises(ModelError, match="is no checkpoint of"):
        prepared_in(tmp_path, section_of(export, init=evil))
    scripted = tmp_path / "scripted.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(scripted))
    with pytest.raises(ModelError, match="TorchScript archive, which holds code"):
        prepared_in(tmp_path, section_of(export, init=scripted))


class Evil:
    def __reduce__(self):
        return print, ("this must not run",)


def test_training_goes_on_from_given_weights(export, trained, tmp_path):
    prepared = prepared_in(tmp_path, section_of(export, init=checkpoint_of(trained), samples_seen=4))
    assert prepared.job.weights == str(checkpoint_of(trained))
    assert prepared.job.run_key != trained.job.run_key
    trainer = Trainer(prepared.job, prepared.folder, Place(0, 1, "cpu"))
    state = torch.load(states(trained.folder)[-1], weights_only=True)
    assert torch.equal(trainer._model.visual.proj, state["parts"]["model"]["visual.proj"])


def test_states_of_others_are_refused(tmp_path):
    parts = {"model": torch.nn.Linear(2, 2)}
    save_state(tmp_path, 3, owner=Owner("a", "webdataset", 2), parts=parts)
    assert load_state(tmp_path, Owner("a", "webdataset", 2), parts) == 3
    with pytest.raises(ModelError, match="belongs to another training"):
        load_state(tmp_path, Owner("b", "webdataset", 2), parts)
    with pytest.raises(ModelError, match="was made by 2 processes"):
        load_state(tmp_path, Owner("a", "webdataset", 1), parts)
    with pytest.raises(ModelError, match="no checkpoint of this training"):
        load_state(tmp_path, Owner("a", "webdataset", 2), {"model": torch.nn.Linear(3, 2)})
    for step in (4, 5):
        save_state(tmp_path, step, owner=Owner("a", "webdataset", 2), parts=parts)
    assert [file.name for file in states(tmp_path)] == ["state-000000004.pt", "state-000000005.pt"]


def test_learning_rate_rises_and_falls():
    recipe = recipe_of(
        TrainClipConfig(batch_size=10, samples_seen=1000, warmup_steps=10, lr=1.0), feed="parquet"
    )
    rates = [learning_rate(recipe, step) for step in range(recipe.steps)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.001


def test_gains_and_biases_are_not_decayed():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2))
    recipe = recipe_of(TrainClipConfig(weight_decay=0.3), feed="parquet")
    plain, decayed = adamw(model, recipe).param_groups
    assert (plain["weight_decay"], decayed["weight_decay"]) == (0.0, 0.3)
    assert [one.ndim for one in decayed["params"]] == [2]
    assert [one.ndim for one in plain["params"]] == [1, 1, 1]


def test_presets_are_the_papers():
    small, big = (
        recipe_of(TrainClipConfig(preset=name), feed="parquet") for name in ("paper-3m", "paper-12m")
    )
    assert (small.model, small.batch_size, big.batch_size) == ("RN50", 4096, 8192)
    assert (big.beta1, big.beta2) == (0.9, 0.98)
    assert small.steps == 23438
    vit = recipe_of(TrainClipConfig(preset="paper-3m", model="ViT-B-32", lr=1e-4), feed="parquet")
    assert (vit.model, vit.lr) == ("ViT-B-32", 1e-4)
    with pytest.raises(ConfigError, match="cannot be cut into 3 processes"):
        recipe_of(TrainClipConfig(preset="paper-3m", processes=3), feed="parquet")


def test_a_cpu_trains_in_fp32_whatever_is_asked_for():
    assert autocast_type("bf16", "cpu") is torch.float32
    assert autocast_type("fp16", "cuda:0") is torch.float16
    assert autocast_type("fp32", "cuda:0") is torch.float32


def test_steps_are_read_back_and_cut(tmp_path):
    file = tmp_path / STEPS
    steps = [Step(n, 1.0 / n, 0.1, 14.0, 2.0, 0.5, 8) for n in (1, 2, 3, 4)]
    write_steps(file, steps)
    file.write_text(file.read_text() + '{"step": 5, "lo')
    assert read_steps(file) == steps
    tail = StepTail(file)
    assert tail.read() == steps
    with file.open("a") as stream:
        stream.write(
            'ss": 0.2, "lr": 0.1, "logit_scale": 14.0, "seconds": 1.0, "waited": 0.5, "samples": 8}\n'
        )
    assert [step.step for step in tail.read()] == [1, 2, 3, 4, 5]
    assert cut_steps(file, 2) == steps[:2] == read_steps(file)
    assert tail.read() == steps[:2]
    pace = pace_of(steps)
    assert (pace.samples_per_second, pace.data_wait_share) == (4.0, 0.25)
    assert seconds_left(steps, 10) == 12.0


def test_a_job_is_read_as_it_was_written(trained):
    assert Job.read(trained.folder) == trained.job


def test_training_needs_no_spark(trained, tmp_path):
    """A process without pyspark trains: it is what `.venv-train` or a plain machine has."""
    folder = tmp_path / trained.folder.name
    folder.mkdir()
    shutil.copy(trained.folder / "job.json", folder)
    code = (
        "import sys\n"
        "sys.modules['pyspark'] = None\n"
        "from spark_jobs.training import launch\n"
        "from spark_jobs.training.worker import train\n"
        "train(sys.argv[1])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / trained.job.checkpoint).read_bytes() == checkpoint_of(trained).read_bytes()
