"""Run work on whole tables: done again only where what it reads, or how, has changed.

One place compares keys, locks, checks the share of failed rows, writes, and logs how it ended. Keys are compared
inside the lock: what another run has just written is not done again.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas import TABLES
from schemas._table import TableSpec
from spark_jobs import tracking
from spark_jobs.errors import StageError
from spark_jobs.runner.in_flight import SideQuery, in_turns, start_query
from spark_jobs.runner.pending import RunKeys
from spark_jobs.runner.row_counts import RowCounts, count_rows, too_many_failed
from spark_jobs.runner.run_log import LogCommit, RunLog
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.table_content import Content, content_digest, input_keys_in, table_content
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from spark_jobs.sections import RunnerConfig
    from spark_jobs.warehouse.tables import Tables

_ROWS_PER_FILE = 500_000


@dataclass(frozen=True)
class TableWork:
    """Work on whole tables of one dataset: what it reads, what decides its rows, how they are made.

    Attributes:
        stage: Stage name.
        outputs: Tables whose rows say that it is done: each is locked, and logged. None where it writes only
            files: then nothing is logged, and `is_done` says whether it is done.
        reads: Run key by table read.
        params: What decides the rows beside what is read, JSON-able.
        compute: Makes the rows, and writes them by what it is given. Where it writes none, it is not finished.
        decides: What the run key is the hash of; None: stage, parameters and reads.
        stored_run_key: The run key itself, where the rows are those of earlier work.
        also: What else decides and lies in no table of the dataset (the content hash of an export, say), JSON-able;
            part of the input key.
        input_key: The input key, where it is not the hash of what the tables read hold.
        is_done: Whether its work under this run key and input key is there; None: the outputs' rows say it.
        logged: What the log keeps as parameters; None: parameters and reads.
        lock: What two runs must not work on at once; None: the run key.
        name: What a report calls its run key; None: the outputs' names.
        failure: What it means that rows failed, for people.
        advice: What to do where too many rows fail.
    """

    stage: str
    outputs: tuple[TableSpec, ...]
    reads: Mapping[str, str]
    params: Mapping[str, Any]
    compute: Callable[[Making], None]
    decides: Mapping[str, Any] | None = None
    stored_run_key: str | None = None
    also: Any = None
    input_key: str | None = None
    is_done: Callable[[str, str], bool] | None = None
    logged: Mapping[str, Any] | None = None
    lock: str | None = None
    name: str | None = None
    failure: str = "rows failed"
    advice: str = ""

    @property
    def run_key(self) -> str:
        """Hash of what decides a row's value."""
        if self.stored_run_key is not None:
            return self.stored_run_key
        own = {"stage": self.stage, "params": dict(self.params), "reads": dict(self.reads)}
        return digest(own if self.decides is None else dict(self.decides))

    def input_key_of(self, content: Content) -> str:
        """Hash of what its rows are made from.

        Args:
            content: What the tables that it reads hold.
        """
        if self.input_key is not None:
            return self.input_key
        held = content_digest(self.reads, content)
        return held if self.also is None else digest({"content": held, "also": self.also})


