"""Run statistics over whole tables: done again only when one of the shards they read has changed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schemas import stat_relative_score
from schemas._table import TableSpec
from spark_jobs.pipeline import is_profiled
from spark_jobs.runner.pending import RunKeys
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.whole_tables import Making, TableWork, run_whole
from spark_jobs.sql.steps import Step, run_steps
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig

# Tables of few rows whose numbers the log keeps: tables themselves hold only the newest of equal settings.
_KEPT_IN_LOG = ("stat_overall", "stat_chance", "stat_clip_score", "stat_text_removal")

# Of a small dataset each takes one core and waits for its commit: 17 tables of 240 samples on two cores 75 s one by
# one, 47 s two at once, 45 s four.
_AT_ONCE = 4

HEADLINE_SCORES = ("rsa", "rsc")
"""Relative scores that runs are compared by."""


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
    current = current_run_keys(tables)
    works = [
        _work(spark, statistic, upstream)
        for statistic in statistics
        if (upstream := _upstream(statistic, current, report)) is not None
    ]
    run_whole(tables, config.runner, works, report=report, at_once=_AT_ONCE)
    report.seconds = time.monotonic() - started
    return report


def statistic_key(statistic: Statistic, upstream: Mapping[str, str]) -> str:
    """Run key of a statistic: its table, its SQL, and the run keys of what it reads, by table."""
    return digest(_decides(statistic, upstream))


def _decides(statistic: Statistic, upstream: Mapping[str, str]) -> dict[str, Any]:
    sql = [step.decides() for step in statistic.steps]
    return {"statistic": statistic.output.name, "sql": sql, "reads": dict(upstream)}


def _upstream(statistic: Statistic, current: RunKeys, report: StageReport) -> dict[str, str] | None:
    """Run key by table that a statistic reads; None where one is missing."""
    specs = statistic.reads.values()
    missing = [spec.name for spec in specs if (report.dataset, spec.name) not in current]
    if missing:
        # Of a stage that runs only where it is named, nobody waits for the statistics.
        if all(map(is_profiled, missing)):
            report.notes.append(
                f"{statistic.output.name} was left out: dataset {report.dataset} has no {', '.join(missing)}"
            )
        return None
    made = [spec for spec in statistic.reads_if_made.values() if (report.dataset, spec.name) in current]
    return {spec.name: current[report.dataset, spec.name] for spec in (*specs, *made)}


def _work(spark: SparkSession, statistic: Statistic, upstream: Mapping[str, str]) -> TableWork:
    def compute(making: Making) -> None:
        frames = {
            name: making.read(spec) if spec.name in upstream else spark.createDataFrame([], spec.schema)
            for name, spec in {**statistic.reads, **statistic.reads_if_made}.items()
        }
        rows = making.write_few(statistic.output, run_steps(spark, statistic.steps, frames))
        if set(statistic.output.key) == {"dataset", "run_key"}:  # one row per dataset
            making.report.results.update(_results(statistic.output, rows))
        if statistic.output == stat_relative_score.TABLE:
            making.report.results.update(relative_scores_of(rows))
        if statistic.output.name in _KEPT_IN_LOG:
            making.report.history = history_of(statistic.output, rows)

    return TableWork(
        stage="statistics",
        outputs=(statistic.output,),
        reads=upstream,
        params={},
        decides=_decides(statistic, upstream),
        logged={"reads": dict(upstream)},
        compute=compute,
    )


def _results(output: TableSpec, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The numbers among the measures of rows."""
    names = [column.name for column in output.result_fields()]
    return {name: float(row[name]) for row in rows for name in names if isinstance(row[name], (int, float))}


def relative_scores_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean RSA and RSC of each model with their intervals: how much of a score hangs on the visible text.

    Args:
        rows: Rows of `stat_relative_score`.

    Returns:
        By `rsa MODEL`, `rsa MODEL low` and `rsa MODEL high`, and as many of RSC; what is null is left out.
    """
    return {
        f"{row['relative_score']} {row['model']}{end}": row[column]
        for row in rows
        if row["relative_score"] in HEADLINE_SCORES
        for column, end in (("mean", ""), ("mean_low", " low"), ("mean_high", " high"))
        if row[column] is not None
    }


def history_of(output: TableSpec, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The numbers of rows by their name: the column, after the row's key where a dataset has several rows."""
    own = [name for name in output.key if name not in ("dataset", "run_key")]
    return {
        ".".join([*(str(row[key]) for key in own), name]): value
        for row in rows
        for name, value in _results(output, [row]).items()
        if name not in own
    }
