"""`parrot maintain` on real Delta tables: what it shows, what it removes, what stays as it was."""

from __future__ import annotations

import datetime

import pytest

from schemas import caption_overlap, spotted_text, stage_runs
from spark_jobs.commands.maintain import maintain
from spark_jobs.config import load_config
from spark_jobs.runner.run_log import RunLog
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.upkeep import size_of
from tests.table_rows import filled, frame_of

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def put(tables, spec, run_key, *, reads, samples, **columns):
    """Rows of a run key, in several files, of a stage that finished long ago, later the more samples there are."""
    tables.create(spec)
    keys = {"dataset": "test", "shard_id": "0", "run_key": run_key, "input_key": "i", "status": "ok"}
    rows = [filled(spec, sample_id=str(n), **keys, **columns) for n in range(samples)]
    frame = frame_of(tables.spark, spec, rows).repartition(samples)
    tables.replace(spec, frame, dataset="test", run_key=run_key)
    collected = []
    kept = type("Log", (), {"append": lambda _, spec, rows: collected.extend(rows)})()
    log = RunLog(kept, spec, stage="made", dataset="test", run_key=run_key, params={"reads": reads})
    log.add("finished", seconds=1.0, shards=1, counts={"rows": samples})
    tables.append(
        stage_runs.TABLE, [{**row, "started_at": LONG_AGO + datetime.timedelta(samples)} for row in collected]
    )


@pytest.fixture(scope="module")
def grown(_spark_session, tmp_path_factory):
    """A warehouse in which one reading is current, one is read by the current overlap, and one is left behind."""
    warehouse = tmp_path_factory.mktemp("maintain") / "warehouse"
    tables = Tables(_spark_session, str(warehouse))
    for n, run_key in enumerate(("left", "read", "current")):
        put(tables, spotted_text.TABLE, run_key, reads={}, samples=4 + n, spotter="easyocr")
    put(tables, caption_overlap.TABLE, "o", reads={"spotted_text": "read"}, samples=4)
    config = load_config(options={"warehouse": str(warehouse)}, overrides=("tracking.enabled=false",))
    return tables, config


def held(tables):
    rows = tables.read(spotted_text.TABLE).groupBy("run_key").count().collect()
    return {row["run_key"]: row["count"] for row in rows}


def test_it_shows_what_it_would_remove_and_then_removes_only_that(spark, grown, capsys):
    tables, config = grown
    before = size_of(tables, spotted_text.TABLE)
    maintain(spark, config, days=30, does_it=False)
    shown = capsys.readouterr().out
    assert "left" in shown
    assert "Nothing was changed" in shown
    assert held(tables) == {"left": 4, "read": 5, "current": 6}
    assert size_of(tables, spotted_text.TABLE) == before
    assert before.files > 3

    maintain(spark, config, days=30, does_it=True)
    assert held(tables) == {"read": 5, "current": 6}
    assert size_of(tables, spotted_text.TABLE).files == 2  # one a partition
    assert tables.read(caption_overlap.TABLE).count() == 4
    capsys.readouterr()
    maintain(spark, config, days=30, does_it=True)
    assert "No rows that nothing reads are older than 30 days" in capsys.readouterr().out
