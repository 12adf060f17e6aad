"""What the Databricks bundle comes to in dev, staging and prod: paths, identity, names, models, schedule."""

from __future__ import annotations

import itertools
import re
import shlex

import pytest

from spark_jobs.clip_models import models_named
from spark_jobs.commands.export import ExportOptions, order
from spark_jobs.export.formats import FORMATS
from spark_jobs.runner.ship_files import is_on_every_node
from spark_jobs.subsets.definition import known_definitions
from spark_jobs.warehouse.addresses import is_catalog
from tests.bundle import GIVEN, SHARED, UnresolvedError, resolved
from tests.deployments import BUNDLE, DATABRICKS, PROFILED, parsed

PRINCIPAL = SHARED["service_principal"]
TARGETS = {
    "dev": resolved("dev", GIVEN),
    "staging": resolved("staging", {**GIVEN, **SHARED}),
    "prod": resolved("prod", {**GIVEN, **SHARED}),
}
WAREHOUSES = {"dev": "main.dev_ann_lee_parrot", "staging": "main.parrot_staging", "prod": "main.parrot"}
every_target = pytest.mark.parametrize("target", TARGETS)
shared_target = pytest.mark.parametrize("target", ["staging", "prod"])


def arguments_of(target: str, job: str) -> dict[str, list[str]]:
    """Command lines of a job's tasks."""
    tasks = TARGETS[target]["resources"]["jobs"][job]["tasks"]
    return {task["task_key"]: task["python_wheel_task"]["parameters"] for task in tasks}


def with_parameters(arguments: list[str], **values: str) -> list[str]:
    """A command line with the job's parameters in their places, as a run has them."""
    for name, value in values.items():
        arguments = [argument.replace(f"{{{{job.parameters.{name}}}}}", value) for argument in arguments]
    return arguments


def test_the_targets_are_these():
    assert set(BUNDLE["targets"]) == set(TARGETS)
    assert [name for name, target in BUNDLE["targets"].items() if target.get("default")] == ["dev"]


def test_a_target_asks_for_what_only_its_owner_knows():
    with pytest.raises(UnresolvedError, match="catalog"):
        resolved("dev", {})
    with pytest.raises(UnresolvedError, match=r"\['readers', 'service_principal'\]"):
        resolved("prod", GIVEN)
    with pytest.raises(UnresolvedError, match="not declared: \\['nodes'\\]"):
        resolved("dev", {**GIVEN, "nodes": 8})


@every_target
def test_all_tasks_of_all_jobs_have_one_warehouse_and_one_configuration(target):
    warehouse = WAREHOUSES[target]
    assert is_catalog(warehouse)
    lines = [line for job in ("profile", "subset") for line in arguments_of(target, job).values()]
    assert len(lines) == len(PROFILED) + 2
    values = [parsed(with_parameters(line, size="null", seed="null")) for line in lines]
    assert {each["warehouse"] for each in values} == {warehouse}
    root = TARGETS[target]["workspace"]["root_path"]
    (staging,) = arguments_of(target, "weights").values()
    assert {each["config"] for each in [*values, parsed(staging)]} == {
        f"{root}/files/deploy/databricks/parrot.yaml"
    }


@every_target
def test_models_are_the_papers_and_lie_where_the_job_weights_puts_them(target):
    values = {name: parsed(line) for name, line in arguments_of(target, "profile").items()}
    for name in ("embed", "remove_text"):
        assert models_named(values[name]["settings"], name) == ["ViT-B-32/openai"]
    (folder,) = {str(each["settings"].embed.cache_dir) for each in values.values()}
    (staging,) = arguments_of(target, "weights").values()
    assert str(parsed(staging)["to"]) == folder
    assert folder == f"/Volumes/{WAREHOUSES[target].replace('.', '/')}/weights"
    assert is_on_every_node(parsed(staging)["to"])


@every_target
def test_report_and_exports_go_to_volumes_of_the_bundle(target):
    volumes = TARGETS[target]["resources"]["volumes"]
    for volume in volumes.values():
        assert f"{volume['catalog_name']}.{volume['schema_name']}" == WAREHOUSES[target]
    folder = f"/Volumes/{WAREHOUSES[target].replace('.', '/')}"
    report = parsed(arguments_of(target, "profile")["report"])
    assert report["settings"].report.output == f"{folder}/{volumes['reports']['name']}/report.html"
    line = with_parameters(arguments_of(target, "subset")["export"], dataset="cc12m", subset="debiased")
    to = parsed(line)["to"]
    assert to == f"{folder}/{volumes['exports']['name']}/cc12m/debiased-{{{{job.run_id}}}}"


