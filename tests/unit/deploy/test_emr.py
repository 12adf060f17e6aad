"""The EMR files against the code: steps, parameters, scripts."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployments import BY_NAME, EMR, PROFILED, ROOT, STEPS, cluster, parsed


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


@pytest.fixture
def stand_ins(tmp_path: Path):
    """A PATH whose commands write down how they were called, and a place for /opt/parrot."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "calls.txt"

    def stand_in(path: Path, body: str = "") -> None:
        path.write_text(f'#!/bin/bash\nprintf "%s\\n" "{path.name} $*" >>"{log}"\n{body}\n', encoding="utf-8")
        path.chmod(0o755)

    for name in ("dnf", "spark-submit", "mount"):
        stand_in(folder / name)
    sudo = '#!/bin/bash\n[ "${1#--preserve-env}" = "$1" ] || shift\nexec "$@"\n'
    (folder / "sudo").write_text(sudo, encoding="utf-8")
    (folder / "sudo").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PARROT_HOME": str(tmp_path / "parrot"),
        "PARROT_JARS": str(tmp_path / "jars"),
    }
    (tmp_path / "jars").mkdir()
    environment.pop("PARROT_SUBMIT", None)
    environment.pop("PARROT_DELTA", None)
    return folder, log, environment, stand_in


def script(name: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(EMR / name), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_submit_passes_everything_to_spark_submit(stand_ins):
    folder, log, environment, _ = stand_ins
    jars = Path(environment["PARROT_JARS"])
    (jars / "delta-spark.jar").touch()
    (folder / "spark-submit").write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" >"{log}"\n', encoding="utf-8")
    environment["PARROT_SUBMIT"] = "--num-executors 20"
    arguments = ["sql", "--warehouse", "s3://bucket/w", "SELECT 1 AS one"]
    result = script("submit.sh", *arguments, environment=environment)
    assert (result.returncode, result.stderr) == (0, "")
    called = log.read_text(encoding="utf-8").splitlines()
    home = environment["PARROT_HOME"]
    assert called[-5:] == [f"{home}/main.py", *arguments]
    options = called[:-5]
    assert options[options.index("--jars") + 1] == f"{jars}/delta-spark.jar,{jars}/delta-storage.jar"
    assert "--packages" not in options, "nothing is fetched where EMR has its own"
    assert options[options.index("--num-executors") + 1] == "20"
    settings = dict(
        value.partition("=")[::2] for key, value in itertools.pairwise(options) if key == "--conf"
    )
    assert settings["spark.sql.extensions"] == "io.delta.sql.DeltaSparkSessionExtension"
    assert settings["spark.sql.catalog.spark_catalog"] == "org.apache.spark.sql.delta.catalog.DeltaCatalog"
    for side in ("spark.pyspark.python", "spark.pyspark.driver.python"):
        assert settings[side] == f"{home}/bin/python"


def test_submit_takes_another_delta_and_works_without_options(stand_ins):
    _, log, environment, _ = stand_ins
    environment["PARROT_DELTA"] = "io.delta:delta-spark_2.12:3.3.3"
    environment.pop("PARROT_SUBMIT", None)
    result = script("submit.sh", "status", "--warehouse", "s3://bucket/w", environment=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert "--packages io.delta:delta-spark_2.12:3.3.3 " in log.read_text(encoding="utf-8")


def test_submit_says_what_lacks_where_the_cluster_has_no_delta(stand_ins):
    _, log, environment, _ = stand_ins
    result = script("submit.sh", "status", environment=environment)
    assert result.returncode == 1
    assert "delta-defaults" in result.stderr
    assert "PARROT_DELTA=io.delta:delta-spark_2.12:3.3.3" in result.stderr
    assert not log.exists()


@pytest.fixture
def node(stand_ins, tmp_path):
    """A node's commands: `aws s3 cp` brings the folder as cluster.py fills it; pip keeps the lock it is given."""
    folder, log, environment, stand_in = stand_ins
    home = Path(environment["PARROT_HOME"])
    files = (ROOT / "requirements-runtime.lock", *(EMR / name for name in cluster.NODE_FILES))
    copies = "\n".join(f'cp "{file}" "${{@: -1}}/"' for file in files)
    weights = 'mkdir "${@: -1}/weights" && touch "${@: -1}/weights/ViT-B-32-openai.safetensors"'
    stand_in(
        folder / "aws", f'{copies}\n{weights}\ntouch "${{@: -1}}/parrot_captions-0.1.0-py3-none-any.whl"'
    )
    pip = tmp_path / "pip"
    stand_in(pip, f'case "$*" in *--requirement*) cp "${{@: -1}}" "{tmp_path}/installed.lock";; esac')
    stand_in(folder / "python3.11", f'mkdir -p "{home}/bin" && cp "{pip}" "{home}/bin/pip"')
    return log, environment


def test_bootstrap_installs_the_runtime_lock_and_the_wheel(node, tmp_path):
    log, environment = node
    home = Path(environment["PARROT_HOME"])

    result = script("bootstrap.sh", "s3://bucket/parrot", environment=environment)

    assert (result.returncode, result.stderr) == (0, "")
    calls = log.read_text(encoding="utf-8").splitlines()
    assert re.match(
        r"aws s3 cp --recursive --only-show-errors --exclude logs/\* s3://bucket/parrot /", calls[0]
    )
    assert [call for call in calls if call.startswith("dnf install")]
    locked, ours = (call for call in calls if call.startswith("pip install"))
    assert "--no-deps --require-hashes" in locked
    assert all("--no-cache-dir" in call for call in (locked, ours)), "the root volume is small"
    assert "delta-spark==3.3.2" in ours
    assert re.search(r"/parrot_captions-0\.1\.0-py3-none-any\.whl$", ours)
    assert (home / "main.py").is_file()
    assert all(os.access(home / name, os.X_OK) for name in ("submit.sh", "gpus.sh"))
    installed = (tmp_path / "installed.lock").read_bytes()
    assert installed == (ROOT / "requirements-runtime.lock").read_bytes()
    assert (home / "weights" / "ViT-B-32-openai.safetensors").is_file()
    assert not [call for call in calls if call.startswith("mount")]


def test_bootstrap_takes_another_delta(node):
    log, environment = node
    assert script("bootstrap.sh", "s3://bucket/parrot", "3.3.0", environment=environment).returncode == 0
    assert "delta-spark==3.3.0 " in log.read_text(encoding="utf-8")


def test_the_discovery_script_tells_spark_its_gpus(stand_ins):
    folder, _, environment, stand_in = stand_ins
    for printed, expected in (("0\\n1\\n", ["0", "1"]), ("3\\n", ["3"])):
        stand_in(folder / "nvidia-smi", f"printf '{printed}'")
        result = script("gpus.sh", environment=environment)
        assert json.loads(result.stdout) == {"name": "gpu", "addresses": expected}
    stand_in(folder / "nvidia-smi", "exit 9")
    assert script("gpus.sh", environment=environment).returncode != 0


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
