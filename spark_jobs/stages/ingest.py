"""Stage `ingest`: list the source's samples and where their images lie. Nothing is copied."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from schemas import images, samples
from schemas._table import TableSpec
from spark_jobs.errors import SourceError
from spark_jobs.runner.pending import sample_shards
from spark_jobs.runner.progress import StageProgress
from spark_jobs.runner.run_log import LogCommit, RunLog, was_made_by
from spark_jobs.runner.stage import Situation, StageContract, StagePlan, check_dataset
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.sources import recognise
from spark_jobs.sources.base import SourceOptions, SourceShard
from spark_jobs.sources.source_rows import Reading, source_rows
from spark_jobs.sources.storage import absolute
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.query_cache import Question
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row, SparkSession

    from spark_jobs.config import RunConfig
    from spark_jobs.sections import IngestConfig

# Changes when the same source must give other rows. The kind and the path of a source are not in it:
# what a shard's rows come from is in their input key.
RUN_KEY = digest({"stage": "ingest", "version": 1})
_OUTPUTS = (images.TABLE, samples.TABLE)
_CHUNK_SHARDS = 64
_DIRT = "dirt "  # begins the names of counts of dirt in a report's results
_INGESTED = Question("input keys of ingested shards", version=1)


@dataclasses.dataclass(frozen=True)
class IngestPlan:
    """What an ingest would do now.

    Attributes:
        kind: Kind of the source.
        pending: Shards that the warehouse lacks (or that changed, where they are refreshed).
        changed: Shards that changed at the source since they were ingested.
        vanished: Ingested shards that the source no longer has.
        kept: Shards that are up to date or left alone.
    """

    kind: str
    pending: list[SourceShard]
    changed: list[str]
    vanished: list[str]
    kept: int
    stored: set[str]


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Ingest the shards of `config.source` that the warehouse lacks.

    Raises:
        SourceError: If the source is missing, empty or of an unknown kind.
    """
    started = time.monotonic()
    tables = Tables(spark, config.warehouse)
    dataset = config.dataset_name
    report = StageReport(stage="ingest", dataset=dataset, run_keys={spec.name: RUN_KEY for spec in _OUTPUTS})
    if config.source is None:
        _require_ingested(tables, dataset)
        report.notes.append("no --source given: working on what has been ingested")
        return report
    # Compared inside the lock: what another run has just written is not done again.
    with tables.writing(samples.TABLE, dataset=dataset, run_key=RUN_KEY):
        plan = plan_ingest(tables, config)
        report.shards_kept = plan.kept
        report.notes += _notes(plan, refresh=config.refresh)
        current = current_run_keys(tables)
        # A run that was killed before its last log entry has written everything but is not known as finished.
        finished = made_current(tables, dataset)
        is_current = all(current.get((dataset, spec.name)) == RUN_KEY for spec in finished)
        if plan.pending or not is_current or (plan.vanished and config.refresh):
            _ingest(spark, tables, config=config, plan=plan, report=report)
    report.seconds = time.monotonic() - started
    return report


def made_current(tables: Tables, dataset: str) -> list[TableSpec]:
    """The outputs whose current run key is ingest's: not `images` once `download` has completed them."""
    run_key = current_run_keys(tables).get((dataset, images.TABLE.name))
    if run_key in (None, RUN_KEY):
        return list(_OUTPUTS)
    is_completed = was_made_by(tables, "download", dataset=dataset, run_key=run_key)
    return [samples.TABLE] if is_completed else list(_OUTPUTS)


def plan_ingest(tables: Tables, config: RunConfig) -> IngestPlan:
    """Compare the source's shards with those in the warehouse.

    Raises:
        SourceError: If the source is missing, empty or of an unknown kind.
    """
    if config.source is None:
        raise SourceError("no source given: --source PATH")
    source = recognise(config.source, config.ingest.kind)
    found = {shard.shard_id: shard for shard in source.shards(config.source, _options(config.ingest))}
    if not found:
        raise SourceError(f"the source {config.source} holds no {source.kind} shard")
    done, known = _ingested(tables, config.dataset_name)
    keys = {name: _input_key(shard, config.source) for name, shard in found.items()}
    moved = {
        shard.group
        for name, shard in found.items()
        if shard.group and done.get(name, keys[name]) != keys[name]
    }
    # Pairs move between the shards of a moved group: one of them alone would bring some of them twice.
    wanted = {*sample_shards(found, config.limit), *(name for name in found if found[name].group in moved)}
    selected = sorted(wanted) if config.refresh else sample_shards(found, config.limit)
    changed = [
        name for name in selected if found[name].group in moved or (name in done and done[name] != keys[name])
    ]
    new = [name for name in selected if name not in done and name not in changed]
    pending = [found[name] for name in sorted([*new, *(changed if config.refresh else [])])]
    return IngestPlan(
        kind=source.kind,
        pending=pending,
        changed=changed,
        vanished=sorted(known - set(found)),
        kept=len(selected) - len(pending),
        stored=known,
    )