@every_target
def test_the_subset_job_builds_and_writes_what_its_parameters_say(target):
    job = TARGETS[target]["resources"]["jobs"]["subset"]
    defaults = {parameter["name"]: parameter["default"] for parameter in job["parameters"]}
    assert defaults["dataset"] == "cc12m"
    for wanted, size in ((defaults, None), ({**defaults, "size": "1000", "subset": "cotr_eq_1"}, 1000)):
        curate, export = (
            parsed(with_parameters(arguments_of(target, "subset")[task], **wanted))
            for task in ("curate", "export")
        )
        assert curate["subsets"] == [wanted["subset"]]
        assert wanted["subset"] in known_definitions(curate["settings"].curate)
        assert (curate["settings"].curate.size, curate["settings"].curate.seed) == (size, None)
        assert (export["subset"], export["format_"]) == (wanted["subset"], "webdataset")
        settings = export["settings"].model_copy(update={"dataset": export["dataset"]})
        assert order(settings, export["subset"], ExportOptions(export["to"], export["format_"])).format in [
            *FORMATS.values()
        ]
    tasks = {task["task_key"]: task for task in job["tasks"]}
    assert tasks["export"]["depends_on"] == [{"task_key": "curate"}]


@every_target
def test_the_experiment_is_the_bundles_own_and_survives_the_command_line(target):
    (name,) = {
        parsed(line)["settings"].tracking.experiment for line in arguments_of(target, "profile").values()
    }
    owner = "ann.lee@example.com" if target == "dev" else PRINCIPAL
    prefix = "[dev ann_lee] " if target == "dev" else ""
    assert name == f"/Users/{owner}/{prefix}parrot-captions-{target}"
    assert TARGETS[target]["resources"]["experiments"]["parrot"]["name"] == name


@every_target
def test_the_registered_model_lies_in_the_schema_and_is_what_training_registers(target):
    (model,) = TARGETS[target]["resources"]["registered_models"].values()
    name = f"{model['catalog_name']}.{model['schema_name']}.{model['name']}"
    assert name == f"{WAREHOUSES[target]}.{'dev_ann_lee_' if target == 'dev' else ''}clip"
    named = re.findall(r"train_clip\.register_as=(\S+?)[`'\s]", README)
    assert [each.replace("CATALOG.SCHEMA", WAREHOUSES["prod"]) for each in named] == ["main.parrot.clip"]


@shared_target
def test_shared_targets_lie_at_one_place_whoever_deploys_and_run_as_the_principal(target):
    bundle = TARGETS[target]
    root = f"/Workspace/Users/{PRINCIPAL}/.bundle/parrot-captions/{target}"
    assert bundle["workspace"]["root_path"] == root
    assert BUNDLE["targets"][target]["workspace"]["root_path"], "production mode asks for one"
    assert BUNDLE["targets"][target]["mode"] == "production"
    assert bundle["run_as"] == {"service_principal_name": PRINCIPAL}
    assert {"level": "CAN_MANAGE", "service_principal_name": PRINCIPAL} in bundle["permissions"]
    assert {"level": "CAN_VIEW", "group_name": "data-readers"} in bundle["permissions"]


@shared_target
def test_shared_schemas_are_kept_and_may_be_read(target):
    resources = TARGETS[target]["resources"]
    kept = [each for kind in ("schemas", "volumes", "registered_models") for each in resources[kind].values()]
    assert len(kept) == 5
    assert all(each["lifecycle"] == {"prevent_destroy": True} for each in kept)
    grants = {grant["principal"]: grant["privileges"] for grant in resources["schemas"]["parrot"]["grants"]}
    assert grants[PRINCIPAL] == ["ALL_PRIVILEGES"]
    assert set(grants["data-readers"]) == {"USE_SCHEMA", "SELECT", "READ_VOLUME", "EXECUTE"}


def test_dev_is_ones_own_copy_and_may_be_destroyed():
    assert BUNDLE["targets"]["dev"]["mode"] == "development"
    assert TARGETS["dev"]["run_as"] is None
    assert "ann.lee" in TARGETS["dev"]["workspace"]["root_path"], "development mode asks for it"
    assert "lifecycle" not in TARGETS["dev"]["resources"]["schemas"]["parrot"]


def test_only_prod_runs_by_itself():
    jobs = {target: bundle["resources"]["jobs"] for target, bundle in TARGETS.items()}
    states = {target: each["profile"]["schedule"]["pause_status"] for target, each in jobs.items()}
    assert states == {"dev": "PAUSED", "staging": "PAUSED", "prod": "UNPAUSED"}
    assert not any("schedule" in each[name] for each in jobs.values() for name in ("subset", "weights"))
    schedule = jobs["prod"]["profile"]["schedule"]
    assert schedule["timezone_id"] == "UTC"
    assert len(schedule["quartz_cron_expression"].split()) == 6, "Quartz cron has six fields"


