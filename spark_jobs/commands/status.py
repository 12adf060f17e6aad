"""`parrot status`: what the warehouse holds, and what it still lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from schemas import ALL_TABLES, images, samples, stage_runs
from schemas._table import TableSpec
from spark_jobs.pipeline import STAGES
from spark_jobs.runner.model_run_keys import newest_by_model
from spark_jobs.runner.outdated import outdated_note, outdated_tables, read_made_from
from spark_jobs.runner.pending import Input, RunKeys, input_shards, output_shards
from spark_jobs.runner.progress import output_console
from spark_jobs.stages import load_stage
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig


def print_status(spark: SparkSession, config: RunConfig) -> None:
    """Print one line per dataset and table: rows, shards done and pending, failures, last run.

    Below them, per dataset, which tables were made from older ones, and the command that mends it.
    """
    tables = Tables(spark, config.warehouse)
    current = current_run_keys(tables)
    last = _last_runs(tables)
    shown = Table("dataset", "table", "rows", "failed", "skipped", "shards done", "pending", "last run (UTC)")
    made_from = read_made_from(tables)
    notes = []
    for dataset in sorted({name for name, _ in current}):
        newest = newest_by_model(tables, dataset, current=current)
        outdated = outdated_tables(dataset, current, made_from, newest=newest)
        notes.append(outdated_note(dataset, outdated, outdated))
        for spec in ALL_TABLES:
            if (dataset, spec.name) in current:
                shown.add_row(
                    dataset,
                    f"{spec.name} (older)" if spec.name in outdated else spec.name,
                    *_line(tables, spec, dataset=dataset, current=current),
                    last.get((dataset, spec.name), ""),
                )
    console = output_console()
    if shown.row_count:
        console.print(shown)
        for note in filter(None, notes):
            console.print(f"(older) {note}", soft_wrap=True)
    else:
        console.print(
            f"{config.warehouse} holds no tables yet: `parrot run --source PATH --dataset NAME` fills it"
        )


def _line(tables: Tables, spec: TableSpec, *, dataset: str, current: RunKeys) -> list[str]:
    from pyspark.sql import functions as F

    run_key = current[dataset, spec.name] if spec.has_run_key else None
    frame = tables.read(spec, dataset=dataset, run_key=run_key)
    if "status" not in spec.columns:
        return [f"{frame.count():,}", "", "", "", ""]
    counts = [
        F.sum((F.col("status") == status).cast("long")).alias(status) for status in ("failed", "skipped")
    ]
    row = frame.agg(F.count("*").alias("n"), F.countDistinct("shard_id").alias("shards"), *counts).collect()[
        0
    ]
    return [
        f"{row['n']:,}",
        f"{row['failed'] or 0:,}",
        f"{row['skipped'] or 0:,}",
        f"{row['shards']:,}",
        _pending(tables, spec, dataset=dataset, current=current),
    ]


def _pending(tables: Tables, spec: TableSpec, *, dataset: str, current: RunKeys) -> str:
    """Shards whose input has changed or is new, counted along the chain of what each table reads.

    A table behind an unfinished one lacks at least the shards that one lacks.
    """
    inputs = _inputs_of(spec)
    if spec is images.TABLE and (dataset, samples.TABLE.name) in current:
        return _without_images(tables, dataset, current)
    if not inputs:
        return "" if spec is samples.TABLE else "0"
    if any((dataset, item.spec.name) not in current for item in inputs):
        return "all"
    upstream = {item.spec.name: current[dataset, item.spec.name] for item in inputs}
    found = input_shards(tables, inputs, dataset=dataset, upstream=upstream)
    wanted = {shard.shard_id: shard.input_key for shard in found.ready}
    done = output_shards(tables, spec, dataset=dataset, run_key=current[dataset, spec.name])
    up_to_date = [shard_id for shard_id, (key, _) in done.items() if wanted.get(shard_id) == key]
    return f"{len(found.ready) + len(found.waiting) - len(up_to_date):,}"


def _without_images(tables: Tables, dataset: str, current: RunKeys) -> str:
    """Shards with samples that have only a URL."""
    inputs = (Input(samples.TABLE, {}), Input(images.TABLE, {}))
    upstream = {item.spec.name: current[dataset, item.spec.name] for item in inputs}
    return f"{len(input_shards(tables, inputs, dataset=dataset, upstream=upstream).waiting):,}"


def _inputs_of(spec: TableSpec) -> tuple[Input, ...]:
    stage = next((stage for stage in STAGES if spec.name in stage.writes), None)
    if stage is None:
        return ()
    return load_stage(stage.name).inputs


def _last_runs(tables: Tables) -> dict[tuple[str, str], str]:
    from pyspark.sql import functions as F

    if not tables.exists(stage_runs.TABLE):
        return {}
    rows = (
        tables.read(stage_runs.TABLE)
        .groupBy("dataset", "table_name")
        .agg(F.max("started_at").alias("at"))
        .collect()
    )
    return {(row["dataset"], row["table_name"]): f"{row['at']:%Y-%m-%d %H:%M}" for row in rows}
