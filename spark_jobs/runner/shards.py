"""Run a sample-level stage: pending shards in chunks, each one atomic commit.

Killed at any moment, the next run continues at the first missing chunk, and the table comes out the same
row for row: what is done is read from the output itself, never from a log.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas._table import KEY_COLUMNS
from spark_jobs import tracking
from spark_jobs.errors import StageError
from spark_jobs.runner.done_anew import why_done_anew
from spark_jobs.runner.in_flight import SideQuery, cancel_query, in_turns, start_query
from spark_jobs.runner.pending import Plan, Shard, ShardWork, chunks_of, plan_work, run_key_of, upstream_of
from spark_jobs.runner.progress import StageProgress, console
from spark_jobs.runner.row_counts import RowCounts, count_rows, too_many_failed
from spark_jobs.runner.run_log import RunLog
from spark_jobs.runner.ship_files import ship_files
from spark_jobs.runner.slices import slice_frame, slice_length
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.session import task_slots
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig
    from spark_jobs.sections import RunnerConfig

_MODEL_FIRST_CHUNK = 256  # until the rate is known
_OTHER_FIRST_CHUNK = 200_000
_ROWS_PER_FILE = 50_000


def run_shards(spark: SparkSession, config: RunConfig, work: ShardWork) -> StageReport:
    """Bring a sample-level table up to date with its inputs.

    Raises:
        StageError: If an input is missing, no sample has an image yet, another run writes the same rows, or
            too many rows fail.
    """
    started = time.monotonic()
    tables = Tables(spark, config.warehouse)
    dataset = config.dataset_name
    current = current_run_keys(tables)
    run_key = run_key_of(work, upstream_of(current, dataset, work.inputs))
    report = StageReport(stage=work.stage, dataset=dataset, run_keys={work.output.name: run_key})
    # Compared inside the lock: what another run has just written is not done again.
    with tables.writing(work.output, dataset=dataset, run_key=run_key):
        plan = plan_work(tables, work, dataset=dataset, limit=config.limit, current=current)
        if plan.waits_for and not (plan.pending or plan.kept or plan.orphans):
            raise StageError(plan.waits_for)
        report.shards_kept = plan.kept
        report.notes += [plan.waits_for] if plan.waits_for else []
        report.versions_read = {item.spec.name: tables.version(item.spec) for item in work.inputs}
        _run_plan(spark, tables, config=config, work=work, plan=plan, report=report)
    report.seconds = time.monotonic() - started
    return report


def _run_plan(
    spark: SparkSession,
    tables: Tables,
    *,
    config: RunConfig,
    work: ShardWork,
    plan: Plan,
    report: StageReport,
) -> None:
    todo = [*plan.pending, *(plan.retries if config.retry_failed else [])]
    before = current_run_keys(tables).get((report.dataset, work.output.name))
    if not todo and not plan.orphans and before == plan.run_key:
        return
    if work.batch_size is not None and todo and before not in (None, plan.run_key):
        # Said before the work: a model over everything once more is what a person may want to stop.
        why = why_done_anew(tables, work, dataset=report.dataset, before=before)
        if why is not None:
            console.print(f"{work.stage:>12}  {why}", markup=False, soft_wrap=True)
    tables.create(work.output)
    ship_files(spark, work.files)
    params = {"params": work.params, "reads": dict(plan.upstream)}
    log = RunLog(
        tables, work.output, stage=work.stage, dataset=report.dataset, run_key=plan.run_key, params=params
    )
    chunks = _Chunks(spark, tables, config=config.runner, work=work, plan=plan, report=report, log=log)
    with log.outcome(report):
        if plan.orphans:
            chunks.remove_orphans()
        total = plan.kept_samples + sum(shard.samples for shard in plan.pending)
        with (
            StageProgress(work.stage, total=total, done=plan.kept_samples) as progress,
            progress.watching(spark),
        ):
            cut = functools.partial(_cut, work=work, config=config.runner, progress=progress)
            chunks.compute(cut(plan.pending), progress)
            if config.retry_failed:
                chunks.compute_again(cut(plan.retries), progress)


def _cut(
    shards: list[Shard], *, work: ShardWork, config: RunnerConfig, progress: StageProgress
) -> Iterator[list[Shard]]:
    """Chunks that take about `chunk_seconds` each, by the rate seen so far; of a fixed size where one is given."""
    default = _OTHER_FIRST_CHUNK if work.batch_size is None else _MODEL_FIRST_CHUNK
    return chunks_of(
        shards,
        first=config.first_chunk or default,
        seconds=config.chunk_seconds if config.first_chunk is None else None,
        rate=lambda: progress.rate,
    )


@dataclass(frozen=True)
class _BegunChunk:
    """A chunk whose rows are being computed.

    Attributes:
        shards: Its shards.
        frame: Its rows, kept once they are computed.
        counts: The query that computes them all, and counts them.
        samples: Its samples.
        retry: Whether only its failed rows are computed.
        started: When it began, as `time.monotonic` tells it.
    """

    shards: list[Shard]
    frame: DataFrame
    counts: SideQuery[RowCounts]
    samples: int
    retry: bool
    started: float = field(default_factory=time.monotonic)

    @property
    def new_samples(self) -> int:
        """Samples that were not done before."""
        return 0 if self.retry else self.samples


class _Chunks:
    """Computes, checks and commits chunks of one stage."""

    def __init__(  # noqa: PLR0913 - collected once, used by every chunk
        self,
        spark: SparkSession,
        tables: Tables,
        *,
        config: RunnerConfig,
        work: ShardWork,
        plan: Plan,
        report: StageReport,
        log: RunLog,
    ) -> None:
        self.work = work
        self._spark = spark
        self._tables = tables
        self._config = config
        self._plan = plan
        self._report = report
        self._log = log
        self._last_commit = 0.0

    def compute(self, chunks: Iterable[list[Shard]], progress: StageProgress) -> None:
        """Compute chunks and put them in place, each in one commit, the next ones computed meanwhile."""
        self._in_turns(chunks, progress, retry=False, most=self._config.chunks_in_flight)

    def compute_again(self, chunks: Iterable[list[Shard]], progress: StageProgress) -> None:
        """Compute failed rows of chunks again, one after the other: each reads the table that it is put into."""
        self._in_turns(chunks, progress, retry=True, most=1)

    def _in_turns(
        self, chunks: Iterable[list[Shard]], progress: StageProgress, *, retry: bool, most: int
    ) -> None:
        in_turns(
            chunks,
            begin=lambda chunk: self._begin(chunk, progress, retry=retry),
            finish=lambda begun: self._finish(begun, progress),
            abandon=self._abandon,
            most=most,
        )

    def _begin(self, chunk: list[Shard], progress: StageProgress, *, retry: bool) -> _BegunChunk:
        frame = self._redone(chunk) if retry else self._computed(self._inputs(chunk), chunk)
        frame = frame.persist()
        samples = sum(shard.samples for shard in chunk)
        query = start_query(self._spark, lambda: count_rows(frame))
        begun = _BegunChunk(chunk, frame, query, samples=samples, retry=retry)
        progress.chunk_begun(query, samples=begun.new_samples)
        return begun

    def _abandon(self, begun: _BegunChunk) -> None:
        cancel_query(self._spark, begun.counts)
        begun.frame.unpersist()

    def _finish(self, begun: _BegunChunk, progress: StageProgress) -> None:
        """Wait for a chunk's rows, check them, put them in place in one commit."""
        counts = begun.counts.answer.result()
        self._check(counts, begun.samples, judge=not begun.retry)
        version = self._commit(begun.frame, begun.shards, rows=counts.rows)
        begun.frame.unpersist()
        # Of the time in which two chunks were in flight each second counts once: rates are made of these seconds.
        now = time.monotonic()
        seconds = now - max(begun.started, self._last_commit)
        self._last_commit = now
        tracking.metrics({f"seconds {self.work.stage} chunk": seconds})
        self._account(counts, begun.shards, version, seconds=seconds)
        progress.chunk_done(samples=begun.new_samples, failed=counts.failed)

    def remove_orphans(self) -> None:
        """Remove the rows of shards that the input no longer has."""
        empty = self._tables.read(self.work.output).limit(0)
        version = self._tables.replace(
            self.work.output,
            empty,
            dataset=self._report.dataset,
            run_key=self._plan.run_key,
            shards=self._plan.orphans,
        )
        self._report.versions_written[self.work.output.name] = version
        self._report.notes.append(f"{len(self._plan.orphans)} shard(s) whose input is gone were removed")

    def _inputs(self, chunk: list[Shard]) -> DataFrame:
        from pyspark.sql import functions as F

        shard_ids = [shard.shard_id for shard in chunk]
        joined: DataFrame | None = None
        for item in self.work.inputs:
            frame = self._tables.read(
                item.spec, dataset=self._report.dataset, run_key=self._plan.upstream[item.spec.name]
            )
            columns = [F.col(column).alias(name) for name, column in item.columns.items()]
            frame = frame.where(item.where) if item.where else frame
            frame = frame.where(F.col("shard_id").isin(shard_ids)).select(*KEY_COLUMNS, *columns)
            how = "left" if item.optional else "inner"
            joined = frame if joined is None else joined.join(frame, list(KEY_COLUMNS), how)
        assert joined is not None, "a stage has at least one input"
        return joined if self.work.whole_shards is None else self.work.whole_shards(joined)

    def _computed(self, inputs: DataFrame, chunk: list[Shard]) -> DataFrame:
        from pyspark.sql import functions as F

        if self.work.batch_size is not None:
            slice_batches = self.work.slice_batches or slice_length(
                [shard.samples for shard in chunk],
                batch_size=self.work.batch_size,
                most=self._config.slice_batches,
                slots=task_slots(self._spark),
            )
            slice_rows = self.work.batch_size * slice_batches
            slices = sum(math.ceil(shard.samples / slice_rows) for shard in chunk)
            inputs = slice_frame(
                inputs,
                batch_size=self.work.batch_size,
                slice_batches=slice_batches,
                slices=slices,
            )
        keys = self._spark.createDataFrame(
            [(shard.shard_id, shard.input_key) for shard in chunk], "shard_id string, input_key string"
        )
        return (
            self.work.compute(inputs)
            .join(F.broadcast(keys), "shard_id", "inner")
            .withColumn("dataset", F.lit(self._report.dataset))
            .withColumn("run_key", F.lit(self._plan.run_key))
        )

    def _redone(self, chunk: list[Shard]) -> DataFrame:
        """The shards' good samples as they are, and those with a failed row computed again."""
        from pyspark.sql import functions as F

        shard_ids = [shard.shard_id for shard in chunk]
        rows = self._tables.read(self.work.output, dataset=self._report.dataset, run_key=self._plan.run_key)
        rows = rows.where(F.col("shard_id").isin(shard_ids))
        failed = F.broadcast(rows.where("status = 'failed'").select(*KEY_COLUMNS).distinct())
        inputs = self._inputs(chunk).join(failed, list(KEY_COLUMNS), "left_semi")
        kept = rows.join(failed, list(KEY_COLUMNS), "left_anti")
        return kept.unionByName(self._computed(inputs, chunk), allowMissingColumns=True)

    def _check(self, counts: RowCounts, samples: int, *, judge: bool) -> None:
        """Stop before the commit. A retry is not judged by its failures: it cannot be worse than what is there."""
        expected = samples * self.work.rows_per_sample
        if counts.rows != expected:
            raise StageError(
                f"{self.work.stage} made {counts.rows} rows from {samples} samples, expected {expected}; nothing "
                "of this chunk was written. The input changed while it was read: run again"
            )
        name, most = "runner.max_failed_share", self._config.max_failed_share
        if self.work.max_failed_share is not None:
            name, most = f"{self.work.stage}.max_failed_share", self.work.max_failed_share
        if judge and too_many_failed(counts, fewest=self._config.min_failed_rows, most=most):
            raise StageError(
                f"{self.work.stage}: {counts.failed} of {counts.ok + counts.failed} samples of a chunk failed, "
                f"more than {name}={most}; nothing of this chunk was written. "
                f"One of the errors: {counts.an_error}"
            )

    def _commit(self, frame: DataFrame, chunk: list[Shard], *, rows: int) -> int:
        # Slices are many and small; a file each would be a million files for a dataset of CC12M's size. The
        # frame is persisted, so fewer partitions run no model again.
        files = max(1, math.ceil(rows / _ROWS_PER_FILE))
        shards = [shard.shard_id for shard in chunk]
        return self._tables.replace(
            self.work.output,
            frame.select(*self.work.output.columns).coalesce(files),
            dataset=self._report.dataset,
            run_key=self._plan.run_key,
            shards=shards,
            is_new=self._plan.stored.isdisjoint(shards),
        )

    def _account(self, counts: RowCounts, chunk: list[Shard], version: int, *, seconds: float) -> None:
        report = self._report
        report.shards_done += len(chunk)
        report.rows += counts.rows
        report.failed += counts.failed
        report.skipped += counts.skipped
        report.versions_written[self.work.output.name] = version
        for phase, spent in counts.phase_seconds.items():
            report.phase_seconds[phase] = report.phase_seconds.get(phase, 0.0) + spent
        self._log.add(
            "chunk",
            seconds=seconds,
            shards=len(chunk),
            counts={"rows": counts.rows, "failed": counts.failed, "skipped": counts.skipped},
            phase_seconds=dict(counts.phase_seconds),
            table_version=version,
        )
