"""Stage `curate`: build named subsets, each in one go; what is up to date is left as it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from schemas import subset_members, subsets
from spark_jobs.runner.run_log import LogCommit
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.subsets.build import build_subset
from spark_jobs.subsets.definition import orders
from spark_jobs.warehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Build the subsets that `curate.build` names, and their random controls where asked for.

    Raises:
        ConfigError: If a subset is not defined.
        StageError: If a measure has not been made, or fewer samples qualify than a size asks for.
    """
    started = time.monotonic()
    wanted = orders(config.curate)
    tables = Tables(spark, config.warehouse)
    report = StageReport(stage="curate", dataset=config.dataset_name)
    for spec in (subsets.TABLE, subset_members.TABLE):
        tables.create(spec)
    sizes: dict[str, int] = {}
    with LogCommit(tables) as commit:
        for order in wanted:
            size = sizes.get(order.control_of or "")
            sizes[order.subset_id] = build_subset(tables, order, report, commit=commit, size=size)
    report.seconds = time.monotonic() - started
    return report