def _options(config: IngestConfig) -> SourceOptions:
    return SourceOptions(
        shard_size=config.shard_size,
        image_column=config.image_column,
        caption_column=config.caption_column,
        swap_sizes=config.swap_sizes,
        tsv_order=config.tsv_order,
    )


def _input_key(shard: SourceShard, source: str) -> str:
    # The place is part of it: rows refer to the images where they lie.
    return digest([absolute(source), shard.fingerprint])


def _ingested(tables: Tables, dataset: str) -> tuple[dict[str, str], set[str]]:
    """Input key by shard, of the shards that are ingested; and the shards that any table holds.

    A shard is ingested when `samples`, written last, has it: `images` has no rows yet of samples with only a
    URL, so it cannot be asked.
    """
    question = _INGESTED.of(dataset=dataset)
    keys: dict[str, dict[str, str]] = {}
    for spec in _OUTPUTS:
        is_made = tables.exists(spec)
        keys[spec.name] = tables.answer(spec, question, _asker(tables, spec, dataset)) if is_made else {}
    return keys[samples.TABLE.name], {shard_id for held in keys.values() for shard_id in held}


def _asker(tables: Tables, spec: TableSpec, dataset: str) -> Callable[[], dict[str, str]]:
    """A query for the input key of each shard."""
    from pyspark.sql import functions as F

    def ask() -> dict[str, str]:
        frame = tables.read(spec, dataset=dataset, run_key=RUN_KEY)
        rows = frame.groupBy("shard_id").agg(F.min("input_key").alias("key")).collect()
        return {row["shard_id"]: row["key"] for row in rows}

    return ask


def _require_ingested(tables: Tables, dataset: str) -> None:
    if not tables.exists(samples.TABLE) or not _ingested(tables, dataset)[0]:
        raise SourceError(
            f"dataset {dataset} has not been ingested into {tables.warehouse}: give its source with --source PATH"
        )


def _notes(plan: IngestPlan, *, refresh: bool) -> list[str]:
    notes = list(dict.fromkeys(note for shard in plan.pending for note in shard.notes))
    if plan.changed:
        what = "ingested again" if refresh else "left as they were; --refresh ingests them again"
        notes.append(f"{len(plan.changed)} shard(s) changed at the source ({plan.changed[0]}, ...): {what}")
    if plan.vanished:
        what = "removed" if refresh else "kept; --refresh removes them"
        notes.append(
            f"{len(plan.vanished)} ingested shard(s) are gone from the source ({plan.vanished[0]}, ...): {what}"
        )
    return notes


def _ingest(
    spark: SparkSession, tables: Tables, *, config: RunConfig, plan: IngestPlan, report: StageReport
) -> None:
    for spec in _OUTPUTS:
        tables.create(spec)
    params = {"kind": plan.kind, "source": config.source, "options": config.ingest.model_dump()}
    with LogCommit(tables) as commit, contextlib.ExitStack() as outcomes:
        for spec in made_current(tables, report.dataset):
            log = RunLog(
                commit,
                spec,
                stage="ingest",
                dataset=report.dataset,
                run_key=RUN_KEY,
                params=params,
            )
            outcomes.enter_context(log.outcome(report))
        _write(spark, tables, config=config, plan=plan, report=report)
    report.notes += _summary(report)
    if images.TABLE not in made_current(tables, report.dataset):
        report.notes.append(
            "`parrot run download` made this dataset's images: run it for what was ingested now"
        )


def _write(
    spark: SparkSession, tables: Tables, *, config: RunConfig, plan: IngestPlan, report: StageReport
) -> None:
    if plan.vanished and config.refresh:
        for spec in _OUTPUTS:
            empty = tables.read(spec).limit(0)
            version = tables.replace(
                spec, empty, dataset=report.dataset, run_key=RUN_KEY, shards=plan.vanished
            )
            report.versions_written[spec.name] = version
    with StageProgress("ingest", total=sum(shard.samples or 0 for shard in plan.pending)) as progress:
        for first in range(0, len(plan.pending), _CHUNK_SHARDS):
            chunk = plan.pending[first : first + _CHUNK_SHARDS]
            rows, failed = _ingest_chunk(spark, tables, config=config, plan=plan, chunk=chunk, report=report)
            progress.chunk_done(samples=rows, failed=failed)


