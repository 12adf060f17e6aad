"""Run keys of the stored warehouse's sample-level stages, computed without Spark."""

from __future__ import annotations

import importlib

import pytest

from spark_jobs.runner.pending import run_key_of
from tests.golden.warehouse import configuration, recorded

STAGES = ("embed", "spot_text", "overlap", "remove_text", "render_text")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return tmp_path_factory.mktemp("golden")


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_the_run_key_that_it_had(name, weights, monkeypatch):
    # The layout engine enters the key of rendered text; the stored one is the one that every machine has.
    monkeypatch.setattr("PIL.features.check", lambda feature: False)
    made = {table: key for stage in recorded()["stages"].values() for table, key in stage.items()}
    work = importlib.import_module(f"spark_jobs.stages.{name}").work(configuration(weights))
    upstream = {item.spec.name: made[item.spec.name] for item in work.inputs}
    assert run_key_of(work, upstream) == made[work.output.name]
