"""What a person sees while a stage works: samples done, rate, time left, failures."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from spark_jobs import log, tracking

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.runner.in_flight import SideQuery

# Standard output belongs to results (`parrot sql`); everything said to a person goes to standard error.
# Into a file or pipe nothing is cut or wrapped.
_UNBOUNDED_WIDTH = 10_000
console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _UNBOUNDED_WIDTH)
if log.is_json():
    console.file = cast(TextIO, log.JsonLines())
    console.width = _UNBOUNDED_WIDTH
_POLL_SECONDS = 0.5


def output_console() -> Console:
    """A console for results on standard output."""
    width = None if sys.stdout.isatty() else _UNBOUNDED_WIDTH
    return Console(file=sys.stdout, highlight=False, markup=False, width=width)


class StageProgress:
    """Progress of one stage: a live bar in a terminal, a line per chunk elsewhere."""

    def __init__(self, stage: str, *, total: int, done: int = 0) -> None:
        self._stage = stage
        self._total = total
        self._kept = done
        self._done = done
        self._failed = 0
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._in_flight: deque[tuple[SideQuery[Any], int]] = deque()

    def __enter__(self) -> StageProgress:
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description:>12}"),
                BarColumn(),
                TextColumn("{task.completed:,.0f}/{task.total:,.0f} samples  {task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[failed]} failed"),
                console=console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(
                self._stage, total=self._total, completed=self._done, rate="", failed=0
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def rate(self) -> float:
        """Samples per second of this run so far."""
        return (self._done - self._kept) / max(time.monotonic() - self._started, 1e-9)

    def chunk_done(self, *, samples: int, failed: int) -> None:
        """Count a finished chunk, show it, and track its numbers at the samples done: what MLflow draws them over."""
        if self._in_flight:
            self._in_flight.popleft()
        self._done += samples
        self._failed += failed
        left = (self._total - self._done) / self.rate if self.rate else 0.0
        if self._bar is not None:
            self._show(self._done)
        elif self._done < self._total:
            console.print(
                f"{self._stage:>12}  {self._done:,}/{self._total:,} samples  {self.rate:,.1f}/s  "
                f"{duration(left)} left  {self._failed:,} failed"
            )
        numbers = {
            "samples_done": float(self._done),
            "samples_per_second": self.rate,
            "seconds_left": left,
            "samples_failed": float(self._failed),
        }
        tracking.metrics(numbers, step=self._done)

    @contextlib.contextmanager
    def watching(self, spark: SparkSession) -> Iterator[None]:
        """Move the bar with the finished tasks of the chunks in flight, where there is a bar."""
        if self._bar is None:
            yield
            return
        stopped = threading.Event()
        thread = threading.Thread(target=self._poll, args=(spark, stopped), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def chunk_begun(self, query: SideQuery[Any], *, samples: int) -> None:
        """A chunk is in flight until `chunk_done`; chunks are done in the order in which they began."""
        self._in_flight.append((query, samples))

    def _poll(self, spark: SparkSession, stopped: threading.Event) -> None:
        while not stopped.wait(_POLL_SECONDS):
            parts = [samples * _share_done(spark, query) for query, samples in list(self._in_flight)]
            self._show(self._done + sum(parts))

    def _show(self, completed: float) -> None:
        if self._bar is not None and self._task is not None:
            seconds = max(time.monotonic() - self._started, 1e-9)
            rate = f"{(completed - self._kept) / seconds:,.1f}/s"
            self._bar.update(self._task, completed=completed, rate=rate, failed=self._failed)


def _share_done(spark: SparkSession, query: SideQuery[Any]) -> float:
    """Share of a query's tasks that are done, of the widest of its running stages; 0 where they cannot be told."""
    if query.answer.done():
        return 1.0
    if query.group is None:
        return 0.0
    tracker = spark.sparkContext.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(query.group)]
    own = {stage for job in jobs if job is not None for stage in job.stageIds}
    active = own.intersection(tracker.getActiveStageIds())
    stages = [tracker.getStageInfo(stage) for stage in active]
    running = [stage for stage in stages if stage is not None and stage.numTasks > 1]
    if not running:
        return 0.0
    widest = max(running, key=lambda stage: stage.numTasks)
    return widest.numCompletedTasks / widest.numTasks


def duration(seconds: float) -> str:
    """Minutes and seconds, hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
