"""The files of the deployments, read for tests: bundle, job, steps, locks, and what a task resolves to."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
from pathlib import Path

import typer.main
import yaml
from packaging.requirements import Requirement

from spark_jobs import cli
from spark_jobs.config import load_config
from spark_jobs.pipeline import STAGES, select

ROOT = Path(__file__).resolve().parents[1]
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
JOBS = {name: job for file in RESOURCES.values() for name, job in file["resources"].get("jobs", {}).items()}
JOB = JOBS["profile"]
TASKS = {task["task_key"]: task for task in JOB["tasks"]}
CLUSTERS = {cluster["job_cluster_key"]: cluster["new_cluster"] for cluster in JOB["job_clusters"]}
# Where the jobs read their one configuration, and the file of the checkout that lies there.
CONFIG_FILES = {
    "/files/deploy/databricks/parrot.yaml": DATABRICKS / "parrot.yaml",
    "${workspace.file_path}/deploy/databricks/parrot.yaml": DATABRICKS / "parrot.yaml",
    "${CONFIG}": EMR / "parrot.yaml",
    "s3://bucket/parrot/parrot.yaml": EMR / "parrot.yaml",
}
_specification = importlib.util.spec_from_file_location("cluster", EMR / "cluster.py")
cluster = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(cluster)
STEPS = json.loads((EMR / "steps.json").read_text(encoding="utf-8"))


def upstream_of(name: str) -> set[str]:
    """Stages of the job that write what a stage reads."""
    reads = set(BY_NAME[name].reads)
    return {stage.name for stage in STAGES if stage.profiles and set(stage.writes) & reads}


def parsed(arguments: list[str]) -> dict[str, object]:
    """Options of a `parrot` command line, parsed as the command line does; and the settings looked up."""
    name, *rest = arguments
    values = typer.main.get_command(cli.app).commands[name].make_context(name, list(rest)).params
    select(values.get("stages") or [])
    given = str(values["config"])
    file = next((file for place, file in CONFIG_FILES.items() if given.endswith(place)), values["config"])
    config = load_config(file and str(file), overrides=tuple(values.get("set_") or ()))
    return {**listed(values), "settings": config}


def listed(values: dict[str, object]) -> dict[str, object]:
    """Values as this version of click gives them: older ones have tuples where newer ones have lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


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
