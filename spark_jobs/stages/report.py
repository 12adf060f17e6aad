"""Stage `report`: one self-contained HTML file with the numbers, plots and galleries."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec

from spark_jobs.errors import ConfigError, StageError
from spark_jobs.report.page import read_input_key, render
from spark_jobs.report.read.collect import collect
from spark_jobs.report.read.snapshot import Snapshot
from spark_jobs.runner.stage import Situation, StageContract, plan_whole
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig

_HEAD = 4096


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Write the report of the warehouse's datasets, unless the one there shows the same.

    Raises:
        StageError: If nothing has been measured yet.
    """
    started = time.monotonic()
    snapshot = Snapshot.of(Tables(spark, config.warehouse), config.report)
    if not snapshot.datasets:
        raise StageError(
            f"nothing to report: {config.warehouse} holds no ingested dataset. Run `parrot run` first"
        )
    target = report_location(config)
    report = StageReport(stage="report", dataset=config.dataset or ", ".join(snapshot.datasets))
    report.notes += [f"report: {target}", *snapshot.notes()]
    if "://" not in target:
        report.artifacts.append(target)
    input_key = digest(snapshot.key())
    if _present_key(target) != input_key:
        _write(target, render(collect(snapshot, input_key=input_key)))
        report.results["datasets"] = float(len(snapshot.datasets))
        report.shards_done = 1
    report.seconds = time.monotonic() - started
    return report


def report_location(config: RunConfig) -> str:
    """Where the report goes: as configured, else `report.html` in the warehouse.

    Raises:
        ConfigError: If the warehouse is a catalog and no place is configured.
    """
    if config.report.output:
        return config.report.output
    if config.is_catalog:
        raise ConfigError("a catalog holds no files: say where the report goes with --set report.output=PATH")
    return f"{config.warehouse.rstrip('/')}/report.html"


def _present_key(target: str) -> str | None:
    filesystem, path = fsspec.core.url_to_fs(target)
    if not filesystem.exists(path):
        return None
    with filesystem.open(path, "rb") as file:
        return read_input_key(file.read(_HEAD).decode("utf-8", "replace"))


def _write(target: str, page: str) -> None:
    if "://" not in target:
        os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
        partial = f"{target}.partial"
        with open(partial, "w", encoding="utf-8") as file:
            file.write(page)
        os.replace(partial, target)
        return
    with fsspec.open(target, "w", encoding="utf-8") as file:
        file.write(page)


def _check(config: RunConfig) -> None:
    """Find whether the report could be put where it is to go.

    Raises:
        ConfigError: If no place is configured and the warehouse holds no files, or the place is a folder or
            lies in a file.
    """
    target = report_location(config)
    if "://" in target:
        return
    path = Path(target).absolute()
    above = next(folder for folder in path.parents if folder.exists())
    if path.is_dir() or not above.is_dir() or not os.access(above, os.W_OK):
        raise ConfigError(
            f"the report cannot be written to {target}: give a file in a folder that can be written, with "
            "--set report.output=PATH"
        )


def _ready(situation: Situation) -> None:
    """What the report shows is made by the stages before it; where there is nothing, they say so."""


STAGE = StageContract(run, _check, _ready, plan_whole)
