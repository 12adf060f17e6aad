"""`parrot run --dry-run`: what would be done, with which models, and about how long it would take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from schemas import stage_runs
from spark_jobs.errors import StageError
from spark_jobs.pipeline import Stage
from spark_jobs.runner.progress import console, duration
from spark_jobs.runner.stage import PendingShards, Situation, StagePlan
from spark_jobs.stages import load_stage
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig


def print_plan(spark: SparkSession, config: RunConfig, stages: list[Stage]) -> None:
    """Print the plan; nothing is written."""
    tables = Tables(spark, config.warehouse)
    rates = _rates(tables)
    situation = Situation(tables, config, current_run_keys(tables))
    sentences: dict[str, None] = {}
    shown = Table("stage", "pending shards", "pending samples", "model", "about")
    for stage in stages:
        plan = _plan(stage, situation)
        situation = situation.planned(stage.writes, plan)
        sentences.update(dict.fromkeys(plan.sentences))
        shown.add_row(stage.name, *_cells(plan, rates.get(stage.name), waits=bool(sentences)))
    console.print(shown)
    for sentence in sentences:
        console.print(sentence, soft_wrap=True)
    console.print("Nothing was done. Times come from earlier runs in this warehouse, at their speed.")


def _plan(stage: Stage, situation: Situation) -> StagePlan:
    try:
        return load_stage(stage.name).plan(situation)
    except StageError as error:
        return StagePlan(instead="cannot run", sentences=(str(error),))


def _cells(plan: StagePlan, rate: float | None, *, waits: bool) -> list[str]:
    """A plan as cells of the table: shards, samples, model, time; `rate` is rows per second."""
    if plan.instead is not None:
        return ["", "", "", plan.instead]
    rate = rate and rate / plan.rows_per_sample
    shards = f"{len(plan.pending):,}"
    return [shards, _samples(plan.pending), plan.model, _estimate(plan.pending, rate, waits=waits)]


def _rates(tables: Tables) -> dict[str, float]:
    """Samples per second of earlier chunks, by stage."""
    from pyspark.sql import functions as F

    if not tables.exists(stage_runs.TABLE):
        return {}
    done = tables.read(stage_runs.TABLE).where("rows_out > 0 AND seconds > 0")
    rates = done.groupBy("stage").agg((F.sum("rows_out") / F.sum("seconds")).alias("rate"))
    return {row["stage"]: row["rate"] for row in rates.collect()}


def _samples(pending: PendingShards) -> str:
    known = [samples for samples in pending.values() if samples is not None]
    return f"{sum(known):,}" if len(known) == len(pending) else "unknown"


def _estimate(pending: PendingShards, rate: float | None, *, waits: bool) -> str:
    if not pending:
        return "waits" if waits else "up to date"
    if rate is None or any(samples is None for samples in pending.values()):
        return "unknown"
    return duration(sum(samples or 0 for samples in pending.values()) / rate)
