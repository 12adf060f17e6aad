"""What the Databricks bundle comes to in a target: merged, variables and references replaced, as the CLI does it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from tests.deployments import BUNDLE, RESOURCES

USER = "ann.lee@example.com"
GIVEN = {"catalog": "main", "source": "/Volumes/main/raw/cc12m", "dataset": "cc12m"}
SHARED = {
    "service_principal": "00000000-0000-0000-0000-000000000001",
    "readers": "data-readers",
    "notify": ["team@example.com"],
}
"""Variables that targets have no value for: those of every target, and those of staging and prod."""

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
# References may lead to references; the CLI gives up after as many rounds.
_ROUNDS = 11


class UnresolvedError(AssertionError):
    """Raised for what the CLI refuses: a variable without a value, a reference that leads nowhere."""


def resolved(target: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The bundle of a target: `variables`, `workspace`, `resources`, `permissions`, `run_as`.

    Args:
        target: Name of the target.
        given: Values of variables, as on the command line.

    Raises:
        UnresolvedError: If a variable has no value, or something refers to what is not there.
    """
    overrides = copy.deepcopy(BUNDLE["targets"][target])
    bundle: dict[str, Any] = {"bundle": {**BUNDLE["bundle"], "target": target, "git": {"commit": "0123abc"}}}
    bundle["workspace"] = {"current_user": {"userName": USER}, **overrides.get("workspace", {})}
    bundle["workspace"]["file_path"] = "${workspace.root_path}/files"
    bundle["var"] = _values(overrides.get("variables", {}), given)
    bundle["resources"] = {}
    for part in [*RESOURCES.values(), overrides]:
        _merge(bundle["resources"], copy.deepcopy(part.get("resources", {})))
    for key in ("permissions", "run_as"):
        bundle[key] = overrides.get(key)
    if overrides["mode"] == "development":
        _prefix(bundle["resources"], re.sub(r"\W", "_", USER.partition("@")[0]))
    for _ in range(_ROUNDS):
        bundle = _replaced(bundle, bundle)
    left = sorted(set(_REFERENCE.findall(repr(bundle))))
    if left:
        raise UnresolvedError(f"references that lead in circles: {left}")
    return {**bundle, "variables": bundle["var"]}


def _values(of_target: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    declared = BUNDLE["variables"]
    unknown = (set(of_target) | set(given)) - set(declared)
    if unknown:
        raise UnresolvedError(f"variables that are not declared: {sorted(unknown)}")
    defaults = {name: entry["default"] for name, entry in declared.items() if "default" in entry}
    values = {**defaults, **of_target, **given}
    missing = sorted(set(declared) - set(values))
    if missing:
        raise UnresolvedError(f"no value assigned to required variables {missing}")
    return values


def _merge(into: dict[str, Any], of: Mapping[str, Any]) -> None:
    for key, value in of.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _prefix(resources: dict[str, Any], user: str) -> None:
    """Names of development mode: everybody has a copy."""
    for job in resources["jobs"].values():
        job["name"] = f"[dev {user}] {job['name']}"
    for experiment in resources["experiments"].values():
        folder, _, name = experiment["name"].rpartition("/")
        experiment["name"] = f"{folder}/[dev {user}] {name}"
    for kind in ("schemas", "registered_models"):
        for named in resources[kind].values():
            named["name"] = f"dev_{user}_{named['name']}"


def _replaced(value: Any, bundle: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(inner, bundle) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, bundle) for inner in value]
    if not isinstance(value, str):
        return value
    alone = _REFERENCE.fullmatch(value)
    if alone:
        return copy.deepcopy(_found(alone[1], bundle))
    return _REFERENCE.sub(lambda match: str(_found(match[1], bundle)), value)


def _found(path: str, bundle: Mapping[str, Any]) -> Any:
    value: Any = bundle
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            raise UnresolvedError(f"${{{path}}} leads nowhere")
        value = value[step]
    return value
