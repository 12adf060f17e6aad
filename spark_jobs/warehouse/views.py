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

_LOGGED = Question("tables of the log with the run keys that finished last", version=1)
_RUN_KEYS = Question("run keys by dataset", version=1)


def current_run_keys(tables: Tables) -> dict[tuple[str, str], str]:
    """The run key that views show and stages read, by dataset and table: that of the stage that finished last.

    What a stage has only begun is nobody's. Where the log does not know a table (it was deleted), a dataset's only
    run key is taken.
    """
    log = _logged(tables)
    known = _names(log)
    unlogged = [
        spec for spec in ALL_TABLES if spec.has_run_key and spec.name not in known and tables.exists(spec)
    ]
    current = {place: run_key for place, run_key in log.items() if run_key is not None}
    questions = {spec.name: _RUN_KEYS for spec in unlogged}
    for table, found in tables.answer_each(
        unlogged, questions, lambda names: _run_keys(tables, names)
    ).items():
        for dataset, run_keys in found.items():
            if len(run_keys) == 1:
                current[dataset, table] = run_keys[0]
    return current


def logged_tables(tables: Tables) -> frozenset[str]:
    """Names of the tables that the log knows: those of which a stage has begun to make rows."""
    return _names(_logged(tables))


def _names(log: Mapping[tuple[str, str], str | None]) -> frozenset[str]:
    return frozenset(table for _, table in log)


def _logged(tables: Tables) -> dict[tuple[str, str], str | None]:
    """The run key that finished last by dataset and table, None where none has, as far as the log knows."""
    if not tables.exists(stage_runs.TABLE):
        return {}
    logged = tables.answer(stage_runs.TABLE, _LOGGED, lambda: _last_finished(tables))
    # The log still names tables that somebody has deleted, so that they are made again.
    return {
        (dataset, table): run_key
        for dataset, table, run_key in logged
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


def _last_finished(tables: Tables) -> list[list[str | None]]:
    """Dataset, table and run key that finished last; no run key where none has finished."""
    from pyspark.sql import functions as F

    ended = F.when(F.col("event") == "finished", F.col("started_at").cast("double") + F.col("seconds"))
    rows = (
        tables.read(stage_runs.TABLE)
        .groupBy("dataset", "table_name", "run_key")
        .agg(F.max(ended).alias("ended_at"))
        .collect()
    )
    current: dict[tuple[str, str], str | None] = {}
    for row in sorted(rows, key=lambda row: row["ended_at"] or 0.0):
        run_key = None if row["ended_at"] is None else row["run_key"]
        current[row["dataset"], row["table_name"]] = run_key
    return [[dataset, table, run_key] for (dataset, table), run_key in current.items()]


def _run_keys(tables: Tables, names: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Run keys by table and dataset."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in names:
        found[name] = {}
        for row in tables.read(TABLES[name]).select("dataset", "run_key").distinct().collect():
            found[name].setdefault(row["dataset"], []).append(row["run_key"])
    return found
