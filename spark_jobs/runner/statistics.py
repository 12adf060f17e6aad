"""Run statistics over whole tables: done again only when one of the shards they read has changed."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schemas import TABLES
from schemas._table import TableSpec
from spark_jobs.pipeline import is_profiled
from spark_jobs.runner.run_log import LogCommit, RunLog
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.sql.steps import Step, run_steps
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys

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


@dataclass(frozen=True)
class _Plan:
    """What one statistic's table should hold: the run keys that it reads, its own keys."""

    statistic: Statistic
    upstream: Mapping[str, str]
    run_key: str


def run_statistics(spark: SparkSession, config: RunConfig, statistics: tuple[Statistic, ...]) -> StageReport:
    """Bring statistics tables of one dataset up to date.

    A statistic whose inputs have not been made is left out, and said so.
    """
    started = time.monotonic()
    tables = Tables(spark, config.warehouse)
    report = StageReport(stage="statistics", dataset=config.dataset_name)
    plans = _plans(statistics, current_run_keys(tables), report)
    with LogCommit(tables) as commit:
        for plan, input_key in _pending(tables, plans, report.dataset):
            _run_statistic(spark, tables, plan, report, input_key=input_key, commit=commit)
    report.seconds = time.monotonic() - started
    return report


def statistic_key(statistic: Statistic, upstream: Mapping[str, str]) -> str:
    """Run key of a statistic: its table, its SQL, and the run keys of what it reads, by table."""
    sql = [step.sql for step in statistic.steps]
    return digest({"statistic": statistic.output.name, "sql": sql, "reads": dict(upstream)})


def _plans(
    statistics: tuple[Statistic, ...], current: Mapping[tuple[str, str], str], report: StageReport
) -> list[_Plan]:
    plans = []
    for statistic in statistics:
        output, specs = statistic.output, statistic.reads.values()
        missing = [spec.name for spec in specs if (report.dataset, spec.name) not in current]
        if missing:
            # Of a stage that runs only where it is named, nobody waits for the statistics.
            if all(map(is_profiled, missing)):
                report.notes.append(
                    f"{output.name} was left out: dataset {report.dataset} has no {', '.join(missing)}"
                )
            continue
        made = [spec for spec in statistic.reads_if_made.values() if (report.dataset, spec.name) in current]
        upstream = {spec.name: current[report.dataset, spec.name] for spec in (*specs, *made)}
        run_key = statistic_key(statistic, upstream)
        report.run_keys[output.name] = run_key
        plans.append(_Plan(statistic, upstream, run_key))
    return plans


def _pending(tables: Tables, plans: list[_Plan], dataset: str) -> list[tuple[_Plan, str]]:
    """The statistics to compute, each with its input key. One query for all inputs and all outputs."""
    current = current_run_keys(tables)
    inputs = {name: run_key for plan in plans for name, run_key in plan.upstream.items()}
    outputs = {plan.statistic.output.name: plan.run_key for plan in plans}
    # What is not current is written again in any case, so that views show it: no need to look it up.
    present = {name: key for name, key in outputs.items() if current.get((dataset, name)) == key}
    content = _content(tables, dataset, {**inputs, **present})
    pending = []
    for plan in plans:
        output = plan.statistic.output
        input_key = _content_digest(plan.upstream, content)
        if output.name in present:
            found = {row[0] for row in content[output.name]}
            found = found or {tables.empty_input_key(output, dataset=dataset, run_key=plan.run_key)}
            if found == {input_key}:
                continue
        pending.append((plan, input_key))
    return pending


def _run_statistic(
    spark: SparkSession,
    tables: Tables,
    plan: _Plan,
    report: StageReport,
    *,
    input_key: str,
    commit: LogCommit,
) -> None:
    started = time.monotonic()
    dataset, output, run_key = report.dataset, plan.statistic.output, plan.run_key
    tables.create(output)
    with tables.writing(output, dataset=dataset, run_key=run_key):
        rows = _write(spark, tables, plan, report, input_key=input_key)
    log = RunLog(
        commit,
        output,
        stage=report.stage,
        dataset=dataset,
        run_key=run_key,
        params={"reads": dict(plan.upstream)},
    )
    log.add("finished", seconds=time.monotonic() - started, shards=0, counts={"rows": rows})


