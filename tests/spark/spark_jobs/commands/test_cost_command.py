"""`parrot cost` by the log of a real warehouse."""

from __future__ import annotations

import datetime

import pytest

from schemas import samples, stage_runs
from spark_jobs.commands.cost import bytes_per_sample, measured_rates, print_cost
from spark_jobs.cost import Plan
from spark_jobs.errors import StageError
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.upkeep import size_of
from tests.table_rows import filled, put_rows


def logged(stage, event, seconds, rows):
    """A row of the log, as the stages append it."""
    values = {"stage": stage, "event": event, "seconds": float(seconds), "rows_out": rows, "run_id": "one"}
    common = {
        "dataset": "test",
        "table_name": "t",
        "run_key": "r",
        "started_at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        "shards": 1,
        "rows_failed": 0,
        "rows_skipped": 0,
        "phase_seconds": {},
        "params": "{}",
        "parrot_version": "test",
    }
    row = filled(stage_runs.TABLE, **{**common, **values})
    return dict(zip(stage_runs.TABLE.columns, row, strict=True))


def test_what_the_log_says_is_what_is_printed(spark, config, capsys):
    with pytest.raises(StageError, match="has no log of runs"):
        measured_rates(spark, config, cores=2)
    tables = Tables(spark, config.warehouse)
    keys = {"dataset": "test", "shard_id": "0", "run_key": "r", "input_key": "i"}
    put_rows(
        tables,
        samples.TABLE,
        [filled(samples.TABLE, sample_id=str(n), caption="a", **keys) for n in range(10)],
    )
    tables.append(
        stage_runs.TABLE,
        [
            logged("overlap", "chunk", 50, 10_000),
            logged("overlap", "chunk", 50, 10_000),
            logged("overlap", "finished", 400, 20_000),
            logged("report", "finished", 400, 1),
        ],
    )
    (rate,) = measured_rates(spark, config, cores=2)
    assert (rate.stage, rate.samples, rate.core_seconds) == ("overlap", 20_000, pytest.approx(0.01))
    stored = bytes_per_sample(spark, config)
    assert stored * 10 == sum(size_of(tables, spec).bytes for spec in (samples.TABLE, stage_runs.TABLE)) > 0
    print_cost([rate], Plan(360_000_000, cores=100, chunk_seconds=120, price=0.5), stored=stored)
    printed = capsys.readouterr().out
    assert "1,000.0" in printed  # core-hours
    assert "10:00:00" in printed
    assert "500.00" in printed
    assert "fewer than" not in printed