@dataclass
class Making:
    """What `TableWork.compute` works with: its keys, what it reads, and how it writes.

    Attributes:
        tables: The warehouse.
        work: The work.
        run_key: Run key of its rows.
        input_key: Their input key.
        config: The share of failed rows that is let pass.
        report: Of this work alone: rows, versions, results and notes.
        empty: Names of the outputs that are known to hold no row of this dataset and run key.
    """

    tables: Tables
    work: TableWork
    run_key: str
    input_key: str
    config: RunnerConfig
    report: StageReport
    empty: set[str]

    @property
    def dataset(self) -> str:
        """The dataset worked on."""
        return self.report.dataset

    def read(self, spec: TableSpec) -> DataFrame:
        """The rows of a table that the work reads."""
        return self.tables.read(spec, dataset=self.dataset, run_key=self.work.reads[spec.name], whole=True)

    def write(
        self,
        spec: TableSpec,
        frame: DataFrame,
        *,
        sums: Mapping[str, Column] | None = None,
        lay_out: Callable[[DataFrame, int], DataFrame] | None = None,
        where: Mapping[str, str] | None = None,
        is_result: bool = True,
    ) -> RowCounts:
        """Compute rows once, check them, and put them in place of the earlier ones in one commit.

        Args:
            spec: The table.
            frame: Its rows; dataset and keys are added.
            sums: Aggregates to take along with the counts.
            lay_out: How so many rows are dealt out to files; None: many to each.
            where: Partition that they replace; None: that of dataset and run key.
            is_result: Whether people want them counted as what the stage made.

        Raises:
            StageError: If too many rows failed; nothing is written then.
        """
        rows = self._with_keys(spec, frame).persist()
        try:
            with tracking.phase(self.work.stage):
                counts = count_rows(rows, sums=sums)
            self._check(counts)
            laid_out = _in_few_files(rows, counts.rows) if lay_out is None else lay_out(rows, counts.rows)
            self._replace(spec, laid_out, where)
        finally:
            rows.unpersist()
        self._account(spec, counts, is_result=is_result)
        return counts

    def write_few(self, spec: TableSpec, frame: DataFrame) -> list[dict[str, Any]]:
        """`write` of a few rows: through the driver, where they take one query and not three.

        Returns:
            The rows written.
        """
        found = self._with_keys(spec, frame).collect()
        rows = [row.asDict(recursive=True) for row in found]
        self._replace(spec, self.tables.rows(spec, rows), None)
        self._account(spec, RowCounts(len(rows)), is_result=True)
        return rows

    def note(self, spec: TableSpec, rows: Sequence[Mapping[str, Any]], *, where: Mapping[str, str]) -> None:
        """Put rows made on the driver into a partition; they are no results and are not counted."""
        self._replace(spec, self.tables.rows(spec, rows), where)

    def _with_keys(self, spec: TableSpec, frame: DataFrame) -> DataFrame:
        from pyspark.sql import functions as F

        keys = {"dataset": self.dataset, "run_key": self.run_key, "input_key": self.input_key}
        return frame.withColumns({name: F.lit(key) for name, key in keys.items() if name in spec.columns})

    def _check(self, counts: RowCounts) -> None:
        fewest, most = self.config.min_failed_rows, self.config.max_failed_share
        if too_many_failed(counts, fewest=fewest, most=most):
            raise StageError(
                f"{self.work.stage}: {counts.failed} of {counts.ok + counts.failed} {self.work.failure}, more than "
                f"runner.max_failed_share={most}; nothing was written. One of the errors: {counts.an_error}. "
                f"{self.work.advice}".rstrip()
            )

    def _replace(self, spec: TableSpec, frame: DataFrame, where: Mapping[str, str] | None) -> None:
        if spec not in self.work.outputs:
            self.tables.create(spec)
        if where is None:
            is_new = spec.name in self.empty
            self.empty.discard(spec.name)
            version = self.tables.replace(
                spec, frame, dataset=self.dataset, run_key=self.run_key, is_new=is_new
            )
        else:
            version = self.tables.replace_where(spec, frame, where=where)
        self.report.versions_written[spec.name] = version

    def _account(self, spec: TableSpec, counts: RowCounts, *, is_result: bool) -> None:
        report = self.report
        if not counts.rows and spec in self.work.outputs and spec.has_run_key:
            report.versions_written[spec.name] = self.tables.note_empty(
                spec, dataset=self.dataset, run_key=self.run_key, input_key=self.input_key
            )
        if not is_result:
            return
        report.rows += counts.rows
        report.failed += counts.failed
        report.skipped += counts.skipped


def run_whole(
    tables: Tables,
    config: RunnerConfig,
    works: Sequence[TableWork],
    *,
    report: StageReport,
    commit: LogCommit | None = None,
    at_once: int = 1,
) -> list[bool]:
    """Do those of some works that are not done; all are compared in one query, and logged in one commit.

    Args:
        tables: The warehouse.
        config: The share of failed rows that is let pass.
        works: The works, in order; none reads what another writes.
        report: Takes run keys, rows, versions, results and notes.
        commit: Takes the log's entries; None: they are appended here.
        at_once: Works in progress at any time. More than one must not track anything: MLflow's run is that of this
            thread.

    Returns:
        By work, whether it was done now.

    Raises:
        StageError: If another run writes the same rows, or too many rows fail.
    """
    dataset = report.dataset
    with contextlib.ExitStack() as locks:
        for work in works:
            key = work.lock or work.run_key
            for spec in work.outputs:
                locks.enter_context(tables.writing(spec, dataset=dataset, run_key=key))
        content = _content(tables, works, dataset)
        current = current_run_keys(tables)
        with contextlib.nullcontext(commit) if commit is not None else LogCommit(tables) as log:
            makings = [
                Making(
                    tables=tables,
                    work=work,
                    run_key=work.run_key,
                    input_key=work.input_key_of(content),
                    config=config,
                    report=StageReport(stage=work.stage, dataset=dataset),
                    empty={spec.name for spec in work.outputs if content.get(spec.name) == []},
                )
                for work in works
            ]
            pending = [
                _pending(making, report, content=content, current=current, log=log) for making in makings
            ]
            todo = [one for one in pending if one is not None]
            if at_once == 1 or len(todo) < 2:
                for one in todo:
                    _run(one)
                    report.add(one.making.report)
            else:
                _run_side_by_side(todo, report, at_once=at_once)
            return [one is not None and not one.is_done for one in pending]


