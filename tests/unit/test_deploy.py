"""Databricks bundle and EMR files against the code: stages, order, parameters, entry points, scripts."""

from __future__ import annotations

import itertools
import json
import os
import re
import string
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main
import yaml
from packaging.requirements import Requirement

from spark_jobs import cli
from spark_jobs.clip_models import models_named
from spark_jobs.config import load_config
from spark_jobs.pipeline import STAGES, select
from spark_jobs.warehouse.addresses import is_catalog

ROOT = Path(__file__).resolve().parents[2]
DATABRICKS = ROOT / "deploy" / "databricks"
EMR = ROOT / "deploy" / "emr"
PINNED = DATABRICKS / "requirements-17.3-ml.txt"
BY_NAME = {stage.name: stage for stage in STAGES}
PROFILED = [stage.name for stage in STAGES if stage.profiles]

BUNDLE = yaml.safe_load((DATABRICKS / "databricks.yml").read_text(encoding="utf-8"))
RESOURCES = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
    for pattern in BUNDLE["include"]
    for path in sorted(DATABRICKS.glob(pattern))
}
JOB = RESOURCES["profile.job.yml"]["resources"]["jobs"]["profile"]
TASKS = {task["task_key"]: task for task in JOB["tasks"]}
CLUSTERS = {cluster["job_cluster_key"]: cluster["new_cluster"] for cluster in JOB["job_clusters"]}
# Where the jobs read their one configuration, and the file of the checkout that lies there.
CONFIG_FILES = {
    "${workspace.file_path}/deploy/databricks/parrot.yaml": DATABRICKS / "parrot.yaml",
    "${CONFIG}": EMR / "parrot.yaml",
}
STEPS = json.loads((EMR / "steps.json").read_text(encoding="utf-8"))


def upstream_of(name: str) -> set[str]:
    """Stages of the job that write what a stage reads."""
    reads = set(BY_NAME[name].reads)
    return {stage.name for stage in STAGES if stage.profiles and set(stage.writes) & reads}


def parsed(arguments: list[str]) -> dict[str, object]:
    """Options of a `parrot` command line, parsed as the command line does; and the settings looked up."""
    name, *rest = arguments
    values = typer.main.get_command(cli.app).commands[name].make_context(name, list(rest)).params
    select(values["stages"] or [])
    file = CONFIG_FILES.get(str(values["config"]), values["config"])
    config = load_config(file and str(file), overrides=tuple(values["set_"] or ()))
    return {**values, "settings": config}


def texts(value: object) -> list[str]:
    """All strings in nested data."""
    if isinstance(value, dict):
        return list(itertools.chain.from_iterable(texts(inner) for inner in [*value, *value.values()]))
    if isinstance(value, list):
        return list(itertools.chain.from_iterable(texts(inner) for inner in value))
    return [value] if isinstance(value, str) else []


def locked(name: str) -> dict[str, str]:
    """Version by package of a lock."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))
    assert found, f"{name} locks nothing"
    return found


def requirements(path: Path) -> list[Requirement]:
    """Lines of a requirements file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert found, f"{path} asks for nothing"
    return found


def canonical(requirement: str) -> str:
    """Name of the package that a requirement asks for, as locks write it."""
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


