"""Stage `report`: one self-contained HTML file with the numbers, plots and galleries."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import fsspec

from schemas import clip_embeddings
from spark_jobs.errors import ConfigError, StageError
from spark_jobs.report.collect import RunKeys, collect, report_key
from spark_jobs.report.page import read_input_key, render
from spark_jobs.runner.keys import digest
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.stages.embed import model_notes
from spark_jobs.tables import Tables

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
    tables = Tables(spark, config.warehouse)
    run_keys = tables.current_run_keys()
    datasets = sorted({dataset for dataset, table in run_keys if table == "samples"})
    if not datasets:
        raise StageError(
            f"nothing to report: {config.warehouse} holds no ingested dataset. Run `parrot run` first"
        )
    target = report_location(config)
    report = StageReport(stage="report", dataset=config.dataset or ", ".join(datasets))
    report.notes.append(f"report: {target}")
    if "://" not in target:
        report.artifacts.append(target)
    input_key = digest(report_key(tables, datasets, config.report, run_keys))
    if _present_key(target) != input_key:
        notes = {dataset: _notes(tables, dataset, run_keys) for dataset in datasets}
        content = collect(tables, datasets, config.report, run_keys, input_key=input_key, notes=notes)
        _write(target, render(content))
        report.results["datasets"] = float(len(datasets))
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


def _notes(tables: Tables, dataset: str, run_keys: RunKeys) -> list[str]:
    if (dataset, "clip_embeddings") not in run_keys:
        return []
    run_key = run_keys[dataset, "clip_embeddings"]
    frame = tables.read(clip_embeddings.TABLE, dataset=dataset, run_key=run_key)
    models = [row["model"] for row in frame.select("model").distinct().collect()]
    return [note for model in models for note in model_notes(model)]


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
