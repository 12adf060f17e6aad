"""A shard that comes to a source costs work of its own in every stage over samples; what is there is left alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from schemas import TABLES, stage_runs
from spark_jobs.config import load_config
from spark_jobs.demo.corpus import write_corpus
from spark_jobs.pipeline import STAGES, select
from spark_jobs.stages import load_stage
from spark_jobs.warehouse.tables import Tables
from tests.golden.warehouse import run_all

# `download` wants a source of URLs: test_download.py.
OF_SAMPLES = ("ingest", "embed", "cluster", "aesthetic", "spot_text", "overlap", "remove_text")
# What is fitted on all samples together, once.
FITTED = {"cluster_models"}
MADE = [name for stage in select(OF_SAMPLES) for name in stage.writes if name not in FITTED]
OLD, NEW = ("00000", "00001"), "00002"
PER_SHARD = 6


def test_these_are_the_stages_that_work_shard_by_shard():
    by_shard = {stage.name for stage in STAGES if load_stage(stage.name).inputs}
    assert {*OF_SAMPLES, "download", "render_text"} == by_shard | {"ingest"}
    assert load_stage("render_text").inputs[0].spec.name == "ngram_vocabulary", "grams are no samples"


def commits(warehouse: Path, table: str) -> list[list[dict]]:
    """The actions of each version of a table, by its own log."""
    logs = sorted((warehouse / table / "_delta_log").glob("*.json"))
    return [[json.loads(line) for line in log.read_text().splitlines()] for log in logs]


def put(corpus: Path, source: Path, shard: str) -> None:
    source.mkdir(exist_ok=True)
    for path in sorted(corpus.glob(f"{shard}*")):
        shutil.copy2(path, source)


@pytest.fixture(scope="module")
def grown(_spark_session, tmp_path_factory):
    """A source of two shards that was profiled, then got a third and was profiled again."""
    import torch

    import udfs.aesthetic

    folder = tmp_path_factory.mktemp("growth")
    corpus = write_corpus(folder / "corpus", samples=3 * PER_SHARD, shards=3, size=224).webdataset
    head = folder / "head.pth"
    torch.save(torch.nn.Linear(128, 1).state_dict(), head)
    config = load_config(
        options={
            "warehouse": str(folder / "warehouse"),
            "dataset": "test",
            "source": str(folder / "source"),
            "tracking": {"enabled": False},
            "embed": {"model": "parrot-tiny", "cache_dir": str(folder / "weights")},
            "cluster": {"k": 2, "groups": 2, "min_points_per_centroid": 1, "model": "keep"},
            "aesthetic": {"head": str(head)},
            "spot_text": {"spotter": "easyocr-fast"},
            "runner": {"max_failed_share": 1.0},
        }
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        # LAION has no head for the test's small model.
        monkeypatch.setitem(udfs.aesthetic._LINEAR, 128, "parrot-tiny")
        for shard in OLD:
            put(corpus, folder / "source", shard)
        first = run_all(_spark_session, config, OF_SAMPLES)
        before = {name: commits(folder / "warehouse", name) for name in (*MADE, *FITTED)}
        put(corpus, folder / "source", NEW)
        second = run_all(_spark_session, config, OF_SAMPLES)
    return config, before, {report.stage: report for report in first}, {r.stage: r for r in second}


def test_stages_report_the_new_shard_alone(grown):
    _, _, first, second = grown
    assert list(first) == list(second) == list(OF_SAMPLES)
    for stage in OF_SAMPLES:
        assert (first[stage].shards_done, first[stage].shards_kept, first[stage].rows) == (
            2,
            0,
            2 * PER_SHARD,
        )
        assert (second[stage].shards_done, second[stage].shards_kept, second[stage].rows) == (1, 2, PER_SHARD)
        assert second[stage].run_keys == first[stage].run_keys or stage == "cluster"


@pytest.mark.parametrize("table", MADE)
def test_only_the_new_shards_rows_are_written_and_no_file_is_taken_away(table, grown, spark):
    config, before, _, _ = grown
    warehouse = Path(config.warehouse)
    after = commits(warehouse, table)
    assert after[: len(before[table])] == before[table]
    actions = [action for commit in after[len(before[table]) :] for action in commit]
    added = [action["add"] for action in actions if "add" in action]
    assert sum(json.loads(file["stats"])["numRecords"] for file in added) == PER_SHARD
    assert not [action for action in actions if "remove" in action]
    rows = Tables(spark, config.warehouse).read(TABLES[table])
    found = {row["shard_id"]: row["count"] for row in rows.groupBy("shard_id").count().collect()}
    assert found == dict.fromkeys((*OLD, NEW), PER_SHARD)
    new = rows.where(rows.shard_id == NEW).selectExpr("_metadata.file_name AS name").distinct().collect()
    assert {row["name"] for row in new} == {Path(file["path"]).name for file in added}


def test_the_log_counts_the_same_and_no_cluster_model_is_fitted_again(grown, spark):
    config, before, _, _ = grown
    assert commits(Path(config.warehouse), "cluster_models") == before["cluster_models"]
    log = Tables(spark, config.warehouse).read(stage_runs.TABLE).where("event = 'finished'")
    for table in MADE:
        ends = log.where(log.table_name == table).orderBy("started_at").collect()
        assert [row["rows_out"] for row in ends] == [2 * PER_SHARD, PER_SHARD], table
