# /// script
# requires-python = ">=3.11"
# dependencies = ["boto3", "pyyaml"]
# ///
"""Uploads what EMR's nodes need, and starts or schedules a cluster that runs all stages and ends itself.

    uv run deploy/emr/cluster.py upload|start|schedule|show [SETTINGS.yaml]

`show` prints the request; it needs no account. Settings are those of cluster.yaml.
"""

from __future__ import annotations

import json
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NODE_FILES = ("bootstrap.sh", "install.sh", "main.py", "submit.sh", "gpus.sh", "parrot.yaml")
# Delta's Python module, by release of EMR: that of the jar which the release brings.
DELTA = {"emr-7.11": "3.3.2", "emr-7.12": "3.3.2", "emr-7.13": "3.3.2"}
# YARN gives GPUs to containers only where it is told of them; the bootstrap action mounts the cgroup.
_GPU_CONFIGURATIONS: list[dict[str, Any]] = [
    {
        "Classification": "yarn-site",
        "Properties": {
            "yarn.resource-types": "yarn.io/gpu",
            "yarn.nodemanager.resource-plugins": "yarn.io/gpu",
            "yarn.nodemanager.resource-plugins.gpu.allowed-gpu-devices": "auto",
            "yarn.nodemanager.resource-plugins.gpu.path-to-discovery-executables": "/usr/bin",
            "yarn.nodemanager.container-executor.class": "org.apache.hadoop.yarn.server.nodemanager."
            "LinuxContainerExecutor",
            "yarn.nodemanager.linux-container-executor.cgroups.mount": "true",
            "yarn.nodemanager.linux-container-executor.cgroups.mount-path": "/parrot-cgroup",
            "yarn.nodemanager.linux-container-executor.cgroups.hierarchy": "yarn",
        },
    },
    {
        "Classification": "container-executor",
        "Properties": {},
        "Configurations": [
            {"Classification": "gpu", "Properties": {"module.enabled": "true"}},
            {"Classification": "cgroups", "Properties": {"root": "/parrot-cgroup", "yarn-hierarchy": "yarn"}},
        ],
    },
    {
        "Classification": "capacity-scheduler",
        "Properties": {
            "yarn.scheduler.capacity.resource-calculator": "org.apache.hadoop.yarn.util.resource."
            "DominantResourceCalculator"
        },
    },
    {
        "Classification": "spark-defaults",
        # An executor has two cores (submit.sh), so two tasks share its GPU.
        "Properties": {
            "spark.executor.resource.gpu.amount": "1",
            "spark.task.resource.gpu.amount": "0.5",
            "spark.executor.resource.gpu.discoveryScript": "/opt/parrot/gpus.sh",
        },
    },
]


def request(settings: dict[str, Any]) -> dict[str, Any]:
    """The request (RunJobFlow) that starts the cluster with all steps.

    Raises:
        SystemExit: If a setting is still a name in capitals, or nothing is known of the release.
    """
    _check(settings)
    folder = settings["folder"].rstrip("/")
    delta = DELTA[settings["release"].rpartition(".")[0]]
    kind = ["gpu"] if settings["gpu"] else []
    instances: dict[str, Any] = {
        "InstanceGroups": [
            _group("MASTER", settings["primary"], 1),
            _group("CORE", settings["core"], settings["core_count"]),
        ],
        "KeepJobFlowAliveWhenNoSteps": True,
    }
    if settings["subnet"]:
        instances["Ec2SubnetId"] = settings["subnet"]
    return {
        "Name": settings["name"],
        "ReleaseLabel": settings["release"],
        "Applications": [{"Name": "Spark"}],
        "LogUri": f"{folder}/logs/",
        "Instances": instances,
        "EbsRootVolumeSize": settings["root_volume_gb"],
        "AutoTerminationPolicy": {"IdleTimeout": 60 * settings["idle_minutes"]},
        "Configurations": [
            {"Classification": "delta-defaults", "Properties": {"delta.enabled": "true"}},
            *(_GPU_CONFIGURATIONS if settings["gpu"] else []),
        ],
        "BootstrapActions": [
            {
                "Name": "parrot",
                "ScriptBootstrapAction": {
                    "Path": f"{folder}/bootstrap.sh",
                    "Args": [f"{folder}/", delta, *kind],
                },
            }
        ],
        "Steps": steps(settings),
        "ServiceRole": settings["service_role"],
        "JobFlowRole": settings["instance_profile"],
        "VisibleToAllUsers": True,
    }


