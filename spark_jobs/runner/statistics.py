"""Run statistics over whole tables: done again only when one of the shards they read has changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas import TABLES
from schemas._table import TableSpec
from spark_jobs.runner.keys import digest
from spark_jobs.runner.run_log import RunLog
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.sql.steps import Step, run_steps
from spark_jobs.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig


@dataclass(frozen=True)
class Statistic:
    """One statistics table.

    Attributes:
        output: The table.
        reads: Tables by the name its SQL knows them by.
        reads_if_made: The same, of tables that may be missing: its SQL then sees them empty.
        steps: Its SQL.
    """

    output: TableSpec
    reads: Mapping[str, TableSpec]
    steps: list[Step]
    reads_if_made: Mapping[str, TableSpec] = field(default_factory=dict)


def run_statistics(spark: SparkSession, config: RunConfig, statistics: tuple[Statistic, ...]) -> StageReport:
    """Bring statistics tables of one dataset up to date.

    A statistic whose inputs have not been made is left out, and said so.
    """
    started = time.monotonic()
    tables = Tables(spark, config.warehouse)
    report = StageReport(stage="statistics", dataset=config.dataset_name)
    for statistic in statistics:
        _run_statistic(spark, tables, statistic, report)
    report.seconds = time.monotonic() - started
    return report


def statistic_key(statistic: Statistic, upstream: Mapping[str, str]) -> str:
    """Run key of a statistic: its table, its SQL, and the run keys of what it reads, by table."""
    sql = [step.sql for step in statistic.steps]
    return digest({"statistic": statistic.output.name, "sql": sql, "reads": dict(upstream)})


def _run_statistic(spark: SparkSession, tables: Tables, statistic: Statistic, report: StageReport) -> None:
    started = time.monotonic()
    dataset, output = report.dataset, statistic.output
    current = tables.current_run_keys()
    missing = [spec.name for spec in statistic.reads.values() if (dataset, spec.name) not in current]
    if missing:
        report.notes.append(f"{output.name} was left out: dataset {dataset} has no {', '.join(missing)}")
        return
    read = (*statistic.reads.values(), *statistic.reads_if_made.values())
    upstream = {spec.name: current[dataset, spec.name] for spec in read if (dataset, spec.name) in current}
    run_key = statistic_key(statistic, upstream)
    report.run_keys[output.name] = run_key
    input_key = content_key(tables, dataset, upstream)
    if (
        current.get((dataset, output.name)) == run_key
        and _input_key(tables, output, dataset, run_key) == input_key
    ):
        return
    tables.create(output)
    with tables.writing(output, dataset=dataset, run_key=run_key):
        _write(spark, tables, statistic, report, upstream=upstream, input_key=input_key)
    log = RunLog(
        tables, output, stage=report.stage, dataset=dataset, run_key=run_key, params={"reads": upstream}
    )
    log.add("finished", seconds=time.monotonic() - started, shards=0, counts={"rows": report.rows})


def _write(
    spark: SparkSession,
    tables: Tables,
    statistic: Statistic,
    report: StageReport,
    *,
    upstream: Mapping[str, str],
    input_key: str,
) -> None:
    from pyspark.sql import functions as F

    output = statistic.output
    frames = {
        name: tables.read(spec, dataset=report.dataset, run_key=upstream[spec.name])
        if spec.name in upstream
        else spark.createDataFrame([], spec.schema)
        for name, spec in {**statistic.reads, **statistic.reads_if_made}.items()
    }
    run_key = report.run_keys[output.name]
    result = run_steps(spark, statistic.steps, frames)
    result = (
        result.withColumn("dataset", F.lit(report.dataset))
        .withColumn("run_key", F.lit(run_key))
        .withColumn("input_key", F.lit(input_key))
        .coalesce(1)
        .persist()
    )
    try:
        rows = result.count()
        version = tables.replace(output, result, dataset=report.dataset, run_key=run_key)
        _take_results(report, output, result.limit(1).collect() if rows == 1 else [])
    finally:
        result.unpersist()
    report.rows += rows
    report.versions_written[output.name] = version
    report.versions_read.update({name: tables.version(TABLES[name]) for name in upstream})


def _take_results(report: StageReport, output: TableSpec, rows: list) -> None:  # type: ignore[type-arg]
    """Numbers of a one-row statistic become the stage's results."""
    for row in rows:
        for name in (column.name for column in output.result_fields()):
            if isinstance(row[name], (int, float)):
                report.results[name] = float(row[name])


def content_key(tables: Tables, dataset: str, run_keys: Mapping[str, str]) -> str:
    """Hash of what tables hold for a dataset: the set of (shard, run key, input key) and the statuses.

    Statuses are in it because a row that is done again (`--retry-failed`) keeps its input key.
    """
    parts: dict[str, list[list[object]]] = {}
    for name, run_key in sorted(run_keys.items()):
        frame = tables.read(TABLES[name], dataset=dataset, run_key=run_key)
        groups = ["shard_id", "input_key", "status"] if "shard_id" in frame.columns else ["input_key"]
        rows = frame.groupBy(*groups).count().collect()
        parts[name] = sorted([*row] for row in rows)
    return digest({"run_keys": dict(run_keys), "content": parts})


def _input_key(tables: Tables, spec: TableSpec, dataset: str, run_key: str) -> str | None:
    if not tables.exists(spec):
        return None
    rows = tables.read(spec, dataset=dataset, run_key=run_key).select("input_key").limit(1).collect()
    return rows[0]["input_key"] if rows else None
