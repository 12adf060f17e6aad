"""`parrot run --dry-run`: what would be done, with which models, and about how long it would take."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from schemas import stage_runs
from spark_jobs.errors import StageError
from spark_jobs.pipeline import Stage
from spark_jobs.runner.pending import ShardWork, plan_work
from spark_jobs.runner.progress import console, duration
from spark_jobs.stages.ingest import RUN_KEY, made_current, plan_ingest
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig


def print_plan(spark: SparkSession, config: RunConfig, stages: list[Stage]) -> None:
    """Print the plan; nothing is written."""
    tables = Tables(spark, config.warehouse)
    rates = _rates(tables)
    planner = _Planner(tables, config)
    shown = Table("stage", "pending shards", "pending samples", "model", "about")
    for stage in stages:
        planned = planner.plan(stage)
        if isinstance(planned, str):
            shown.add_row(stage.name, "", "", "", planned)
            continue
        rate = rates.get(stage.name)
        rate = rate and rate / planned.rows_per_sample
        estimate = _estimate(planned.pending, rate, waits=bool(planner.sentences))
        shards = f"{len(planned.pending):,}"
        shown.add_row(stage.name, shards, _samples(planned.pending), planned.model, estimate)
    console.print(shown)
    for sentence in planner.sentences:
        console.print(sentence, soft_wrap=True)
    console.print("Nothing was done. Times come from earlier runs in this warehouse, at their speed.")


@dataclass(frozen=True)
class _Planned:
    """What one stage would do: samples by pending shard (None: unknown), its model for people, rows of a sample."""

    pending: dict[str, int | None]
    model: str = ""
    rows_per_sample: int = 1


class _Planner:
    """Plans stage after stage, as if each had done what was planned before.

    Attributes:
        sentences: What a person must know, in order.
    """

    def __init__(self, tables: Tables, config: RunConfig) -> None:
        self._tables = tables
        self._config = config
        self._current = current_run_keys(tables)
        self._pending: dict[str, dict[str, int | None]] = {}  # by table that would be written
        self.sentences: dict[str, None] = {}

    def plan(self, stage: Stage) -> _Planned | str:
        """Plan a stage; a word instead where shards say nothing about it."""
        if stage.name == "ingest":
            planned = self._ingest()
        elif not _is_needed(stage, self._tables, self._config.dataset_name):
            return "nothing to do"
        else:
            try:
                work, model = self._declared(stage)
            except StageError as error:
                self.sentences[str(error)] = None
                return "cannot run"
            if work is None:
                return "if its tables changed"
            planned = _Planned(self._shards(stage, work), model, work.rows_per_sample)
        self._pending.update(dict.fromkeys(stage.writes, planned.pending))
        return planned

    def _ingest(self) -> _Planned:
        dataset = self._config.dataset_name
        self._current.update({(dataset, spec.name): RUN_KEY for spec in made_current(self._tables, dataset)})
        if self._config.source is None:
            return _Planned({})
        plan = plan_ingest(self._tables, self._config)
        return _Planned({shard.shard_id: shard.samples for shard in plan.pending})

    def _declared(self, stage: Stage) -> tuple[ShardWork | None, str]:
        """The stage's declaration, where it works shard by shard, and its model."""
        module = importlib.import_module(f"spark_jobs.stages.{stage.name}")
        if stage.name == "cluster":
            is_pending = bool(self._upstream(stage))
            plan = module.plan_cluster(
                self._tables, self._config, current=self._current, is_input_pending=is_pending
            )
            return plan.work, plan.model
        declare = getattr(module, "work", None)
        declared: ShardWork | None = declare(self._config) if declare is not None else None
        return declared, "" if declared is None else declared.model

    def _shards(self, stage: Stage, work: ShardWork) -> dict[str, int | None]:
        dataset, upstream = self._config.dataset_name, self._upstream(stage)
        limit = self._config.limit
        try:
            plan = plan_work(self._tables, work, dataset=dataset, limit=limit, current=self._current)
        except StageError:
            return upstream
        self._current[dataset, work.output.name] = plan.run_key
        if plan.waits_for:
            self.sentences[plan.waits_for] = None
        return {**upstream, **{shard.shard_id: shard.samples for shard in plan.pending}}

    def _upstream(self, stage: Stage) -> dict[str, int | None]:
        """Shards that would be written, before it, to a table that the stage reads."""
        pending: dict[str, int | None] = {}
        for table in stage.reads:
            pending.update(self._pending.get(table, {}))
        return pending


def _is_needed(stage: Stage, tables: Tables, dataset: str) -> bool:
    """Whether the stage has anything to do on this dataset at all, where it can tell."""
    ask = getattr(importlib.import_module(f"spark_jobs.stages.{stage.name}"), "is_needed", None)
    return ask is None or bool(ask(tables, dataset))


def _rates(tables: Tables) -> dict[str, float]:
    """Samples per second of earlier chunks, by stage."""
    from pyspark.sql import functions as F

    if not tables.exists(stage_runs.TABLE):
        return {}
    done = tables.read(stage_runs.TABLE).where("rows_out > 0 AND seconds > 0")
    rates = done.groupBy("stage").agg((F.sum("rows_out") / F.sum("seconds")).alias("rate"))
    return {row["stage"]: row["rate"] for row in rates.collect()}


def _samples(pending: dict[str, int | None]) -> str:
    known = [samples for samples in pending.values() if samples is not None]
    return f"{sum(known):,}" if len(known) == len(pending) else "unknown"


def _estimate(pending: dict[str, int | None], rate: float | None, *, waits: bool) -> str:
    if not pending:
        return "waits" if waits else "up to date"
    if rate is None or any(samples is None for samples in pending.values()):
        return "unknown"
    return duration(sum(samples or 0 for samples in pending.values()) / rate)