# -- Locks


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-runtime.lock", "requirements-petastorm.lock"]
)
def test_locks_have_hashes_and_no_addresses(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text, "a registry's address is the installer's business"
    assert not re.search(r"^--", text, re.MULTILINE)
    block = r"^\S+==\S+(?: ; [^\\]+)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
    packages = re.findall(block, text, re.MULTILINE)
    assert len(packages) == len(locked(name))


def test_the_lock_has_what_is_declared_but_petastorm():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    apart = extras.pop("train-petastorm")
    declared = [*project["dependencies"], *itertools.chain.from_iterable(extras.values())]
    assert {canonical(requirement) for requirement in declared} <= set(locked("requirements.lock"))
    for requirement in map(Requirement, [*project["dependencies"], *apart]):
        assert locked("requirements-petastorm.lock")[canonical(str(requirement))] in requirement.specifier
    assert "petastorm" not in locked("requirements.lock")


def test_the_runtime_lock_is_of_the_lock_without_spark_and_test_tools():
    runtime, whole = locked("requirements-runtime.lock"), locked("requirements.lock")
    assert runtime.items() <= whole.items()
    assert {"pyspark", "delta-spark", "py4j", "pytest", "moto", "mypy", "ruff", "duckdb"} & set(
        runtime
    ) == set()
    assert {"torch", "easyocr", "open-clip-torch", "mlflow", "s3fs", "img2dataset"} <= set(runtime)


# -- Databricks


def test_the_bundle_includes_its_resources():
    assert set(RESOURCES) == {path.name for path in (DATABRICKS / "resources").iterdir()}
    assert {"profile.job.yml", "experiment.yml"} <= set(RESOURCES)


def test_one_task_per_profiled_stage_in_order():
    assert [task["task_key"] for task in JOB["tasks"]] == PROFILED


@pytest.mark.parametrize("name", PROFILED)
def test_a_task_depends_on_what_its_stage_reads(name):
    depends_on = [task["task_key"] for task in TASKS[name].get("depends_on", [])]
    assert len(depends_on) == len(set(depends_on))
    assert set(depends_on) == upstream_of(name)


@pytest.mark.parametrize("name", PROFILED)
def test_a_task_runs_its_stage(name):
    wheel_task = TASKS[name]["python_wheel_task"]
    values = parsed(wheel_task["parameters"])
    assert values["stages"] == [name]
    assert values["dataset"] == "{{job.parameters.dataset}}"
    assert values["warehouse"] == "${var.catalog}.${var.schema}"
    assert (values["source"] is not None) == (not BY_NAME[name].reads)
    assert values["settings"].tracking.experiment == "${resources.experiments.parrot.name}"
    assert (values["settings"].report.output is not None) == (name == "report")


CLIP_STAGES = [name for name in PROFILED if name in ("embed", "remove_text")]
DATABRICKS_ARGUMENTS = {name: TASKS[name]["python_wheel_task"]["parameters"] for name in PROFILED}
EMR_ARGUMENTS = {step["Name"].removeprefix("parrot "): step["Args"][2:] for step in STEPS}


def clip_models(arguments: dict[str, list[str]]) -> set[str]:
    """The CLIP models that the tasks of a job resolve to."""
    assert CLIP_STAGES == ["embed", "remove_text"]
    return {
        model for name in CLIP_STAGES for model in models_named(parsed(arguments[name])["settings"], name)
    }


@pytest.mark.parametrize("arguments", [DATABRICKS_ARGUMENTS, EMR_ARGUMENTS], ids=["databricks", "emr"])
def test_all_tasks_of_a_job_score_with_the_papers_clip_model(arguments):
    assert clip_models(arguments) == {"ViT-B-32/openai"}
    spotters = {repr(parsed(each)["settings"].spot_text) for each in arguments.values()}
    assert len(spotters) == 1


def test_a_task_that_names_its_own_model_would_be_found():
    own = [*DATABRICKS_ARGUMENTS["embed"], "--set", "embed.pretrained=laion2b_s34b_b79k"]
    assert len(clip_models({**DATABRICKS_ARGUMENTS, "embed": own})) == 2
    without = [
        each for each in DATABRICKS_ARGUMENTS["remove_text"] if each not in (*CONFIG_FILES, "--config")
    ]
    assert "parrot-tiny/random-0" in clip_models({**DATABRICKS_ARGUMENTS, "remove_text": without})


@pytest.mark.parametrize("name", PROFILED)
def test_model_stages_run_on_the_model_cluster(name):
    assert TASKS[name]["job_cluster_key"] == ("model" if BY_NAME[name].uses_model else "cpu")


def test_clusters_give_stages_their_spark_context():
    assert set(CLUSTERS) == {task["job_cluster_key"] for task in JOB["tasks"]}
    assert {cluster["data_security_mode"] for cluster in CLUSTERS.values()} == {"SINGLE_USER"}
    assert not any("environment_key" in task for task in JOB["tasks"]), "serverless has no sparkContext"


def test_the_entry_point_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for task in JOB["tasks"]:
        wheel_task = task["python_wheel_task"]
        assert wheel_task["package_name"] == project["name"].replace("-", "_")
        module, _, function = project["scripts"][wheel_task["entry_point"]].partition(":")
        assert callable(getattr(sys.modules[module], function))


def test_the_wheel_is_built_from_the_project_and_is_what_tasks_install():
    artifact = BUNDLE["artifacts"]["wheel"]
    project = (DATABRICKS / artifact["path"]).resolve()
    assert (project / "pyproject.toml").samefile(ROOT / "pyproject.toml")
    assert "--wheel-dir dist" in artifact["build"]
    for task in JOB["tasks"]:
        pinned, wheel = task["libraries"]
        assert [*wheel] == ["whl"], "the wheel without extras: the runtime brings Spark"
        # Paths of a resource file are relative to it.
        assert (DATABRICKS / "resources" / wheel["whl"]).resolve() == project / "dist" / "*.whl"
        assert (DATABRICKS / "resources" / pinned["requirements"]).resolve() == PINNED


def test_clusters_have_the_runtime_that_the_requirements_are_for():
    (version,) = re.findall(r"requirements-(.*)-ml\.txt", PINNED.name)
    for name in ("spark_version", "gpu_spark_version"):
        assert re.fullmatch(
            rf"{re.escape(version)}\.x-[cg]pu-ml-scala2\.13", BUNDLE["variables"][name]["default"]
        )


def test_nothing_of_the_runtime_is_replaced():
    runtime = {item.name: item for item in requirements(DATABRICKS / "runtime-17.3-ml.txt")}
    pinned = {item.name: item for item in requirements(PINNED)}
    kept = {name: item for name, item in pinned.items() if name in runtime}
    assert {"numpy", "pandas", "pyarrow", "torch", "pydantic", "fsspec", "mlflow-skinny"} <= set(kept)
    assert all(item.specifier == runtime[name].specifier for name, item in kept.items())
    assert {str(item.specifier)[:2] for name, item in pinned.items() if name not in kept} == {"=="}
    assert "pyspark" not in pinned
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for wanted in map(Requirement, project["dependencies"]):
        (version,) = re.findall(r"[=~]=(\S+)", str(pinned[canonical(str(wanted))]))
        assert version in wanted.specifier


def test_the_readme_tells_what_is_installed():
    text = (DATABRICKS / "README.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| (kept|added|replaced) \| \d+ \| (.*) \|$", text, re.MULTILINE))
    listed = set(re.findall(r"([a-z0-9-]+) \d[^,]*", f"{told['kept']}, {told['added']}"))
    assert listed == {item.name for item in requirements(PINNED)}
    assert told["replaced"].startswith("none")


