"""Stage `curate`: build named subsets, each in one go; what is up to date is left as it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from schemas import subset_members, subsets
from spark_jobs.runner.run_log import LogCommit
from spark_jobs.runner.stage import Situation, StageContract, check_dataset, plan_whole
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.subsets.build import build_subset
from spark_jobs.subsets.definition import subset_builds
from spark_jobs.subsets.measures import upstream_of_measures
from spark_jobs.subsets.selection import Selection
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
    wanted = subset_builds(config.curate)
    tables = Tables(spark, config.warehouse)
    report = StageReport(stage="curate", dataset=config.dataset_name)
    for spec in (subsets.TABLE, subset_members.TABLE):
        tables.create(spec)
    sizes: dict[str, int] = {}
    with LogCommit(tables) as commit:
        for subset in wanted:
            size = sizes.get(subset.control_of or "")
            sizes[subset.subset_id] = build_subset(
                tables, subset, report, config=config.runner, commit=commit, size=size
            )
    report.seconds = time.monotonic() - started
    return report


def _check(config: RunConfig) -> None:
    check_dataset(config)
    subset_builds(config.curate)


def _ready(situation: Situation) -> None:
    for subset in subset_builds(situation.config.curate):
        measures = Selection(subset.definition).measures
        dataset = situation.config.dataset_name
        upstream_of_measures(situation.current, dataset, measures, subset_id=subset.subset_id)


STAGE = StageContract(run, _check, _ready, plan_whole)