def steps(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of steps.json, as the request has them; of several datasets one after the other, and one report.

    Of several datasets, a step that fails does not cancel those behind it: they are the other datasets'.
    """
    listed = json.loads((HERE / "steps.json").read_text(encoding="utf-8"))
    datasets = settings.get("datasets")
    if not datasets:
        return [_step(step, settings) for step in listed]
    *own, report = listed
    made = []
    for one in datasets:
        values = {**settings, "dataset": one["name"], "source": one["source"]}
        for step in own:
            each = _step(step, values)
            made.append({**each, "Name": f"{each['Name']} {one['name']}", "ActionOnFailure": "CONTINUE"})
    return [*made, {**_step(report, values), "ActionOnFailure": "CONTINUE"}]


def _step(step: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    values = {
        "CONFIG": f"{settings['folder'].rstrip('/')}/parrot.yaml",
        "SOURCE": settings["source"],
        "DATASET": settings["dataset"],
        "WAREHOUSE": settings["warehouse"],
        "TRACKING_URI": settings["tracking_uri"],
    }
    return {
        "Name": step["Name"],
        "ActionOnFailure": step["ActionOnFailure"],
        "HadoopJarStep": {
            "Jar": step["Jar"],
            "Args": [string.Template(argument).substitute(values) for argument in step["Args"]],
        },
    }


def schedule(settings: dict[str, Any]) -> dict[str, Any]:
    """The schedule of EventBridge Scheduler that sends the request."""
    return {
        "Name": settings["name"],
        "ScheduleExpression": settings["schedule"],
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": "arn:aws:scheduler:::aws-sdk:emr:runJobFlow",
            "RoleArn": settings["scheduler_role"],
            "Input": json.dumps(request(settings)),
            # A cluster that may have been started is not started a second time.
            "RetryPolicy": {"MaximumRetryAttempts": 0},
        },
    }


def files() -> dict[str, Path]:
    """What nodes fetch, by its name in the folder; the wheel is built."""
    dist = ROOT / "dist"
    for old in dist.glob("parrot_captions-*.whl"):
        old.unlink()
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", str(dist)], cwd=ROOT, check=True)
    (wheel,) = dist.glob("parrot_captions-*.whl")
    lock = ROOT / "requirements-runtime.lock"
    weights = {f"weights/{file.name}": file for file in sorted((ROOT / "weights").glob("*"))}
    return {wheel.name: wheel, lock.name: lock, **{name: HERE / name for name in NODE_FILES}, **weights}


def _group(role: str, kind: str, count: int) -> dict[str, Any]:
    return {"Name": role.lower(), "InstanceRole": role, "InstanceType": kind, "InstanceCount": count}


def _check(settings: dict[str, Any]) -> None:
    needed = {
        key: value for key, value in settings.items() if key != "source" or not settings.get("datasets")
    }
    unfilled = [
        key
        for key, value in needed.items()
        if isinstance(value, str | list)
        and any(name in str(value) for name in ("BUCKET", "MLFLOW", "ACCOUNT"))
    ]
    if unfilled:
        sys.exit(f"fill in {', '.join(unfilled)}: BUCKET, MLFLOW and ACCOUNT stand for names of yours")
    if settings["release"].rpartition(".")[0] not in DELTA:
        sys.exit(f"release {settings['release']} is not one of {', '.join(DELTA)}: see DELTA in {__file__}")


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    import yaml

    names = ("upload", "start", "schedule", "show")
    if not arguments or arguments[0] not in names or len(arguments) > 2:
        sys.exit(f"usage: cluster.py {'|'.join(names)} [SETTINGS.yaml]")
    file = Path(arguments[1]) if arguments[1:] else HERE / "cluster.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    wanted = request(settings)
    if arguments[0] == "show":
        sys.stdout.write(json.dumps(wanted, indent=2) + "\n")
        return
    import boto3

    if arguments[0] == "upload":
        bucket, _, prefix = settings["folder"].removeprefix("s3://").rstrip("/").partition("/")
        for name, path in files().items():
            boto3.client("s3").upload_file(str(path), bucket, f"{prefix}/{name}" if prefix else name)
            sys.stdout.write(f"{settings['folder'].rstrip('/')}/{name}\n")
    elif arguments[0] == "start":
        sys.stdout.write(boto3.client("emr").run_job_flow(**wanted)["JobFlowId"] + "\n")
    else:
        _put_schedule(boto3.client("scheduler"), schedule(settings))


def _put_schedule(client: Any, wanted: dict[str, Any]) -> None:
    try:
        client.update_schedule(**wanted)
    except client.exceptions.ResourceNotFoundException:
        client.create_schedule(**wanted)
    sys.stdout.write(f"{wanted['Name']}: {wanted['ScheduleExpression']} UTC\n")


if __name__ == "__main__":
    main(sys.argv[1:])
