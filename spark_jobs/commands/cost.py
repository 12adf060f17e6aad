"""`parrot cost`: core-hours, commits and bytes of so many samples, by the rates of the warehouse's own runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from schemas import ALL_TABLES, samples, stage_runs
from spark_jobs.cost import FEW_SAMPLES, Logged, Plan, StageCost, StageRate, stage_rates
from spark_jobs.errors import StageError
from spark_jobs.pipeline import STAGES
from spark_jobs.runner.progress import duration, output_console
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.upkeep import size_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig

# What they take follows from subsets, recipes and pages, not from how many samples there are.
_NOT_BY_SAMPLES = {"curate", "train_clip", "evaluate_clip", "render_text", "report"}


def measured_rates(spark: SparkSession, config: RunConfig, *, cores: int) -> list[StageRate]:
    """Rates of the stages that ran on a dataset.

    Raises:
        StageError: If no stage has.
    """
    tables, dataset = Tables(spark, config.warehouse), config.dataset_name
    if not tables.exists(stage_runs.TABLE):
        raise StageError(f"{config.warehouse} has no log of runs: profile some data first with `parrot run`")
    log = tables.read(stage_runs.TABLE, dataset=dataset).where("event IN ('chunk', 'finished')")
    rows = log.groupBy("stage", "event", "run_id").sum("seconds", "rows_out").collect()
    count = tables.read(samples.TABLE, dataset=dataset).count() if tables.exists(samples.TABLE) else 0
    rates = stage_rates(
        [Logged(stage, event, seconds, written) for stage, event, _, seconds, written in rows],
        samples=count,
        cores=cores,
        order=[stage.name for stage in STAGES if stage.name not in _NOT_BY_SAMPLES],
    )
    if not rates:
        raise StageError(f"the log of {config.warehouse} knows no finished stage of dataset {dataset}")
    return rates


def bytes_per_sample(spark: SparkSession, config: RunConfig) -> float:
    """Size of all tables of the warehouse per sample of it, in bytes."""
    tables = Tables(spark, config.warehouse)
    count = tables.read(samples.TABLE).count()
    sizes = [size_of(tables, spec) for spec in ALL_TABLES if tables.exists(spec)]
    return sum(size.bytes for size in sizes) / max(1, count)


def print_cost(rates: list[StageRate], plan: Plan, *, stored: float) -> None:
    """Print a line per stage, their sum, and what the tables would take.

    Args:
        rates: Measured.
        plan: What is asked for.
        stored: Bytes of the tables per sample.
    """
    costs = [plan.cost(rate) for rate in rates]
    shown = Table(
        "stage", "measured on", "samples/s a core", "core-hours", f"on {plan.cores:,} cores", "commits"
    )
    if plan.price is not None:
        shown.add_column("price")
    for cost in costs:
        shown.add_row(*_line(cost))
    total = [sum(cost.core_hours for cost in costs), sum(cost.hours for cost in costs)]
    row = [
        "all",
        "",
        "",
        f"{total[0]:,.1f}",
        duration(total[1] * 3600),
        f"{sum(one.commits for one in costs):,}",
    ]
    if plan.price is not None:
        row.append(f"{total[0] * plan.price:,.2f}")
    shown.add_section()
    shown.add_row(*row)
    console = output_console()
    console.print(shown)
    console.print(
        f"{plan.samples:,} samples; tables: {stored * plan.samples / 1e9:,.1f} GB at {stored:,.0f} bytes a sample. "
        "Downloads wait for the network, not for cores.",
        soft_wrap=True,
    )
    rough = [rate.stage for rate in rates if rate.is_rough]
    if rough:
        console.print(
            f"~ measured on fewer than {FEW_SAMPLES:,} samples, where a stage's start is much of its time: too high "
            f"({', '.join(rough)})",
            soft_wrap=True,
        )


def _line(cost: StageCost) -> list[str]:
    rate = cost.rate
    line = [
        rate.stage,
        f"{rate.samples:,}{' ~' if rate.is_rough else ''}",
        f"{1 / rate.core_seconds:,.1f}",
        f"{cost.core_hours:,.1f}",
        duration(cost.hours * 3600),
        f"{cost.commits:,}",
    ]
    return line if cost.price is None else [*line, f"{cost.price:,.2f}"]