def _ingest_chunk(
    spark: SparkSession,
    tables: Tables,
    *,
    config: RunConfig,
    plan: IngestPlan,
    chunk: list[SourceShard],
    report: StageReport,
) -> tuple[int, int]:
    from pyspark.sql import functions as F

    keys = {shard.shard_id: _input_key(shard, str(config.source)) for shard in chunk}
    reading = Reading(plan.kind, _options(config.ingest), dataset=report.dataset, run_key=RUN_KEY)
    rows = _read_shards(spark, chunk, keys=keys, reading=reading)
    rows = rows.persist()
    try:
        sums = rows.agg(
            F.count("*").alias("n"),
            F.sum(_is_failed().cast("long")).alias("failed"),
            F.sum((F.col("image.status") == "skipped").cast("long")).alias("skipped"),
            F.sum(F.col("image").isNull().cast("long")).alias("only_urls"),
        ).collect()[0]
        dirt = rows.select(F.explode("dirt").alias("kind")).groupBy("kind").count().collect()
        # `samples` last: a shard counts as ingested when that table has it.
        for spec, side in ((images.TABLE, "image"), (samples.TABLE, "sample")):
            version = tables.replace(
                spec,
                rows.where(F.col(side).isNotNull()).select(f"{side}.*"),
                dataset=report.dataset,
                run_key=RUN_KEY,
                shards=list(keys),
                is_new=plan.stored.isdisjoint(keys),
            )
            report.versions_written[spec.name] = version
    finally:
        rows.unpersist()
    report.shards_done += len(chunk)
    report.rows += sums["n"]
    report.failed += sums["failed"] or 0
    report.skipped += sums["skipped"] or 0
    for name, count in (("samples with only a URL", sums["only_urls"] or 0), *map(_dirt_count, dirt)):
        report.results[name] = report.results.get(name, 0.0) + count
    return sums["n"], sums["failed"] or 0


def _is_failed() -> Column:
    """Whether nothing can be made of a row: its image failed, or it has none and failed itself."""
    from pyspark.sql import functions as F

    without_image = F.col("image").isNull() & (F.col("sample.status") == "failed")
    return without_image | F.coalesce(F.col("image.status") == "failed", F.lit(False))


def _dirt_count(row: Row) -> tuple[str, int]:
    return f"{_DIRT}{row['kind']}", row["count"]


def _summary(report: StageReport) -> list[str]:
    """What the user must know of the rows that were ingested."""
    notes = []
    dirt = {name.removeprefix(_DIRT): n for name, n in report.results.items() if name.startswith(_DIRT)}
    if dirt:
        most_first = sorted(dirt.items(), key=lambda item: (-item[1], item[0]))
        notes.append(f"dirt: {', '.join(f'{count:,.0f} {kind}' for kind, count in most_first)} (kept)")
    only_urls = report.results.get("samples with only a URL", 0)
    if only_urls:
        notes.append(
            f"{only_urls:,.0f} samples have only a URL and no image yet: `parrot run download` fetches them"
        )
    return notes


def _read_shards(
    spark: SparkSession, chunk: list[SourceShard], *, keys: Mapping[str, str], reading: Reading
) -> DataFrame:
    """Rows with `sample`, `image` (null for a sample with only a URL) and `dirt`."""
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import ArrayType, StringType, StructField, StructType

    schema = StructType(
        [
            StructField("sample", samples.TABLE.schema),
            StructField("image", images.TABLE.schema),
            StructField("dirt", ArrayType(StringType())),
        ]
    )
    described = [
        (
            shard.shard_id,
            shard.fingerprint,
            json.dumps(shard.payload, ensure_ascii=True),
            keys[shard.shard_id],
        )
        for shard in chunk
    ]
    columns = "shard_id string, fingerprint string, payload string, input_key string"
    shards = spark.createDataFrame(described, columns)
    read = functools.partial(source_rows, reading=reading, output=to_arrow_schema(schema))
    # One task per shard, in order: a shard is one sequential read.
    return shards.repartitionByRange(len(chunk), "shard_id").mapInArrow(read, schema)


def _check(config: RunConfig) -> None:
    check_dataset(config)
    if config.source is not None:
        recognise(config.source, config.ingest.kind)


def _ready(situation: Situation) -> None:
    if situation.config.source is None:
        _require_ingested(situation.tables, situation.config.dataset_name)


def _plan(situation: Situation) -> StagePlan:
    made = made_current(situation.tables, situation.config.dataset_name)
    run_keys = {spec.name: RUN_KEY for spec in made}
    if situation.config.source is None:
        return StagePlan(run_keys=run_keys)
    pending = plan_ingest(situation.tables, situation.config).pending
    return StagePlan({shard.shard_id: shard.samples for shard in pending}, run_keys=run_keys)


STAGE = StageContract(run, _check, _ready, _plan)
