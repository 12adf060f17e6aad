"""What cluster.py asks AWS for, held against AWS' own description of its requests (botocore) and against moto."""

from __future__ import annotations

import copy
import itertools
import json
import re
import shlex
import string
from pathlib import Path

import pytest
import yaml

from spark_jobs.clip_models import models_named
from tests.deployments import EMR, PROFILED, ROOT, cluster, locked, parsed, texts

pytest.importorskip("moto", reason="extra dev brings moto, and boto3 with it")
import boto3
from botocore.exceptions import ParamValidationError
from botocore.validate import validate_parameters
from moto import mock_aws

GIVEN = yaml.safe_load((EMR / "cluster.yaml").read_text(encoding="utf-8"))
SETTINGS = {
    **GIVEN,
    "folder": "s3://bucket/parrot",
    "source": "s3://bucket/cc12m",
    "warehouse": "s3://bucket/warehouse",
    "tracking_uri": "http://mlflow.internal:5000",
    "scheduler_role": "arn:aws:iam::123456789012:role/parrot-scheduler",
}
REQUEST = cluster.request(SETTINGS)
WITH_GPUS = cluster.request({**SETTINGS, "gpu": True, "core": "g5.2xlarge", "subnet": "subnet-1"})
README = (EMR / "README.md").read_text(encoding="utf-8")


def faults(request: dict[str, object]) -> str:
    """What botocore finds wrong with a RunJobFlow request; empty where nothing is."""
    shape = (
        boto3.client("emr", region_name="eu-central-1")
        .meta.service_model.operation_model("RunJobFlow")
        .input_shape
    )
    return validate_parameters_of(request, shape)


def validate_parameters_of(request: dict[str, object], shape: object) -> str:
    try:
        validate_parameters(request, shape)
    except ParamValidationError as error:
        return str(error)
    return ""


def test_settings_still_to_be_filled_in_are_named():
    with pytest.raises(SystemExit) as caught:
        cluster.request(GIVEN)
    for name in ("folder", "source", "warehouse", "tracking_uri", "scheduler_role"):
        assert name in str(caught.value)


def test_a_release_whose_delta_nobody_knows_is_refused():
    with pytest.raises(SystemExit, match=r"emr-6\.15\.0 is not one of .*emr-7\.13"):
        cluster.request({**SETTINGS, "release": "emr-6.15.0"})


@pytest.mark.parametrize("request_", [REQUEST, WITH_GPUS], ids=["cpu", "gpu"])
def test_the_request_is_one_that_aws_knows(request_):
    assert faults(request_) == ""


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"RootVolumeSize": 60}, "Unknown parameter"),
        ({"EbsRootVolumeSize": "60"}, "Invalid type"),
        ({"Steps": [{"Name": "x"}]}, "Missing required parameter"),
    ],
)
def test_a_wrong_request_would_be_found(change, found):
    assert found in faults({**copy.deepcopy(REQUEST), **change})


def test_the_cluster_ends_itself_logs_and_has_room():
    assert REQUEST["AutoTerminationPolicy"] == {"IdleTimeout": 1800}
    assert REQUEST["Instances"]["KeepJobFlowAliveWhenNoSteps"] is True, (
        "else a failed step could not be looked at"
    )
    assert REQUEST["LogUri"] == "s3://bucket/parrot/logs/"
    assert REQUEST["EbsRootVolumeSize"] >= 40, "torch with CUDA alone takes 5 GB, and AWS' default is 15"
    assert "Ec2SubnetId" not in REQUEST["Instances"]
    assert WITH_GPUS["Instances"]["Ec2SubnetId"] == "subnet-1"


def test_delta_is_the_releases_own_in_java_and_python():
    assert REQUEST["ReleaseLabel"] == "emr-7.13.0"
    assert {"Classification": "delta-defaults", "Properties": {"delta.enabled": "true"}} in REQUEST[
        "Configurations"
    ]
    (action,) = REQUEST["BootstrapActions"]
    assert action["ScriptBootstrapAction"] == {
        "Path": "s3://bucket/parrot/bootstrap.sh",
        "Args": ["s3://bucket/parrot/", "3.3.2"],
    }
    assert 'delta_version="${2:-3.3.2}"' in (EMR / "bootstrap.sh").read_text(encoding="utf-8")
    assert not {"pyspark", "delta-spark"} & set(locked("requirements-runtime.lock"))


