"""What a user sees when something is wrong: one message, a non-zero exit, no stack trace, no work done."""

from __future__ import annotations

import pytest

from spark_jobs import session
from tests.builders import sound_pairs, write_shard
from tests.e2e.cli import parrot, parrot_here


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    write_shard(folder, sound_pairs(2))
    return folder


def run_arguments(source, warehouse, *more):
    return ("run", "--source", source, "--dataset", "d", "--warehouse", warehouse, *more)


FAULTS = {
    "unknown stage": (
        ("embedd",),
        "unknown stage embedd. Did you mean embed? Stages: ingest, download, embed",
    ),
    "misspelt key": (("--set", "embed.modle=RN50"), "embed.modle: unknown key. Did you mean model?"),
    "two faults at once": (("--set", "embed.batch_size=0", "--set", "x=1"), "2 fault(s)"),
    "unknown model": (("--set", "embed.model=ViT-B-33"), "ViT-B-32"),
    "unknown tag": (
        ("--set", "embed.model=ViT-B-32", "--set", "embed.pretrained=laion3b"),
        "laion2b_s34b_b79k",
    ),
    "weights not on disk": (
        ("--set", "embed.model=ViT-B-32", "--set", "embed.pretrained=/nowhere/weights.pt"),
        "/nowhere/weights.pt",
    ),
    "unknown spotter": (("--set", "spot_text.spotter=easyocrr"), "easyocr"),
    "no weights for a language": (("--set", "spot_text.languages=[fr]"), "model_directory"),
    "missing configuration file": (("--config", "/nowhere.yaml"), "no configuration file at /nowhere.yaml"),
    "unreachable MLflow": (
        ("--set", "tracking.uri=http://127.0.0.1:9"),
        "MLflow store at http://127.0.0.1:9",
    ),
}


# The first is told before anything else, the second when Java has started: both in a process of their own.
IN_A_PROCESS = ("unknown stage", "unreachable MLflow")


@pytest.fixture
def no_spark(monkeypatch):
    """Commands of this process that get as far as Spark fail."""
    monkeypatch.setattr(session, "open_session", lambda config: pytest.fail("Spark was started"))


def is_one_message(result, message, warehouse):
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "\tat " not in result.stderr
    assert not (warehouse / "samples").exists()


@pytest.mark.parametrize("fault", IN_A_PROCESS)
def test_a_fault_is_one_message_of_the_process(fault, source, tmp_path):
    more, message = FAULTS[fault]
    result = parrot(*run_arguments(source, tmp_path / "warehouse", *more))
    is_one_message(result, message, tmp_path / "warehouse")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in IN_A_PROCESS])
def test_a_fault_is_one_message_before_spark_starts(fault, source, tmp_path, no_spark):
    more, message = FAULTS[fault]
    result = parrot_here(*run_arguments(source, tmp_path / "warehouse", *more))
    is_one_message(result, message, tmp_path / "warehouse")


def test_misspelt_key_in_the_yaml_names_the_file_and_the_valid_keys(source, tmp_path, no_spark):
    file = tmp_path / "run.yaml"
    file.write_text("overlap:\n  min_confidense: 0.5\nspeed: fast\n")
    result = parrot_here(*run_arguments(source, tmp_path / "warehouse", "--config", file))
    assert result.returncode == 1
    assert f"2 fault(s) in {file}" in result.stderr
    assert "overlap.min_confidense: unknown key. Did you mean min_confidence?" in result.stderr
    assert "speed: unknown key" in result.stderr


def test_a_missing_source(tmp_path, no_spark):
    result = parrot_here(*run_arguments(tmp_path / "nowhere", tmp_path / "warehouse"))
    assert result.returncode == 1
    assert "no files at" in result.stderr


def test_an_empty_source(tmp_path, no_spark):
    (tmp_path / "empty").mkdir()
    result = parrot_here(*run_arguments(tmp_path / "empty", tmp_path / "warehouse"))
    assert result.returncode == 1
    assert "no files at" in result.stderr


def test_a_warehouse_that_cannot_be_written(source, tmp_path, no_spark):
    (tmp_path / "file").write_text("")
    result = parrot_here(*run_arguments(source, tmp_path / "file" / "warehouse"))
    assert result.returncode == 1
    assert "cannot write the warehouse" in result.stderr


def test_reading_a_warehouse_that_is_not_there(tmp_path, no_spark):
    for command in (("status",), ("report",), ("sql", "SELECT 1")):
        result = parrot_here(*command, "--warehouse", tmp_path / "nowhere")
        assert result.returncode == 1, command
        assert "no warehouse at" in result.stderr
