"""A `parrot run`: check everything first, then stage by stage, tracked in MLflow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from schemas import TABLES
from spark_jobs import log, tracking
from spark_jobs.access_mode import require_workers
from spark_jobs.clip_models import refuse_mixed_models
from spark_jobs.dataset_input import DatasetInput
from spark_jobs.pipeline import Stage
from spark_jobs.query_compilation import fitted_to_size
from spark_jobs.runner.progress import console
from spark_jobs.runner.run_log import run_id
from spark_jobs.runner.stage import Situation
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.statistics import HEADLINE_SCORES
from spark_jobs.stages import load_stage
from spark_jobs.version import parrot_version
from spark_jobs.warehouse.addresses import check_writable
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys, publish_views

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig

# What a run of MLflow's list is told apart and compared by: the paper's Table 1 in short.
_HEADLINE = (
    "images",
    *(
        f"{name}{end}"
        for name in ("share_co_emb", "cotr_in_total", "cotr_with_text")
        for end in ("", "_low", "_high")
    ),
)
_TOLD = ("rows", "failed", "skipped", "shards_done", "shards_kept", "seconds")


def check(config: RunConfig, stages: list[Stage]) -> None:
    """Find what would stop the run, before Spark starts and any work is done.

    Raises:
        ParrotError: The first fault: no dataset name, no such source, no such model, no way to write.
    """
    check_writable(config.warehouse)
    for stage in stages:
        load_stage(stage.name).check(config)
    refuse_mixed_models(config, {stage.name for stage in stages})


def check_ready(tables: Tables, config: RunConfig, stages: list[Stage]) -> None:
    """Find what in the warehouse would stop a stage of the run, before the first one starts.

    Raises:
        ParrotError: The first fault: a table that is missing and that no stage before makes, and the like.
    """
    situation = Situation(tables, config, current_run_keys(tables))
    for stage in stages:
        load_stage(stage.name).ready(situation)
        situation = situation.done(stage.writes)
    refuse_mixed_models(config, {stage.name for stage in stages}, tables=tables)


def run_stages(
    spark: SparkSession, config: RunConfig, stages: list[Stage], *, tags: Mapping[str, object] | None = None
) -> list[StageReport]:
    """Run stages in order, each as a nested MLflow run, and say what each did.

    Args:
        spark: The session.
        config: Configuration of all of them.
        stages: In order.
        tags: Of the MLflow run.

    Raises:
        SessionError: If a stage writes a table, and the session takes only queries.
    """
    for stage in stages:
        if stage.writes:
            require_workers(spark, f"stage {stage.name}")
    tables = Tables(spark, config.warehouse)
    with fitted_to_size(tables, config.session) as fit_to_size:
        check_ready(tables, config, stages)
        return _run(tables, config, stages, tags=tags or {}, fit_to_size=fit_to_size)


def _run(
    tables: Tables,
    config: RunConfig,
    stages: list[Stage],
    *,
    tags: Mapping[str, object],
    fit_to_size: Callable[[], None],
) -> list[StageReport]:
    reports = []
    with tracking.parent_run(config, f"parrot run {config.dataset or ''}".strip(), _params(config, stages)):
        tracking.tags(tags)
        tracking.headline({}, tags=_tags(config))
        for stage in stages:
            with tracking.stage_run(stage.name):
                tracking.params(_stage_params(config, stage))
                report = load_stage(stage.name).run(tables.spark, config)
                _track(report)
                _track_inputs(tables, report)
            say(report)
            reports.append(report)
            if stage.name == "ingest":
                fit_to_size()
        tracking.metrics({f"{report.stage} seconds": report.seconds for report in reports})
        tracking.headline(headline_of(reports), tags={})
        publish_views(tables)
    return reports


def say(report: StageReport) -> None:
    """Tell a person what a stage did, in one line, and what they must know."""
    if report.rows:
        rate = f", {report.rows / report.seconds:,.1f}/s" if report.seconds else ""
        done = f"{report.rows:,} rows in {report.seconds:,.1f} s{rate}"
        if report.failed or report.skipped:
            done += f" ({report.failed:,} failed, {report.skipped:,} skipped)"
        if report.shards_kept:
            done += f"; {report.shards_kept:,} shard(s) were up to date"
    elif report.did_nothing:
        done = "up to date"
    else:
        done = f"done in {report.seconds:,.1f} s"
    if log.is_json():
        numbers = {name: getattr(report, name) for name in _TOLD}
        log.record("info", f"{report.stage}: {done}", dataset=report.dataset, stage=report.stage, **numbers)
        for note in report.notes:
            log.record("info", note, dataset=report.dataset, stage=report.stage)
        return
    console.print(f"[bold]{report.stage:>12}[/bold]  {done}")
    for note in report.notes:
        console.print(f"{'':>12}  {note}", markup=False, soft_wrap=True)


def _tags(config: RunConfig) -> dict[str, object]:
    return {
        "dataset": config.dataset or "",
        "parrot_version": parrot_version(),
        "clip_model": f"{config.embed.model}/{config.embed.pretrained}",
        "spotter": config.spot_text.spotter,
    }


def headline_of(reports: Sequence[StageReport]) -> dict[str, float]:
    """The numbers of the whole run: what `statistics` found, where it was part of it and had something to do."""
    of_models = tuple(f"{score} " for score in HEADLINE_SCORES)
    found = {
        name: value
        for report in reports
        for name, value in report.results.items()
        if report.stage == "statistics"
    }
    named = {name: found[name] for name in _HEADLINE if name in found}
    return named | {name: value for name, value in found.items() if name.startswith(of_models)}


def _params(config: RunConfig, stages: list[Stage]) -> dict[str, object]:
    values: dict[str, object] = {
        "run_id": run_id(),
        "parrot_version": parrot_version(),
        "stages": " ".join(stage.name for stage in stages),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    # Spark settings and addresses may hold secrets.
    shown = config.model_dump(mode="json", exclude={"session": {"spark"}, "tracking": {"uri"}})
    for name, value in shown.items():
        values[name] = json.dumps(value, sort_keys=True) if isinstance(value, dict) else value
    return values


def _stage_params(config: RunConfig, stage: Stage) -> dict[str, object]:
    section = getattr(config, stage.name, None)
    return section.model_dump(mode="json") if section is not None else {}


def _track(report: StageReport) -> None:
    numbers = {
        "rows": report.rows,
        "failed": report.failed,
        "skipped": report.skipped,
        "shards_done": report.shards_done,
        "shards_kept": report.shards_kept,
        "seconds": report.seconds,
    }
    tracking.metrics({name: float(value) for name, value in numbers.items()})
    tracking.metrics({f"worker_seconds_{phase}": seconds for phase, seconds in report.phase_seconds.items()})
    tracking.metrics(report.results)
    tracking.params({f"run_key {table}": key for table, key in report.run_keys.items()})
    tracking.params({f"version_read {table}": version for table, version in report.versions_read.items()})
    tracking.params(
        {f"version_written {table}": version for table, version in report.versions_written.items()}
    )
    for path in report.artifacts:
        tracking.artifact(path)


def _track_inputs(tables: Tables, report: StageReport) -> None:
    """The tables that a stage read, each at its version, where the stage had something to do."""
    if report.did_nothing:
        return
    for name, version in report.versions_read.items():
        spec = TABLES[name]
        tracking.dataset_input(
            DatasetInput(
                name=f"{report.dataset}/{name}",
                location=tables.location(spec),
                version=version,
                digest=f"version-{version}",
                columns=tuple(spec.columns),
                rows=None,
                context="read",
                tags={"where": f"dataset = '{report.dataset}'"},
            )
        )