def _content(tables: Tables, works: Sequence[TableWork], dataset: str) -> Content:
    """What the tables hold that are read, and those that are written where their rows tell what is done."""
    asked = {
        name: run_key for work in works if work.input_key is None for name, run_key in work.reads.items()
    }
    for work in works:
        if work.is_done is None:
            asked |= {spec.name: work.run_key for spec in work.outputs if tables.exists(spec)}
    return table_content(tables, dataset, asked) if asked else {}


@dataclass(frozen=True)
class _Pending:
    """Work that must be done, or whose rows of earlier must be made the current ones.

    Attributes:
        making: What it works with.
        logs: Of its outputs.
        is_done: Whether its rows are there already.
    """

    making: Making
    logs: Sequence[RunLog]
    is_done: bool


def _pending(
    making: Making, report: StageReport, *, content: Content, current: RunKeys, log: LogCommit
) -> _Pending | None:
    work, run_key = making.work, making.run_key
    names = [work.name] if work.name else [spec.name for spec in work.outputs]
    report.run_keys.update(dict.fromkeys(names, run_key))
    is_current = all(
        current.get((report.dataset, spec.name)) == run_key for spec in work.outputs if spec.has_run_key
    )
    is_done = _is_done(making, content, is_current=is_current)
    if is_done and is_current:
        return None
    return _Pending(making, [_log(log, making, spec) for spec in work.outputs], is_done)


def _run(pending: _Pending) -> None:
    making, work = pending.making, pending.making.work
    with contextlib.ExitStack() as outcomes:
        for log in pending.logs:
            outcomes.enter_context(log.outcome(making.report, is_finished=lambda: _is_finished(pending)))
        if not pending.is_done:
            for spec in work.outputs:
                making.tables.create(spec)
            making.report.versions_read = {name: making.tables.version(TABLES[name]) for name in work.reads}
            work.compute(making)


def _run_side_by_side(todo: Sequence[_Pending], report: StageReport, *, at_once: int) -> None:
    """Small works leave cores idle: Spark plans and commits each in one thread."""
    spark = todo[0].making.tables.spark

    def finish(begun: tuple[_Pending, SideQuery[None]]) -> None:
        pending, query = begun
        query.answer.result()
        report.add(pending.making.report)

    in_turns(
        todo,
        begin=lambda pending: (pending, start_query(spark, lambda: _run(pending))),
        finish=finish,
        # They are short, and what they write stays.
        abandon=lambda begun: begun[1].answer.exception(),
        most=at_once,
    )


def _is_done(making: Making, content: Content, *, is_current: bool) -> bool:
    work, run_key, input_key = making.work, making.run_key, making.input_key
    if work.is_done is not None:
        return work.is_done(run_key, input_key)

    def holds(spec: TableSpec) -> bool:
        if spec.name not in content:
            return False
        found = input_keys_in(spec, content)
        if not found and is_current:
            found = {making.tables.empty_input_key(spec, dataset=making.dataset, run_key=run_key)}
        return found == {input_key}

    return bool(work.outputs) and all(map(holds, work.outputs))


def _is_finished(pending: _Pending) -> bool:
    """Whether the outputs are there now: what was there before, or has just been written."""
    return pending.is_done or bool(pending.making.report.versions_written)


def _log(commit: LogCommit, making: Making, spec: TableSpec) -> RunLog:
    work = making.work
    params = work.logged
    if params is None:
        params = {"params": dict(work.params), "reads": dict(work.reads)}
    return RunLog(
        commit, spec, stage=work.stage, dataset=making.dataset, run_key=making.run_key, params=params
    )


def _in_few_files(frame: DataFrame, rows: int) -> DataFrame:
    return frame.coalesce(max(1, math.ceil(rows / _ROWS_PER_FILE)))
