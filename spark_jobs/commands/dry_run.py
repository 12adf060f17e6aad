"""`parrot run --dry-run`: what would be done, with which models, and about how long it would take."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from rich.table import Table

from schemas import stage_runs
from spark_jobs.errors import StageError
from spark_jobs.pipeline import Stage
from spark_jobs.runner.pending import ShardWork, plan_work
from spark_jobs.runner.progress import console, duration
from spark_jobs.stages.ingest import RUN_KEY, plan_ingest
from spark_jobs.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig


def print_plan(spark: SparkSession, config: RunConfig, stages: list[Stage]) -> None:
    """Print the plan; nothing is written."""
    tables = Tables(spark, config.warehouse)
    rates = _rates(tables)
    current = tables.current_run_keys()
    dataset = config.dataset_name
    upstream_pending: dict[str, int | None] = {}
    waits_for: dict[str, None] = {}
    shown = Table("stage", "pending shards", "pending samples", "model", "about")
    for stage in stages:
        model = ""
        if stage.name == "ingest":
            if config.source is not None:
                ingest = plan_ingest(tables, config)
                upstream_pending = {shard.shard_id: shard.samples for shard in ingest.pending}
            current.update({(dataset, table): RUN_KEY for table in stage.writes})
            pending: dict[str, int | None] = dict(upstream_pending)
        else:
            work = _work(stage, config)
            if work is None:
                shown.add_row(stage.name, "", "", "", "")
                continue
            model = work.model
            if not _is_needed(stage, tables, dataset):
                shown.add_row(stage.name, "0", "0", "", "up to date")
                continue
            try:
                plan = plan_work(tables, work, dataset=dataset, limit=config.limit, current=current)
            except StageError:
                pending = dict(upstream_pending)
            else:
                pending = {**upstream_pending, **{shard.shard_id: shard.samples for shard in plan.pending}}
                current[dataset, work.output.name] = plan.run_key
                waits_for.update({plan.waits_for: None} if plan.waits_for else {})
            upstream_pending = {**upstream_pending, **pending}
        shown.add_row(
            stage.name,
            f"{len(pending):,}",
            _samples(pending),
            model,
            _estimate(pending, rates.get(stage.name), waits=bool(waits_for)),
        )
    console.print(shown)
    for sentence in waits_for:
        console.print(sentence, soft_wrap=True)
    console.print("Nothing was done. Times come from earlier runs in this warehouse, at their speed.")


def _work(stage: Stage, config: RunConfig) -> ShardWork | None:
    """The stage's declaration, where it works shard by shard."""
    declare = getattr(importlib.import_module(f"spark_jobs.stages.{stage.name}"), "work", None)
    declared: ShardWork | None = declare(config) if declare is not None else None
    return declared


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
