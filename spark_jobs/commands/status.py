"""`parrot status`: what the warehouse holds, and what it still lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from schemas import ALL_TABLES, images, samples, stage_runs
from schemas._table import TableSpec
from spark_jobs.commands.json_output import print_json
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


def print_status(spark: SparkSession, config: RunConfig, *, as_json: bool = False) -> None:
    """Print one line per dataset and table: rows, shards done and pending, failures, last run.

    Below them, per dataset, which tables were made from older ones, and the command that mends it.
    """
    lines, notes = read_status(Tables(spark, config.warehouse))
    if as_json:
        print_json({"warehouse": config.warehouse, "tables": lines, "notes": notes})
        return
    console = output_console()
    if not lines:
        console.print(
            f"{config.warehouse} holds no tables yet: `parrot run --source PATH --dataset NAME` fills it"
        )
        return
    shown = Table("dataset", "table", "rows", "failed", "skipped", "shards done", "pending", "last run (UTC)")
    for line in lines:
        numbers = (line[name] for name in ("rows", "failed", "skipped", "shards_done", "shards_pending"))
        shown.add_row(
            line["dataset"],
            f"{line['table']} (older)" if line["is_older"] else line["table"],
            *(f"{number:,}" if isinstance(number, int) else number or "" for number in numbers),
            line["last_run"] or "",
        )
    console.print(shown)
    for note in notes:
        console.print(f"(older) {note}", soft_wrap=True)


def read_status(tables: Tables) -> tuple[list[dict[str, Any]], list[str]]:
    """What each table of each dataset holds and lacks, and what is to be said of outdated ones.

    `shards_pending` is `all` where a table that it reads is missing; what a table does not count is None.
    """
    current = current_run_keys(tables)
    last = _last_runs(tables)
    made_from = read_made_from(tables)
    lines = []
    notes = []
    for dataset in sorted({name for name, _ in current}):
        newest = newest_by_model(tables, dataset, current=current)
        outdated = outdated_tables(dataset, current, made_from, newest=newest)
        notes.append(outdated_note(dataset, outdated, outdated))
        lines += [
            {
                "dataset": dataset,
                "table": spec.name,
                "is_older": spec.name in outdated,
                **_counts(tables, spec, dataset=dataset, current=current),
                "last_run": last.get((dataset, spec.name)),
            }
            for spec in ALL_TABLES
            if (dataset, spec.name) in current
        ]
    return lines, [note for note in notes if note]


def _counts(
    tables: Tables, spec: TableSpec, *, dataset: str, current: RunKeys
) -> dict[str, int | str | None]:
    from pyspark.sql import functions as F

    run_key = current[dataset, spec.name] if spec.has_run_key else None
    frame = tables.read(spec, dataset=dataset, run_key=run_key)
    if "status" not in spec.columns:
        nothing = dict.fromkeys(("failed", "skipped", "shards_done", "shards_pending"))
        return {"rows": frame.count(), **nothing}
    counts = [
        F.sum((F.col("status") == status).cast("long")).alias(status) for status in ("failed", "skipped")
    ]
    row = frame.agg(F.count("*").alias("n"), F.countDistinct("shard_id").alias("shards"), *counts).collect()[
        0
    ]
    return {
        "rows": row["n"],
        "failed": row["failed"] or 0,
        "skipped": row["skipped"] or 0,
        "shards_done": row["shards"],
        "shards_pending": _pending(tables, spec, dataset=dataset, current=current),
    }


def _pending(tables: Tables, spec: TableSpec, *, dataset: str, current: RunKeys) -> int | str | None:
    """Shards whose input has changed or is new, counted along the chain of what each table reads.

    A table behind an unfinished one lacks at least the shards that one lacks.
    """
    inputs = _inputs_of(spec)
    if spec is images.TABLE and (dataset, samples.TABLE.name) in current:
        return _without_images(tables, dataset, current)
    if not inputs:
        return None if spec is samples.TABLE else 0
    if any((dataset, item.spec.name) not in current for item in inputs):
        return "all"
    upstream = {item.spec.name: current[dataset, item.spec.name] for item in inputs}
    found = input_shards(tables, inputs, dataset=dataset, upstream=upstream)
    wanted = {shard.shard_id: shard.input_key for shard in found.ready}
    done = output_shards(tables, spec, dataset=dataset, run_key=current[dataset, spec.name])
    up_to_date = [shard_id for shard_id, (key, _) in done.items() if wanted.get(shard_id) == key]
    return len(found.ready) + len(found.waiting) - len(up_to_date)


def _without_images(tables: Tables, dataset: str, current: RunKeys) -> int:
    """Shards with samples that have only a URL."""
    inputs = (Input(samples.TABLE, {}), Input(images.TABLE, {}))
    upstream = {item.spec.name: current[dataset, item.spec.name] for item in inputs}
    return len(input_shards(tables, inputs, dataset=dataset, upstream=upstream).waiting)


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
