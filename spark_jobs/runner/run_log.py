"""The log table `stage_runs`: what ran, on what, how long, with what outcome."""

from __future__ import annotations

import contextlib
import datetime
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schemas import stage_runs
from spark_jobs import tracking
from spark_jobs.version import parrot_version
from spark_jobs.warehouse.query_cache import Question

if TYPE_CHECKING:
    from schemas._table import TableSpec
    from spark_jobs.runner.stage_report import StageReport
    from spark_jobs.warehouse.tables import Tables

_FLUSH_SECONDS = 60.0  # a commit costs 1 to 2 s: short stages log once, long ones each minute

_run_id = uuid.uuid4().hex[:12]
_MADE_BY = Question("made by a stage", version=1)


def run_id() -> str:
    """Id of this process's run."""
    return _run_id


def was_made_by(tables: Tables, stage: str, *, dataset: str, run_key: str) -> bool:
    """Whether the log knows a dataset's run key as one of this stage."""
    from pyspark.sql import functions as F

    if not tables.exists(stage_runs.TABLE):
        return False

    def ask() -> bool:
        runs = tables.read(stage_runs.TABLE, dataset=dataset, run_key=run_key)
        return bool(runs.where(F.col("stage") == stage).limit(1).count())

    question = _MADE_BY.of(dataset=dataset, run_key=run_key, stage=stage)
    return bool(tables.answer(stage_runs.TABLE, question, ask))


class LogCommit:
    """Events of several logs that are appended in one commit: small tables cost as much to log as to make.

    Used as a context; what was logged is appended when it is left, also by an error. Killed inside, nothing is
    logged, so nothing that was written counts as current: it is made again.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._rows: list[Mapping[str, Any]] = []

    def append(self, spec: TableSpec, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take rows of the log over, as `Tables.append` would."""
        assert spec is stage_runs.TABLE, spec.name
        self._rows += rows

    def __enter__(self) -> LogCommit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if not self._rows:
            return
        # The log must not hide the error: where Spark itself is gone, nothing can be appended.
        with contextlib.suppress(Exception) if kind else contextlib.nullcontext():
            self._tables.append(stage_runs.TABLE, self._rows)


class RunLog:
    """Collects the events of one stage's work on one table and appends them now and then."""

    def __init__(
        self, to: Tables | LogCommit, spec: TableSpec, *, stage: str, dataset: str, run_key: str, params: Any
    ) -> None:
        self._to = to
        self._common = {
            "run_id": run_id(),
            "stage": stage,
            "dataset": dataset,
            "table_name": spec.name,
            "run_key": run_key,
            "params": json.dumps(params, sort_keys=True),
            "parrot_version": parrot_version(),
            "mlflow_run_id": tracking.current_run_id(),
        }
        self._rows: list[dict[str, Any]] = []
        self._flushed = time.monotonic()

    def add(
        self,
        event: str,
        *,
        seconds: float,
        shards: int,
        counts: dict[str, int],
        **known: Any,
    ) -> None:
        """Log one event.

        Args:
            event: chunk, finished or failed.
            seconds: Wall time that it ends.
            shards: Shards in it.
            counts: `rows`, `failed` and `skipped`.
            **known: `phase_seconds`, `table_version` and `results`, where they are known.
        """
        now = datetime.datetime.now(datetime.UTC)
        self._rows.append(
            {
                **self._common,
                "event": event,
                "started_at": now - datetime.timedelta(seconds=seconds),
                "seconds": seconds,
                "shards": shards,
                "rows_out": counts.get("rows", 0),
                "rows_failed": counts.get("failed", 0),
                "rows_skipped": counts.get("skipped", 0),
                "phase_seconds": known.get("phase_seconds") or {},
                "table_version": known.get("table_version"),
                "results": known.get("results") or None,
            }
        )
        if event == "finished" or time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    @contextlib.contextmanager
    def outcome(
        self, report: StageReport, *, is_finished: Callable[[], bool] = lambda: True
    ) -> Iterator[None]:
        """Log how the block ends: `finished`, or by an error `failed`, with what the report counts by then.

        Args:
            report: Its rows and shards are those of this log's table.
            is_finished: Asked at the end; where it is not so, nothing is logged.
        """
        started = time.monotonic()

        def add(event: str) -> None:
            counts = {"rows": report.rows, "failed": report.failed, "skipped": report.skipped}
            self.add(
                event,
                seconds=time.monotonic() - started,
                shards=report.shards_done,
                counts=counts,
                results=report.history,
            )

        try:
            yield
        except BaseException:
            # The log must not hide the error: where Spark itself is gone, nothing can be appended.
            with contextlib.suppress(Exception):
                add("failed")
                self.flush()
            raise
        if is_finished():
            add("finished")

    def flush(self) -> None:
        """Append what has been collected, or leave that to the commit that it shares with others."""
        if self._rows:
            self._to.append(stage_runs.TABLE, self._rows)
        self._rows = []
        self._flushed = time.monotonic()
