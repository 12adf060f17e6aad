"""Locks and pinned requirements: hashes, no addresses, and what each of them holds."""

from __future__ import annotations

import itertools
import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.deployments import ROOT, canonical, locked


@pytest.mark.parametrize(
    "name",
    [
        "requirements.lock",
        "requirements-runtime.lock",
        "requirements-petastorm.lock",
        "requirements-docs.lock",
    ],
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


def test_the_documentations_lock_has_its_tools_and_nothing_of_the_code():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    docs = locked("requirements-docs.lock")
    for requirement in map(Requirement, groups["docs"]):
        assert docs[canonical(str(requirement))] in requirement.specifier
    assert {"torch", "pyspark", "mlflow", "numpy"} & set(docs) == set()


def test_the_runtime_lock_is_of_the_lock_without_spark_and_test_tools():
    runtime, whole = locked("requirements-runtime.lock"), locked("requirements.lock")
    assert runtime.items() <= whole.items()
    assert {"pyspark", "delta-spark", "py4j", "pytest", "moto", "mypy", "ruff", "duckdb"} & set(
        runtime
    ) == set()
    assert {"torch", "easyocr", "open-clip-torch", "mlflow", "s3fs", "img2dataset"} <= set(runtime)
