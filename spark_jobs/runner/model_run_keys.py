"""Scores of several CLIP models side by side: the newest run key of each model in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from schemas import MODEL_TABLES, TABLES, stage_runs
from schemas._table import TableSpec
from spark_jobs.errors import StageError
from spark_jobs.runner.pending import RunKeys
from spark_jobs.warehouse.query_cache import Question

if TYPE_CHECKING:
    from spark_jobs.warehouse.tables import Tables

_PAIRS = Question("models and run keys", version=1)
_ENDED = Question("end of run keys", version=2)


def run_keys_by_model(
    tables: Tables, spec: TableSpec, dataset: str, *, current: RunKeys, column: str = "model"
) -> dict[str, tuple[str, ...]]:
    """The run keys under which a table holds each model's rows, the newest last; the current one is the newest.

    Args:
        tables: The warehouse.
        spec: A table with that column.
        dataset: The dataset.
        current: Current run keys.
        column: The column that names the model.
    """
    if not tables.exists(spec):
        return {}

    def ask() -> list[list[str]]:
        rows = tables.read(spec, dataset=dataset).where(f"{column} IS NOT NULL")
        return sorted(
            [row[column], row["run_key"]] for row in rows.select(column, "run_key").distinct().collect()
        )

    pairs = tables.answer(spec, _PAIRS.of(dataset=dataset, column=column), ask)
    ended = ended_run_keys(tables)
    now = current.get((dataset, spec.name))
    in_time = sorted(
        pairs, key=lambda pair: (pair[1] == now, ended.get((dataset, spec.name, pair[1]), 0.0), pair[1])
    )
    found: dict[str, tuple[str, ...]] = {}
    for model, run_key in in_time:
        found[model] = (*found.get(model, ()), run_key)
    return dict(sorted(found.items()))


def newest_by_model(tables: Tables, dataset: str, *, current: RunKeys) -> dict[str, frozenset[str]]:
    """By table of several models, the newest run key of each of them: all of them may be read from."""
    return {
        spec.name: frozenset(
            keys[-1] for keys in run_keys_by_model(tables, spec, dataset, current=current).values()
        )
        for spec in MODEL_TABLES
    }


def current_of_models(
    tables: Tables, dataset: str, *, current: RunKeys, models: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """Current run keys, with those of some models in the place of what was scored last.

    Args:
        tables: The warehouse.
        dataset: The dataset.
        current: Current run keys.
        models: The model wanted, by table.

    Raises:
        StageError: If a table has no scores of a model; names those that it has.
    """
    wanted = dict(current)
    for table, model in models.items():
        spec = TABLES[table]
        found = run_keys_by_model(tables, spec, dataset, current=current)
        if model not in found:
            raise StageError(
                f"table {table} of dataset {dataset} has no scores of {model}; it has those of "
                f"{', '.join(found) or 'no model'}"
            )
        wanted[dataset, table] = found[model][-1]
    return wanted


def ended_run_keys(tables: Tables) -> dict[tuple[str, str, str], float]:
    """When each run key was finished last, seconds since 1970; by dataset, table and run key, as the log knows them."""
    if not tables.exists(stage_runs.TABLE):
        return {}

    def ask() -> list[list[Any]]:
        from pyspark.sql import functions as F

        at = F.max(F.col("started_at").cast("double") + F.col("seconds"))
        finished = tables.read(stage_runs.TABLE).where("event = 'finished'")
        return [list(row) for row in finished.groupBy("dataset", "table_name", "run_key").agg(at).collect()]

    found = tables.answer(stage_runs.TABLE, _ENDED, ask)
    return {(dataset, table, run_key): ended for dataset, table, run_key, ended in found}