def test_gpus_are_known_to_yarn_and_spark():
    configurations = {each["Classification"]: each["Properties"] for each in WITH_GPUS["Configurations"]}
    assert configurations["yarn-site"]["yarn.resource-types"] == "yarn.io/gpu"
    spark = configurations["spark-defaults"]
    assert spark["spark.executor.resource.gpu.discoveryScript"] == "/opt/parrot/gpus.sh"
    cores = int(
        re.findall(r"spark\.executor\.cores=(\d+)", (EMR / "submit.sh").read_text(encoding="utf-8"))[0]
    )
    assert float(spark["spark.task.resource.gpu.amount"]) * cores == float(
        spark["spark.executor.resource.gpu.amount"]
    )
    assert WITH_GPUS["BootstrapActions"][0]["ScriptBootstrapAction"]["Args"][2] == "gpu"
    mounted = configurations["yarn-site"]["yarn.nodemanager.linux-container-executor.cgroups.mount-path"]
    assert f"mkdir -p {mounted}/" in (EMR / "bootstrap.sh").read_text(encoding="utf-8")
    assert "yarn-site" not in {each["Classification"] for each in REQUEST["Configurations"]}


def test_the_steps_are_the_stages_with_one_model_from_where_the_nodes_have_it():
    values = [parsed(step["HadoopJarStep"]["Args"][2:]) for step in REQUEST["Steps"]]
    assert [each["stages"] for each in values] == [[name] for name in PROFILED]
    assert {each["warehouse"] for each in values} == {"s3://bucket/warehouse"}
    assert {each["dataset"] for each in values} == {"cc12m"}
    assert values[0]["source"] == "s3://bucket/cc12m"
    assert {each["settings"].tracking.uri for each in values} == {"http://mlflow.internal:5000"}
    for each in values:
        assert models_named(each["settings"], "embed") == ["ViT-B-32/openai"]
        assert models_named(each["settings"], "remove_text") == ["ViT-B-32/openai"]
        assert str(each["settings"].embed.cache_dir) == "/opt/parrot/weights"
    assert not any("${" in text for text in texts(REQUEST))


def test_several_datasets_have_their_steps_one_after_the_other_and_one_report():
    datasets = [
        {"name": "laion", "source": "s3://bucket/laion"},
        {"name": "coyo", "source": "s3://bucket/coyo"},
    ]
    request = cluster.request({**SETTINGS, "source": GIVEN["source"], "datasets": datasets})
    assert faults(request) == ""
    values = [parsed(step["HadoopJarStep"]["Args"][2:]) for step in request["Steps"]]
    own = [name for name in PROFILED if name != "report"]
    assert [each["stages"] for each in values] == [[name] for name in [*own, *own, "report"]]
    assert [each["dataset"] for each in values[: len(own) + 1]] == ["laion"] * len(own) + ["coyo"]
    assert [each["source"] for each in values if each["source"]] == ["s3://bucket/laion", "s3://bucket/coyo"]
    assert {step["ActionOnFailure"] for step in request["Steps"]} == {"CONTINUE"}
    assert [request["Steps"][place]["Name"] for place in (0, len(own), -1)] == [
        "parrot ingest laion",
        "parrot ingest coyo",
        "parrot report",
    ]
    with pytest.raises(SystemExit, match="fill in datasets"):
        cluster.request({**SETTINGS, "datasets": [{"name": "laion", "source": "s3://BUCKET/laion"}]})


def test_the_schedule_sends_the_same_request():
    schedule = cluster.schedule(SETTINGS)
    operation = boto3.client("scheduler", region_name="eu-central-1").meta.service_model.operation_model(
        "CreateSchedule"
    )
    assert validate_parameters_of(schedule, operation.input_shape) == ""
    assert validate_parameters_of({**schedule, "Timezone": "UTC"}, operation.input_shape) != ""
    assert json.loads(schedule["Target"]["Input"]) == REQUEST
    assert schedule["Target"]["Arn"] == "arn:aws:scheduler:::aws-sdk:emr:runJobFlow"
    assert re.fullmatch(r"cron\(\S+( \S+){5}\)", schedule["ScheduleExpression"])