def _write(spark: SparkSession, tables: Tables, plan: _Plan, report: StageReport, *, input_key: str) -> int:
    dataset, output, run_key = report.dataset, plan.statistic.output, plan.run_key
    frames = {
        name: tables.read(spec, dataset=dataset, run_key=plan.upstream[spec.name])
        if spec.name in plan.upstream
        else spark.createDataFrame([], spec.schema)
        for name, spec in {**plan.statistic.reads, **plan.statistic.reads_if_made}.items()
    }
    # A published statistic is a few rows: through the driver they take one query, not one to keep them, one to
    # count and one to write.
    own = {"dataset": dataset, "run_key": run_key, "input_key": input_key}
    found = run_steps(spark, plan.statistic.steps, frames)
    rows = [{**row.asDict(), **own} for row in found.collect()]
    version = tables.replace(output, tables.rows(output, rows), dataset=dataset, run_key=run_key)
    if not rows:
        version = tables.note_empty(output, dataset=dataset, run_key=run_key, input_key=input_key)
    _take_results(report, output, rows if _has_one_row(output) else [])
    report.rows += len(rows)
    report.versions_written[output.name] = version
    report.versions_read.update({name: tables.version(TABLES[name]) for name in plan.upstream})
    return len(rows)


def _has_one_row(output: TableSpec) -> bool:
    return set(output.key) == {"dataset", "run_key"}


def _take_results(report: StageReport, output: TableSpec, rows: Sequence[Mapping[str, Any]]) -> None:
    """Numbers of a statistic that has one row per dataset become the stage's results."""
    for row in rows:
        for name in (column.name for column in output.result_fields()):
            if isinstance(row[name], (int, float)):
                report.results[name] = float(row[name])


def content_key(tables: Tables, dataset: str, run_keys: Mapping[str, str]) -> str:
    """Hash of what tables hold for a dataset: the set of (shard, run key, input key) and the statuses.

    Statuses are in it because a row that is done again (`--retry-failed`) keeps its input key.
    """
    return _content_digest(run_keys, _content(tables, dataset, run_keys))


def _content_digest(run_keys: Mapping[str, str], content: Mapping[str, list[list[object]]]) -> str:
    return digest({"run_keys": dict(run_keys), "content": {name: content[name] for name in run_keys}})


def _content(tables: Tables, dataset: str, run_keys: Mapping[str, str]) -> dict[str, list[list[object]]]:
    """What each table holds; only those that have changed are asked, in one query over all of them.

    Returns:
        By table, in order: [shard, input key, status, rows] of sample-level tables, [input key, rows] of
        the others.
    """
    questions = {
        name: {"asks": "content", "dataset": dataset, "run_key": run_key}
        for name, run_key in run_keys.items()
    }

    def ask(names: list[str]) -> dict[str, list[list[object]]]:
        return _asked_content(tables, dataset, {name: run_keys[name] for name in names})

    return tables.answer_each([TABLES[name] for name in run_keys], questions, ask)


def _asked_content(
    tables: Tables, dataset: str, run_keys: Mapping[str, str]
) -> dict[str, list[list[object]]]:
    from pyspark.sql import functions as F

    parts: dict[str, list[list[object]]] = {name: [] for name in run_keys}
    groups = ("shard_id", "input_key", "status")
    own = {name: [group for group in groups if group in TABLES[name].columns] for name in run_keys}
    frames = []
    for name, run_key in sorted(run_keys.items()):
        frame = tables.read(TABLES[name], dataset=dataset, run_key=run_key)
        columns = [F.col(group) if group in own[name] else F.lit(None).alias(group) for group in groups]
        frames.append(frame.select(F.lit(name).alias("table_name"), *columns))
    union = functools.reduce(lambda first, second: first.unionByName(second), frames)
    for row in union.groupBy("table_name", *groups).count().collect():
        name = row["table_name"]
        parts[name].append([*(row[group] for group in own[name]), row["count"]])
    return {name: sorted(rows) for name, rows in parts.items()}
