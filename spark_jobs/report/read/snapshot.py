"""What a report is read from: the current rows of all its datasets together, so that a query serves them all."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from schemas import TABLES, evaluation_results, subsets, training_runs
from spark_jobs.pipeline import STAGES, STATISTICS
from spark_jobs.runner.model_run_keys import newest_by_model
from spark_jobs.runner.outdated import Outdated, outdated_note, outdated_tables, read_made_from
from spark_jobs.runner.table_content import content_key
from spark_jobs.version import parrot_version
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from spark_jobs.sections import ReportConfig
    from spark_jobs.warehouse.tables import Tables

# Tables with one current run key; subsets and trained models have one each and are read by themselves.
READ = tuple(
    name
    for name in next(stage.reads for stage in STAGES if stage.name == "report")
    if TABLES[name].has_run_key
)


Rows = dict[tuple[str, str], list[dict[str, Any]]]
"""Rows by dataset and table."""


@dataclass(frozen=True)
class Snapshot:
    """What a report is read from.

    Attributes:
        tables: The warehouse.
        datasets: Datasets to show, in order.
        config: What to show.
        run_keys: Current run key by dataset and table.
        outdated: By dataset, the tables that were made from older ones than the current.
        statistics: Current rows of the statistics tables.
        subsets: Rows of `subsets` by dataset.
        trained: Rows of `evaluation_results` of trained models, with their training's subset and seed, by dataset.
    """

    tables: Tables
    datasets: tuple[str, ...]
    config: ReportConfig
    run_keys: Mapping[tuple[str, str], str]
    outdated: Mapping[str, Outdated]
    statistics: Rows = field(default_factory=dict)
    subsets: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    trained: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Tables, config: ReportConfig) -> Snapshot:
        """All datasets of a warehouse."""
        run_keys = current_run_keys(tables)
        datasets = tuple(sorted({dataset for dataset, table in run_keys if table == "samples"}))
        made_from = read_made_from(tables)
        outdated = {
            dataset: outdated_tables(
                dataset, run_keys, made_from, newest=newest_by_model(tables, dataset, current=run_keys)
            )
            for dataset in datasets
        }
        snapshot = cls(tables, datasets, config, run_keys, outdated)
        built = {dataset: _subset_rows(tables, dataset) for dataset in datasets}
        trained = {dataset: _trained_rows(tables, dataset) for dataset in datasets}
        return replace(snapshot, statistics=_statistics(snapshot), subsets=built, trained=trained)

    def rows(self, name: str) -> DataFrame | None:
        """Current rows of a table, of every dataset shown that has any; None where none has."""
        from pyspark.sql import functions as F

        keys = [(dataset, self.run_keys.get((dataset, name))) for dataset in self.datasets]
        current = [
            (F.col("dataset") == dataset) & (F.col("run_key") == run_key)
            for dataset, run_key in keys
            if run_key is not None
        ]
        if not current:
            return None
        rows = self.tables.read(TABLES[name], whole=True)
        return rows.where(functools.reduce(lambda one, other: one | other, current))

    def notes(self) -> tuple[str, ...]:
        """What does not fit together in what the report shows, and how to mend it."""
        notes = (
            outdated_note(dataset, self.outdated[dataset], READ, also_run="report")
            for dataset in self.datasets
        )
        return tuple(note for note in notes if note is not None)

    def key(self) -> dict[str, object]:
        """Everything that decides what the report shows, by dataset, with what it is configured to show."""
        keys: dict[str, object] = {}
        for dataset in self.datasets:
            present = {
                name: self.run_keys[dataset, name] for name in READ if (dataset, name) in self.run_keys
            }
            samples = {name: key for name, key in present.items() if name not in STATISTICS}
            keys[dataset] = content_key(self.tables, dataset, samples)
            # A statistic's rows follow from its run key and its input key.
            keys[f"{dataset}: statistics"] = {
                name: [key, sorted({row["input_key"] for row in self.statistics.get((dataset, name), ())})]
                for name, key in present.items()
                if name in STATISTICS
            }
            keys[f"{dataset}: subsets"] = [
                [row[name] for name in ("subset_id", "run_key", "input_key", "content_hash", "sentence")]
                for row in self.subsets[dataset]
            ]
            keys[f"{dataset}: trained"] = sorted({row["input_key"] for row in self.trained[dataset]})
        keys["config"] = self.config.model_dump_json(exclude={"output"})
        keys["version"] = parrot_version()
        keys["notes"] = self.notes()
        return keys


def _subset_rows(tables: Tables, dataset: str) -> tuple[dict[str, Any], ...]:
    """Rows of table `subsets` of one dataset, by id; empty where nothing has been curated."""
    if not tables.exists(subsets.TABLE):
        return ()
    rows = tables.read(subsets.TABLE, dataset=dataset).collect()
    return tuple(sorted((row.asDict(recursive=True) for row in rows), key=lambda row: row["subset_id"]))


def _trained_rows(tables: Tables, dataset: str) -> tuple[dict[str, Any], ...]:
    """Numbers about the models that were trained on a dataset; empty where none was evaluated."""
    if not tables.exists(training_runs.TABLE) or not tables.exists(evaluation_results.TABLE):
        return ()
    trainings = tables.read(training_runs.TABLE, dataset=dataset).select(
        "training", "subset_id", "seed", "recipe", "samples_seen", "model"
    )
    results = tables.read(evaluation_results.TABLE).drop("model")
    # Of other datasets only what their text removal gives (a study's relative_on).
    own = results["dataset"].isin(dataset, results["task"])
    rows = results.where(own).join(trainings, "training").collect()
    order = ("model", "subset_id", "seed", "training", "task", "metric", "run_key")
    return tuple(sorted((row.asDict() for row in rows), key=lambda row: [str(row[name]) for name in order]))


def _statistics(snapshot: Snapshot) -> Rows:
    frames = {name: frame for name in STATISTICS if (frame := snapshot.rows(name)) is not None}
    found: Rows = {}
    for name, rows in collect_together(frames).items():
        for row in rows:
            found.setdefault((row["dataset"], name), []).append(row.asDict(recursive=True))
    return found


def collect_together(frames: Mapping[str, DataFrame]) -> dict[str, list[Row]]:
    """Collect several small frames in one query, however much their columns differ.

    Returns:
        Rows by name, in no order; empty where a frame is.
    """
    from pyspark.sql import functions as F

    found: dict[str, list[Row]] = {name: [] for name in frames}
    parts = [frame.select(F.struct("*").alias(name)) for name, frame in frames.items()]
    if not parts:
        return found
    whole = functools.reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), parts)
    for row in whole.collect():
        name = next(name for name in frames if row[name] is not None)
        found[name].append(row[name])
    return found