@pytest.fixture
def account(monkeypatch, tmp_path):
    """An account of moto's, and a file of settings."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    with mock_aws():
        yield str(file)


def test_start_starts_it(account, capsys):
    cluster.main(["start", account])
    client = boto3.client("emr")
    identity = capsys.readouterr().out.strip()
    described = client.describe_cluster(ClusterId=identity)["Cluster"]
    assert (described["Name"], described["ReleaseLabel"]) == ("parrot", "emr-7.13.0")
    listed = client.list_steps(ClusterId=identity)["Steps"]
    assert {step["Name"] for step in listed} == {f"parrot {name}" for name in PROFILED}


def test_schedule_puts_it_and_puts_it_again(account, capsys):
    for _ in range(2):
        cluster.main(["schedule", account])
    assert capsys.readouterr().out == "parrot: cron(0 3 * * ? *) UTC\n" * 2
    (found,) = boto3.client("scheduler").list_schedules()["Schedules"]
    assert found["Name"] == "parrot"


def test_upload_brings_all_that_nodes_fetch(account, monkeypatch, tmp_path):
    wheel = tmp_path / "parrot_captions-0.1.0-py3-none-any.whl"
    wheel.touch()
    names = {name: EMR / name for name in cluster.NODE_FILES}
    lock = ROOT / "requirements-runtime.lock"
    monkeypatch.setattr(cluster, "files", lambda: {wheel.name: wheel, lock.name: lock, **names})
    boto3.client("s3").create_bucket(
        Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    cluster.main(["upload", account])
    listed = {each["Key"] for each in boto3.client("s3").list_objects_v2(Bucket="bucket")["Contents"]}
    # What install.sh and bootstrap.sh name in the folder.
    assert listed == {f"parrot/{name}" for name in (wheel.name, lock.name, *cluster.NODE_FILES)}
    assert all((EMR / name).is_file() for name in cluster.NODE_FILES)


def test_show_prints_the_request(account, capsys):
    cluster.main(["show", account])
    assert json.loads(capsys.readouterr().out) == REQUEST


@pytest.mark.parametrize("arguments", [[], ["stop"], ["start", "a", "b"]])
def test_a_wrong_call_says_how(arguments):
    with pytest.raises(SystemExit, match=r"usage: cluster\.py upload\|start\|schedule\|show"):
        cluster.main(arguments)


def test_the_readmes_commands_are_cluster_pys():
    named = re.findall(r"uv run deploy/emr/cluster\.py (\w+)", README)
    assert named[:2] == ["upload", "start"], "two commands do"
    assert set(named) == {"upload", "start", "schedule", "show"}
    roots = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"uv run deploy/emr/cluster\.py (\w+)", roots) == ["upload", "start"]


def test_the_readme_tells_the_versions():
    (row,) = re.findall(r"^\| Spark and Delta's jar \| (.*?) \|", README, re.MULTILINE)
    assert row == f"3.5.6 and {cluster.DELTA['emr-7.13']} (`{GIVEN['release']}`)"
    (count,) = re.findall(r"^\| (\d+) packages and the wheel", README, re.MULTILINE)
    assert int(count) == len(locked("requirements-runtime.lock"))


def test_the_serverless_job_resolves_to_the_same_models_and_settings():
    text = (EMR / "serverless" / "job.json").read_text(encoding="utf-8")
    names = set(re.findall(r"\$\{(\w+)\}", text))
    (exports,) = re.findall(r"^export (CONFIG=.*)$", README, re.MULTILINE)
    assert names == {assignment.partition("=")[0] for assignment in exports.split()}
    values = {name: "x" for name in names} | {"CONFIG": "s3://bucket/parrot/parrot.yaml"}
    job = json.loads(string.Template(text).substitute(values))
    shape = (
        boto3.client("emr-serverless", region_name="eu-central-1")
        .meta.service_model.operation_model("StartJobRun")
        .input_shape.members["jobDriver"]
    )
    assert validate_parameters_of(job, shape) == ""
    submit = job["sparkSubmit"]
    values = parsed(submit["entryPointArguments"])
    assert models_named(values["settings"], "embed") == ["ViT-B-32/openai"]
    words = shlex.split(submit["sparkSubmitParameters"])
    settings = dict(value.partition("=")[::2] for key, value in itertools.pairwise(words) if key == "--conf")
    of_cluster = dict(
        re.findall(r'--conf "?(spark[\w.]+)=([\w.]+)"? ', (EMR / "submit.sh").read_text(encoding="utf-8"))
    )
    for name in ("spark.sql.extensions", "spark.sql.catalog.spark_catalog", "spark.executor.cores"):
        assert settings[name] == of_cluster[name]
    python = "/opt/parrot/bin/python"
    assert settings["spark.executorEnv.PYSPARK_PYTHON"] == python
    assert settings["spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON"] == python
    assert submit["entryPoint"] == "local:///opt/parrot/main.py"


def test_the_image_installs_what_nodes_install():
    text = (EMR / "serverless" / "Dockerfile").read_text(encoding="utf-8")
    instructions = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    (release,) = [words[1] for words in instructions if words[0] == "ARG" and words[1].startswith("RELEASE=")]
    assert release == f"RELEASE={GIVEN['release']}"
    assert ["ARG", "DELTA_VERSION=3.3.2"] in instructions
    copied = [name for words in instructions if words[0] == "COPY" for name in words[1:-1]]
    for name in copied:
        if "*" not in name:
            assert (ROOT / name).is_file()
    assert "requirements-runtime.lock" in copied
    installed = (EMR / "install.sh").read_text(encoding="utf-8")
    for name in re.findall(r'"\$folder/([\w.-]+)"', installed):
        assert name == "weights" or any(Path(each).name == name for each in copied)
    runs = [" ".join(words[1:]) for words in instructions if words[0] == "RUN"]
    assert runs == ["bash /tmp/parrot/install.sh /tmp/parrot ${DELTA_VERSION} && rm -rf /tmp/parrot"]
    assert [words[1] for words in instructions if words[0] == "USER"] == ["root", "hadoop:hadoop"]
