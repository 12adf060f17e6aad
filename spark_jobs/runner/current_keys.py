"""Which run key of each table is the current one: the one that views show and stages read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from schemas import ALL_TABLES, TABLES, stage_runs

if TYPE_CHECKING:
    from spark_jobs.tables import Tables


def current_run_keys(tables: Tables) -> dict[tuple[str, str], str]:
    """By dataset and table, as `Tables.current_run_keys` says."""
    current: dict[tuple[str, str], str] = {}
    if tables.exists(stage_runs.TABLE):
        question = {"asks": "what finished last"}
        for dataset, table, run_key in tables.answer(stage_runs.TABLE, question, lambda: _finished(tables)):
            # The log still names tables that somebody has deleted, so that they are made again.
            if table not in TABLES or tables.exists(TABLES[table]):
                current[dataset, table] = run_key
    logged = {table for _, table in current}
    unlogged = [
        spec for spec in ALL_TABLES if spec.has_run_key and spec.name not in logged and tables.exists(spec)
    ]
    questions = {spec.name: {"asks": "run keys"} for spec in unlogged}
    for table, found in tables.answer_each(
        unlogged, questions, lambda names: _run_keys(tables, names)
    ).items():
        for dataset, run_keys in found.items():
            if len(run_keys) == 1:
                current[dataset, table] = run_keys[0]
    return current


def _finished(tables: Tables) -> list[list[str]]:
    """Dataset, table and run key that finished last, in order of their end."""
    from pyspark.sql import functions as F

    finished = tables.read(stage_runs.TABLE).where("event = 'finished'")
    ended = F.col("started_at").cast("double") + F.col("seconds")
    rows = finished.select("dataset", "table_name", "run_key", ended.alias("ended_at")).collect()
    current = {}
    for row in sorted(rows, key=lambda row: row["ended_at"]):
        current[row["dataset"], row["table_name"]] = row["run_key"]
    return [[dataset, table, run_key] for (dataset, table), run_key in current.items()]


def _run_keys(tables: Tables, names: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Run keys by table and dataset."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in names:
        found[name] = {}
        for row in tables.read(TABLES[name]).select("dataset", "run_key").distinct().collect():
            found[name].setdefault(row["dataset"], []).append(row["run_key"])
    return found