@every_target
def test_a_run_is_warned_of_then_stopped_before_the_next_is_due(target):
    profile = TARGETS[target]["resources"]["jobs"]["profile"]
    (rule,) = profile["health"]["rules"]
    assert rule["value"] < profile["timeout_seconds"] < 24 * 3600
    assert profile["max_concurrent_runs"] == 1
    told = [] if target == "dev" else ["team@example.com"]
    assert profile["email_notifications"] == {
        "on_failure": told,
        "on_duration_warning_threshold_exceeded": told,
    }
    for job in TARGETS[target]["resources"]["jobs"].values():
        assert job["timeout_seconds"] > 0
        assert job["email_notifications"]["on_failure"] == told
        assert all(task["max_retries"] >= 1 for task in job["tasks"]), "a lost node is no reason to fail"


def test_one_word_chooses_gpus_or_cpus_for_the_models():
    def versions(bundle):
        clusters = bundle["resources"]["jobs"]["profile"]["job_clusters"]
        return {each["job_cluster_key"]: each["new_cluster"]["spark_version"] for each in clusters}

    cpu, gpu = "17.3.x-cpu-ml-scala2.13", "17.3.x-gpu-ml-scala2.13"
    assert versions(TARGETS["dev"]) == {"cpu": cpu, "model": cpu}
    assert versions(TARGETS["prod"]) == {"cpu": cpu, "model": gpu}
    assert versions(resolved("dev", {**GIVEN, "model_on": "gpu"})) == {"cpu": cpu, "model": gpu}


def test_the_cluster_that_only_downloads_has_one_node():
    for bundle in TARGETS.values():
        (cluster,) = bundle["resources"]["jobs"]["weights"]["job_clusters"]
        made = cluster["new_cluster"]
        assert made["num_workers"] == 0
        assert made["spark_conf"] == {
            "spark.databricks.cluster.profile": "singleNode",
            "spark.master": "local[*]",
        }
        assert made["custom_tags"] == {"ResourceClass": "SingleNode"}


README = (DATABRICKS / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
BUNDLE_COMMANDS = [words for words in COMMANDS if words[:2] == ["databricks", "bundle"]]


def options_of(words: list[str], name: str) -> dict[str, str]:
    """Assignments given with an option of a command."""
    given = [value for option, value in itertools.pairwise(words) if option == name]
    return dict(part.partition("=")[::2] for value in given for part in value.split(","))


@pytest.mark.parametrize("words", BUNDLE_COMMANDS, ids=shlex.join)
def test_a_command_of_the_readme_names_what_there_is(words):
    verb, *rest = words[2:]
    assert verb in {"deploy", "run", "validate", "destroy"}
    target = words[words.index("-t") + 1]
    variables = options_of(words, "--var")
    given = {**GIVEN, **(SHARED if target != "dev" else {}), **variables}
    bundle = resolved(target, given)
    parameters = options_of(words, "--params")
    if verb == "run":
        job = bundle["resources"]["jobs"][rest[0]]
        assert set(parameters) <= {parameter["name"] for parameter in job.get("parameters", [])}
        defaults = {parameter["name"]: parameter["default"] for parameter in job.get("parameters", [])}
        for task in job["tasks"]:
            line = with_parameters(task["python_wheel_task"]["parameters"], **{**defaults, **parameters})
            values = parsed(line)
            chosen = values.get("subset") or (values.get("subsets") or [None])[0]
            assert chosen is None or chosen in known_definitions(values["settings"].curate)
            assert values.get("format_", "ids") in FORMATS
    else:
        assert not parameters


def test_the_readmes_variables_are_all_that_a_target_asks_for():
    exports = [words[1:] for words in COMMANDS if words[0] == "export"]
    of_dev, further = (
        {name.removeprefix("BUNDLE_VAR_"): value for name, value in map(_pair, each)} for each in exports
    )
    assert resolved("dev", of_dev)["variables"]["catalog"] == of_dev["catalog"]
    for target in ("staging", "prod"):
        assert resolved(target, {**of_dev, **further})["run_as"] == {
            "service_principal_name": further["service_principal"]
        }
    verbs = [words[2] for words in BUNDLE_COMMANDS]
    assert verbs[:2] == ["deploy", "run"], "two commands do"


def _pair(assignment: str) -> tuple[str, str]:
    name, _, value = assignment.partition("=")
    return name, value


def test_the_readmes_table_of_targets_is_what_the_targets_come_to():
    rows = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in README.splitlines()]
    (first,) = [number for number, row in enumerate(rows) if row[0] == "target"]
    for name, schema, identity, on, workers, schedule, _ in rows[first + 2 : first + 5]:
        target = name.partition("`")[0].split()[0]
        bundle = TARGETS[target]
        profile = bundle["resources"]["jobs"]["profile"]
        clusters = {each["job_cluster_key"]: each["new_cluster"] for each in profile["job_clusters"]}
        assert f"main.{schema.replace('USER', 'ann_lee')}" == WAREHOUSES[target]
        assert (identity == "you") == (bundle["run_as"] is None)
        assert on == bundle["variables"]["model_on"].upper()
        assert workers == f"{clusters['cpu']['num_workers']}, {clusters['model']['num_workers']}"
        assert (schedule == "paused") == (profile["schedule"]["pause_status"] == "PAUSED")