def test_what_is_synchronised_exists():
    folders = [(DATABRICKS / path).resolve() for path in BUNDLE["sync"]["paths"]]
    assert DATABRICKS in folders
    assert ROOT / "notebooks" in folders
    assert Path(os.path.commonpath(folders)) == ROOT, "the wheel would lie outside of what may be uploaded"


def test_every_variable_is_declared_and_used():
    used = set(re.findall(r"\$\{var\.(\w+)\}", "\n".join(texts(RESOURCES) + texts(BUNDLE))))
    assert used == set(BUNDLE["variables"])
    assert all(variable["description"] for variable in BUNDLE["variables"].values())
    for target in BUNDLE["targets"].values():
        assert set(target["variables"]) <= set(BUNDLE["variables"])


def test_references_to_resources_exist():
    references = set(re.findall(r"\$\{resources\.(\w+)\.(\w+)\.\w+\}", "\n".join(texts(RESOURCES))))
    assert references
    for kind, name in references:
        assert any(name in resource["resources"].get(kind, {}) for resource in RESOURCES.values())
    parameters = {parameter["name"] for parameter in JOB["parameters"]}
    assert set(re.findall(r"\{\{job\.parameters\.(\w+)\}\}", "\n".join(texts(JOB["tasks"])))) == parameters


def test_dev_is_paused_and_the_default():
    dev, prod = BUNDLE["targets"]["dev"], BUNDLE["targets"]["prod"]
    assert dev["mode"] == "development"
    assert dev["default"] is True
    assert dev["variables"]["schedule_status"] == "PAUSED"
    assert prod["mode"] == "production"
    assert prod["variables"]["schedule_status"] == "UNPAUSED"
    assert prod["workspace"]["root_path"], "production mode asks for one"
    assert JOB["schedule"]["pause_status"] == "${var.schedule_status}"
    assert len(BUNDLE["variables"]["schedule"]["default"].split()) == 6, "Quartz cron has six fields"


def test_warehouse_of_the_bundle_is_a_catalog():
    for target in BUNDLE["targets"].values():
        schema = target["variables"].get("schema", BUNDLE["variables"]["schema"]["default"])
        assert is_catalog(f"main.{schema}")


def test_the_entry_point_returns_after_success(monkeypatch, capsys):
    # Databricks calls the function itself, and takes any SystemExit, even of 0, for a failure.
    monkeypatch.setattr(sys, "argv", ["parrot", "describe", "overlap"])
    cli.main()
    assert "overlap" in capsys.readouterr().out


def test_the_entry_point_fails_with_a_status(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["parrot", "describe", "nothing"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert "no stage or table nothing" in capsys.readouterr().err


# -- EMR


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
