"""The Databricks bundle against the code: tasks, order, parameters, clusters, entry points."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from spark_jobs import cli
from tests.deployments import (
    BUNDLE,
    BY_NAME,
    DATABRICKS,
    JOB,
    JOBS,
    PINNED,
    PROFILED,
    RESOURCES,
    ROOT,
    TASKS,
    canonical,
    parsed,
    requirements,
    texts,
    upstream_of,
)

ALL_TASKS = [task for job in JOBS.values() for task in job["tasks"]]


def test_the_bundle_includes_its_resources():
    assert set(RESOURCES) == {path.name for path in (DATABRICKS / "resources").iterdir()}
    assert {"profile.job.yml", "subset.job.yml", "weights.job.yml", "schema.yml"} <= set(RESOURCES)


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
    assert values["warehouse"] == "${var.catalog}.${resources.schemas.parrot.name}"
    assert (values["source"] is not None) == (not BY_NAME[name].reads)
    assert values["settings"].tracking.experiment == "${resources.experiments.parrot.name}"
    assert (values["settings"].report.output is not None) == (name == "report")


def test_all_listed_datasets_are_profiled_by_one_task():
    (task,) = JOBS["profile_all"]["tasks"]
    values = parsed(task["python_wheel_task"]["parameters"])
    assert not values["stages"]
    assert (values["dataset"], values["source"]) == (None, None)
    assert values["settings"].report.output.endswith("/report.html")
    text = (DATABRICKS / "parrot.yaml").read_text(encoding="utf-8")
    listed = re.findall(r"^# (datasets:|  - \{.*\})$", text, re.MULTILINE)
    assert [one["name"] for one in yaml.safe_load("\n".join(listed))["datasets"]] == ["cc12m", "laion"]


@pytest.mark.parametrize("name", PROFILED)
def test_model_stages_run_on_the_model_cluster(name):
    assert TASKS[name]["job_cluster_key"] == ("model" if BY_NAME[name].uses_model else "cpu")


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_clusters_give_stages_their_spark_context(job):
    clusters = {cluster["job_cluster_key"]: cluster["new_cluster"] for cluster in job["job_clusters"]}
    assert set(clusters) == {task["job_cluster_key"] for task in job["tasks"]}
    assert {cluster["data_security_mode"] for cluster in clusters.values()} == {"SINGLE_USER"}
    assert not any("environment_key" in task for task in job["tasks"]), "serverless has no sparkContext"


def test_the_entry_point_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for task in ALL_TASKS:
        wheel_task = task["python_wheel_task"]
        assert wheel_task["package_name"] == project["name"].replace("-", "_")
        module, _, function = project["scripts"][wheel_task["entry_point"]].partition(":")
        assert callable(getattr(sys.modules[module], function))


def test_the_wheel_is_built_from_the_project_and_is_what_tasks_install():
    artifact = BUNDLE["artifacts"]["wheel"]
    project = (DATABRICKS / artifact["path"]).resolve()
    assert (project / "pyproject.toml").samefile(ROOT / "pyproject.toml")
    assert artifact["build"].endswith("uv build --wheel --out-dir dist")
    for task in ALL_TASKS:
        pinned, wheel = task["libraries"]
        assert [*wheel] == ["whl"], "the wheel without extras: the runtime brings Spark"
        # Paths of a resource file are relative to it.
        assert (DATABRICKS / "resources" / wheel["whl"]).resolve() == project / "dist" / "*.whl"
        assert (DATABRICKS / "resources" / pinned["requirements"]).resolve() == PINNED


def test_clusters_have_the_runtime_that_the_requirements_are_for():
    (version,) = re.findall(r"requirements-(.*)-ml\.txt", PINNED.name)
    assert BUNDLE["variables"]["runtime"]["default"] == version


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


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_every_parameter_of_a_job_is_declared_and_used(job):
    declared = {parameter["name"] for parameter in job.get("parameters", [])}
    assert set(re.findall(r"\{\{job\.parameters\.(\w+)\}\}", "\n".join(texts(job["tasks"])))) == declared


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
    assert "no stage, table or view nothing" in capsys.readouterr().err
