from __future__ import annotations

import json

import pytest

from spark_jobs.commands import doctor
from spark_jobs.commands.doctor import Finding
from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError


@pytest.mark.parametrize(
    ("finding", "state", "mend"),
    [
        (doctor.check_python((3, 11)), "ok", ""),
        (doctor.check_python((3, 9)), "missing", "Python 3.11"),
        (doctor.check_java("17.0.15"), "ok", ""),
        (doctor.check_java("21"), "ok", ""),
        (doctor.check_java("1.8.0_412"), "missing", "openjdk-17"),
        (doctor.check_java(None), "missing", "JAVA_HOME"),
        (doctor.check_spark("4.0.1"), "ok", ""),
        (doctor.check_spark("3.3.0"), "missing", "pyspark 3.5"),
        (doctor.check_spark(None), "missing", "parrot-captions[spark]"),
        (doctor.check_delta("4.0.0", "4.0.1"), "ok", ""),
        (doctor.check_delta("3.3.2", "4.0.1"), "missing", "delta-spark==4.0.*"),
        (doctor.check_delta(None, "3.5.1"), "missing", "delta-spark==3.3.*"),
        (doctor.check_gpu(None, (None, False)), "note", ""),
        (doctor.check_gpu("A10, 535.1", ("12.4", True)), "ok", ""),
        (doctor.check_gpu("A10, 535.1", (None, False)), "missing", "CUDA build"),
        (doctor.check_gpu("A10, 450.1", ("12.4", False)), "missing", "update the driver"),
    ],
)
def test_what_is_found_and_how_it_is_mended(finding, state, mend):
    assert finding.state == state
    assert mend in finding.mend
    assert bool(finding.mend) == (state == "missing")


def test_java_is_looked_for_where_java_home_says(tmp_path, monkeypatch):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.9\" 2023-10-17' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert doctor.java_version() == "17.0.9"
    java.unlink()
    assert doctor.java_version() is None


def test_clip_weights_are_looked_for_and_not_downloaded(tmp_path):
    def state(*overrides):
        return doctor.check_clip(load_config(overrides=overrides)).state

    assert state() == "note", "random weights"
    assert state("embed.model=parrot-small", "embed.pretrained=world") == "ok"
    assert state("embed.model=ViT-B-32", "embed.pretrained=openai") == "note"
    file = tmp_path / "weights.pt"
    assert state("embed.model=ViT-B-32", f"embed.pretrained={file}") == "missing"
    file.write_bytes(b"")
    assert state("embed.model=ViT-B-32", f"embed.pretrained={file}") == "ok"


def test_places(tmp_path):
    assert doctor.check_place("source", str(tmp_path)).state == "ok"
    assert doctor.check_place("source", str(tmp_path / "nowhere")).state == "missing"
    assert "made by the first run" in doctor.check_place("warehouse", str(tmp_path / "a" / "b")).found
    assert doctor.check_place("source", f"file://{tmp_path}").state == "ok"
    assert doctor.check_place("source", f"file://{tmp_path}/nowhere").state == "missing"
    assert doctor.check_place("warehouse", "main.parrot").state == "note"


def test_a_store_that_no_package_reads_names_the_package(monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    found = doctor.check_place("source", "s3://bucket/data")
    assert (found.state, found.mend) == ("missing", "pip install 'parrot-captions[s3]'")


def test_a_check_that_fails_is_a_finding_and_the_others_are_made(monkeypatch):
    def broken(config):
        raise OSError("no such thing")

    monkeypatch.setattr(doctor, "check_mlflow", broken)
    monkeypatch.setattr(doctor, "check_spotter", lambda config: Finding("text spotter", "ok", "x"))
    monkeypatch.setattr(doctor, "torch_cuda", lambda: (None, False))
    found = {finding.what: finding for finding in doctor.examine(load_config())}
    assert found["MLflow"].state == "missing"
    assert "no such thing" in found["MLflow"].found
    assert "MLFLOW_TRACKING_URI" in found["MLflow"].mend
    assert found["warehouse"].state == "ok"


def test_something_missing_is_an_error_and_programs_are_told_all(monkeypatch, capsys):
    findings = [Finding("Java", "missing", "none", "install it"), Finding("GPU", "note", "none")]
    monkeypatch.setattr(doctor, "examine", lambda config, *, with_spark: findings)
    with pytest.raises(ConfigError, match="1 of 2 checks found something missing: Java"):
        doctor.print_findings(load_config(), with_spark=False, as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["mend"] == "install it"
