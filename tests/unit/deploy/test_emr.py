"""The EMR files against the code: steps, parameters, scripts."""

from __future__ import annotations

import itertools
import json
import os
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployments import BY_NAME, EMR, PROFILED, ROOT, STEPS, parsed, texts


def test_one_step_per_profiled_stage_in_order():
    stages = [parsed(step["Args"][2:])["stages"] for step in STEPS]
    assert stages == [[name] for name in PROFILED]
    assert [step["Name"] for step in STEPS] == [f"parrot {name}" for name in PROFILED]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["Name"])
def test_a_step_runs_submit_and_stops_the_rest_when_it_fails(step):
    assert set(step) == {"Type", "Name", "ActionOnFailure", "Jar", "Args"}
    assert (step["Type"], step["Jar"]) == ("CUSTOM_JAR", "command-runner.jar")
    assert step["ActionOnFailure"] == "CANCEL_AND_WAIT"
    assert step["Args"][:2] == ["bash", "/opt/parrot/submit.sh"]
    values = parsed(step["Args"][2:])
    assert (values["dataset"], values["warehouse"]) == ("${DATASET}", "${WAREHOUSE}")
    assert (values["source"] is not None) == (not BY_NAME[values["stages"][0]].reads)
    assert values["settings"].tracking.uri == "${TRACKING_URI}"


def test_the_readme_sets_every_placeholder_of_the_steps():
    named = {match[1] for text in texts(STEPS) for match in re.finditer(r"\$\{(\w+)\}", text)}
    (exports,) = re.findall(r"^export (.*)$", (EMR / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert named == {assignment.partition("=")[0] for assignment in exports.split()}
    filled = string.Template((EMR / "steps.json").read_text(encoding="utf-8")).substitute(
        dict.fromkeys(named, "x")
    )
    assert json.loads(filled)


@pytest.fixture
def stand_ins(tmp_path: Path):
    """A PATH whose commands write down how they were called, and a place for /opt/parrot."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "calls.txt"

    def stand_in(path: Path, body: str = "") -> None:
        path.write_text(f'#!/bin/bash\nprintf "%s\\n" "{path.name} $*" >>"{log}"\n{body}\n', encoding="utf-8")
        path.chmod(0o755)

    for name in ("dnf", "spark-submit"):
        stand_in(folder / name)
    (folder / "sudo").write_text('#!/bin/bash\nexec "$@"\n', encoding="utf-8")
    (folder / "sudo").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PARROT_HOME": str(tmp_path / "parrot"),
    }
    return folder, log, environment, stand_in


def script(name: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(EMR / name), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_submit_passes_everything_to_spark_submit(stand_ins):
    folder, log, environment, _ = stand_ins
    (folder / "spark-submit").write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" >"{log}"\n', encoding="utf-8")
    environment["PARROT_SUBMIT"] = "--num-executors 20"
    arguments = ["sql", "--warehouse", "s3://bucket/w", "SELECT 1 AS one"]
    result = script("submit.sh", *arguments, environment=environment)
    assert (result.returncode, result.stderr) == (0, "")
    called = log.read_text(encoding="utf-8").splitlines()
    home = environment["PARROT_HOME"]
    assert called[-5:] == [f"{home}/main.py", *arguments]
    options = called[:-5]
    assert options[options.index("--packages") + 1] == "io.delta:delta-spark_2.12:3.3.3"
    assert options[options.index("--num-executors") + 1] == "20"
    settings = dict(
        value.partition("=")[::2] for key, value in itertools.pairwise(options) if key == "--conf"
    )
    assert settings["spark.sql.extensions"] == "io.delta.sql.DeltaSparkSessionExtension"
    assert settings["spark.sql.catalog.spark_catalog"] == "org.apache.spark.sql.delta.catalog.DeltaCatalog"
    assert settings["spark.pyspark.python"] == f"{home}/bin/python"


def test_submit_takes_another_delta_and_works_without_options(stand_ins):
    _, log, environment, _ = stand_ins
    environment["PARROT_DELTA"] = "io.delta:delta-spark_2.13:4.0.1"
    environment.pop("PARROT_SUBMIT", None)
    result = script("submit.sh", "status", "--warehouse", "s3://bucket/w", environment=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert "--packages io.delta:delta-spark_2.13:4.0.1 " in log.read_text(encoding="utf-8")


def test_bootstrap_installs_the_runtime_lock_and_the_wheel(stand_ins, tmp_path):
    folder, log, environment, stand_in = stand_ins
    home = Path(environment["PARROT_HOME"])
    files = (ROOT / "requirements-runtime.lock", EMR / "main.py", EMR / "submit.sh")
    copies = "\n".join(f'cp "{file}" "${{@: -1}}/"' for file in files)
    stand_in(folder / "aws", f'{copies}\ntouch "${{@: -1}}/parrot_captions-0.1.0-py3-none-any.whl"')
    pip = tmp_path / "pip"
    stand_in(pip, f'case "$*" in *--requirement*) cp "${{@: -1}}" "{tmp_path}/installed.lock";; esac')
    stand_in(folder / "python3.11", f'mkdir -p "{home}/bin" && cp "{pip}" "{home}/bin/pip"')

    result = script("bootstrap.sh", "s3://bucket/parrot", "4.0.1", environment=environment)

    assert (result.returncode, result.stderr) == (0, "")
    calls = log.read_text(encoding="utf-8").splitlines()
    assert calls[0].startswith("aws s3 cp --recursive --only-show-errors s3://bucket/parrot ")
    assert [call for call in calls if call.startswith("dnf install")]
    locked, ours = (call for call in calls if call.startswith("pip install"))
    assert "--no-deps --require-hashes" in locked
    assert all("--no-cache-dir" in call for call in (locked, ours)), "the root volume is small"
    assert "delta-spark==4.0.1" in ours
    assert re.search(r"/parrot_captions-0\.1\.0-py3-none-any\.whl$", ours)
    assert (home / "main.py").is_file()
    assert os.access(home / "submit.sh", os.X_OK)
    installed = (tmp_path / "installed.lock").read_bytes()
    assert installed == (ROOT / "requirements-runtime.lock").read_bytes()


def test_bootstrap_says_what_it_wants(stand_ins):
    result = script("bootstrap.sh", environment=stand_ins[2])
    assert result.returncode != 0
    assert "usage: bootstrap.sh s3://" in result.stderr


def test_main_is_the_command_line():
    result = subprocess.run(
        [sys.executable, str(EMR / "main.py"), "describe", "overlap"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert "overlap.min_confidence" in result.stdout
