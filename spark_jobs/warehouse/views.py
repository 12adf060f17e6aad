"""Current rows: which run key of each table is the current one, and the views that show it by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from schemas import ALL_TABLES, TABLES, stage_runs
from spark_jobs.views import VIEWS, views_named_in
from spark_jobs.views.view import Relations
from spark_jobs.warehouse.addresses import quoted
from spark_jobs.warehouse.query_cache import Question

if TYPE_CHECKING:
    from schemas._table import TableSpec
    from spark_jobs.warehouse.tables import Tables

_LAST_FINISHED = Question("run keys that finished last", version=1)
_RUN_KEYS = Question("run keys by dataset", version=1)


def current_run_keys(tables: Tables) -> dict[tuple[str, str], str]:
    """The run key that views show and stages read, by dataset and table: that of the stage that finished last.

    Where the log does not know a table's dataset (it was deleted), its only run key is taken.
    """
    current = logged_run_keys(tables)
    logged = {table for _, table in current}
    unlogged = [
        spec for spec in ALL_TABLES if spec.has_run_key and spec.name not in logged and tables.exists(spec)
    ]
    questions = {spec.name: _RUN_KEYS for spec in unlogged}
    for table, found in tables.answer_each(
        unlogged, questions, lambda names: _run_keys(tables, names)
    ).items():
        for dataset, run_keys in found.items():
            if len(run_keys) == 1:
                current[dataset, table] = run_keys[0]
    return current


def logged_run_keys(tables: Tables) -> dict[tuple[str, str], str]:
    """The run key that finished last, by dataset and table, as far as the log knows."""
    if not tables.exists(stage_runs.TABLE):
        return {}
    finished = tables.answer(stage_runs.TABLE, _LAST_FINISHED, lambda: _finished(tables))
    # The log still names tables that somebody has deleted, so that they are made again.
    return {
        (dataset, table): run_key
        for dataset, table, run_key in finished
        if table not in TABLES or tables.exists(TABLES[table])
    }


def register_views(tables: Tables, *, query: str | None = None) -> list[str]:
    """Make every table readable by name in the session, and the views for people.

    Of a table `NAME` is the view of the current run keys, `NAME_all` that of all.

    Args:
        tables: The warehouse.
        query: What will be asked: of the views for people, only those that it names are made. None: all.

    Returns:
        The names of all.
    """
    from pyspark.sql import functions as F

    current = current_run_keys(tables)
    names = []
    columns = {}
    for spec in filter(tables.exists, ALL_TABLES):
        frame = tables.read(spec)
        columns[spec.name] = frame.columns
        if spec.has_run_key:
            frame.createOrReplaceTempView(f"{spec.name}_all")
            names.append(f"{spec.name}_all")
            frame = frame.where(_current_rows(spec, current))
        frame.createOrReplaceTempView(spec.name)
        names.append(spec.name)
    for view in VIEWS if query is None else views_named_in(query):
        frame = tables.spark.sql(view.sql(Relations(columns)))
        commented = [F.col(field.name).alias(field.name, metadata=field.metadata) for field in view.columns]
        frame.select(*commented).createOrReplaceTempView(view.name)
    return [*names, *(view.name for view in VIEWS)]


def publish_views(tables: Tables) -> None:
    """In a catalog, point the views `NAME` to the current run keys, and those for people, for everybody.

    Elsewhere nothing.
    """
    if not tables.in_catalog:
        return
    current = current_run_keys(tables)
    columns = {}
    for spec in filter(tables.exists, ALL_TABLES):
        columns[spec.name] = tables.read(spec).columns
        if spec.has_run_key:
            tables.spark.sql(
                f"CREATE OR REPLACE VIEW {tables.warehouse}.{spec.name} "
                f"COMMENT {quoted(f'A row is {spec.meaning}. Current run keys only.')} "
                f"AS SELECT * FROM {tables.location(spec)} WHERE {_current_rows(spec, current)}"
            )
    for view in VIEWS:
        commented = [
            f"{field.name} COMMENT {quoted(str((field.metadata or {}).get('comment', '')))}"
            for field in view.columns
        ]
        tables.spark.sql(
            f"CREATE OR REPLACE VIEW {tables.warehouse}.{view.name} ({', '.join(commented)}) "
            f"COMMENT {quoted(f'A row is {view.meaning}.')} "
            f"AS {view.sql(Relations(columns, f'{tables.warehouse}.'))}"
        )


def _current_rows(spec: TableSpec, current: Mapping[tuple[str, str], str]) -> str:
    """Predicate on partition columns: the current run key of each dataset."""
    rows = [
        f"(dataset = {quoted(dataset)} AND run_key = {quoted(run_key)})"
        for (dataset, table), run_key in sorted(current.items())
        if table == spec.name
    ]
    return " OR ".join(rows) or "false"


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
