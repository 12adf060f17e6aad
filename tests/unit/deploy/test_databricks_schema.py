"""The Databricks bundle against the platform's own description of its resources (package databricks-bundles)."""

from __future__ import annotations

import copy

import pytest

from tests.bundle import GIVEN, SHARED, resolved

pytest.importorskip(
    "databricks.bundles.jobs", reason="extra dev brings databricks-bundles, which knows what a job may hold"
)
from databricks.bundles.experiments import MlflowExperiment
from databricks.bundles.jobs import Job, JobPermission, JobRunAs
from databricks.bundles.registered_models import RegisteredModel
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume

KINDS = {
    "jobs": Job,
    "schemas": Schema,
    "volumes": Volume,
    "experiments": MlflowExperiment,
    "registered_models": RegisteredModel,
}
TARGETS = {
    "dev": resolved("dev", GIVEN),
    "staging": resolved("staging", {**GIVEN, **SHARED}),
    "prod": resolved("prod", {**GIVEN, **SHARED}),
}
RESOURCES = [
    (target, kind, name)
    for target, bundle in TARGETS.items()
    for kind, resources in bundle["resources"].items()
    for name in resources
]


def contains(found: object, given: object) -> bool:
    """Whether all that was given is in what was understood of it; empty and false is what is left out."""
    if isinstance(given, dict):
        inner = found if isinstance(found, dict) else {}
        return all(contains(inner.get(key), value) for key, value in given.items())
    if isinstance(given, list):
        inner = found or []
        return len(inner) == len(given) and all(map(contains, inner, given))
    return given is False or str(found) == str(given)


@pytest.mark.parametrize(("target", "kind", "name"), RESOURCES)
def test_a_resource_is_what_the_platform_knows(target, kind, name):
    given = TARGETS[target]["resources"][kind][name]
    understood = KINDS[kind].from_dict(copy.deepcopy(given)).as_dict()
    assert contains(understood, given)
    assert not contains({}, given)


def test_every_kind_of_resource_was_looked_at():
    assert {kind for _, kind, _ in RESOURCES} == set(KINDS)
    assert len(RESOURCES) == 3 * (4 + 1 + 3 + 1 + 1)


@pytest.mark.parametrize("target", ["staging", "prod"])
def test_identity_and_permissions_are_what_the_platform_knows(target):
    JobRunAs.from_dict(copy.deepcopy(TARGETS[target]["run_as"]))
    for permission in TARGETS[target]["permissions"]:
        JobPermission.from_dict(copy.deepcopy(permission))


def _task_with_a_wrong_key(job):
    job["tasks"][0]["max_retry"] = 1


def _task_with_a_wrong_library(job):
    job["tasks"][0]["libraries"][1] = {"wheel": "dist/*.whl"}


def _cluster_with_a_wrong_mode(job):
    job["job_clusters"][0]["new_cluster"]["data_security_mode"] = "DEDICATED"


def _schedule_with_a_wrong_status(job):
    job["schedule"]["pause_status"] = "RUNNING"


def _health_with_a_wrong_metric(job):
    job["health"]["rules"][0]["metric"] = "DURATION"


def _schedule_without_its_time_zone(job):
    del job["schedule"]["timezone_id"]


@pytest.mark.parametrize(
    "spoil",
    [
        _task_with_a_wrong_key,
        _task_with_a_wrong_library,
        _cluster_with_a_wrong_mode,
        _schedule_with_a_wrong_status,
        _health_with_a_wrong_metric,
        _schedule_without_its_time_zone,
    ],
)
def test_a_wrong_key_or_value_is_found(spoil):
    job = copy.deepcopy(TARGETS["prod"]["resources"]["jobs"]["profile"])
    Job.from_dict(copy.deepcopy(job))
    spoil(job)
    with pytest.raises((ValueError, TypeError)):
        Job.from_dict(job)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Schema, {"catalog": "main"}),
        (Schema, {"grants": [{"principal": "x", "privileges": ["READ"]}]}),
        (Volume, {"volume_type": "INTERNAL"}),
        (MlflowExperiment, {"path": "/Users/x"}),
        (RegisteredModel, {"schema": "parrot"}),
        (RegisteredModel, {"grants": [{"principal": "x", "privileges": ["RUN"]}]}),
    ],
)
def test_a_wrong_resource_is_found(kind, change):
    places = {
        Schema: ("schemas", "parrot"),
        Volume: ("volumes", "weights"),
        MlflowExperiment: ("experiments", "parrot"),
        RegisteredModel: ("registered_models", "clip"),
    }
    group, name = places[kind]
    given = copy.deepcopy(TARGETS["prod"]["resources"][group][name])
    with pytest.raises((ValueError, TypeError)):
        kind.from_dict({**given, **change})
