"""Run keys of the stored warehouse's sample-level stages, and input keys of its source, computed without Spark."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest

from spark_jobs.runner.pending import run_key_of
from spark_jobs.sources import recognise
from spark_jobs.sources.base import SourceOptions
from spark_jobs.sources.storage import absolute
from spark_jobs.warehouse.digest import digest
from tests.golden.warehouse import configuration, images_in_store, recorded, unpacked

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


def test_the_source_has_the_input_keys_that_it_had(tmp_path, monkeypatch):
    pytest.importorskip("moto.server", reason="the extra `dev` is not installed")
    pytest.importorskip("s3fs", reason="the extra `s3` is not installed")
    no_spark = SimpleNamespace(sparkContext=SimpleNamespace(environment={}))
    source = configuration(tmp_path).source
    with images_in_store(unpacked(tmp_path), monkeypatch, no_spark):
        shards = recognise(source, None).shards(source, SourceOptions())
    found = {shard.shard_id: digest([absolute(source), shard.fingerprint]) for shard in shards}
    assert found == {shard_id: key for shard_id, _, key in recorded()["tables"]["samples"]}
