"""What a user sees when something is wrong: one message, a non-zero exit, no stack trace, no work done."""

from __future__ import annotations

import pytest

from tests.builders import sound_pairs, write_shard
from tests.e2e.cli import parrot


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


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_message_before_any_work(fault, source, tmp_path):
    more, message = FAULTS[fault]
    result = parrot(*run_arguments(source, tmp_path / "warehouse", *more))
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "\tat " not in result.stderr
    assert not (tmp_path / "warehouse" / "samples").exists()


def test_misspelt_key_in_the_yaml_names_the_file_and_the_valid_keys(source, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("overlap:\n  min_confidense: 0.5\nspeed: fast\n")
    result = parrot(*run_arguments(source, tmp_path / "warehouse", "--config", file))
    assert result.returncode == 1
    assert f"2 fault(s) in {file}" in result.stderr
    assert "overlap.min_confidense: unknown key. Did you mean min_confidence?" in result.stderr
    assert "speed: unknown key" in result.stderr


def test_a_missing_source(tmp_path):
    result = parrot(*run_arguments(tmp_path / "nowhere", tmp_path / "warehouse"))
    assert result.returncode == 1
    assert "no files at" in result.stderr


def test_an_empty_source(tmp_path):
    (tmp_path / "empty").mkdir()
    result = parrot(*run_arguments(tmp_path / "empty", tmp_path / "warehouse"))
    assert result.returncode == 1
    assert "no files at" in result.stderr


def test_a_warehouse_that_cannot_be_written(source, tmp_path):
    (tmp_path / "file").write_text("")
    result = parrot(*run_arguments(source, tmp_path / "file" / "warehouse"))
    assert result.returncode == 1
    assert "cannot write the warehouse" in result.stderr


def test_reading_a_warehouse_that_is_not_there(tmp_path):
    for command in (("status",), ("report",), ("sql", "SELECT 1")):
        result = parrot(*command, "--warehouse", tmp_path / "nowhere")
        assert result.returncode == 1, command
        assert "no warehouse at" in result.stderr
