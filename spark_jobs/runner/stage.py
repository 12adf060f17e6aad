"""The contract of a stage: what every file in `spark_jobs/stages` offers as `STAGE`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from spark_jobs.errors import StageError
from spark_jobs.runner.pending import Input, RunKeys, ShardWork, plan_work, upstream_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig
    from spark_jobs.runner.stage_report import StageReport
    from spark_jobs.warehouse.tables import Tables

PendingShards = Mapping[str, int | None]
"""Samples by shard; None where their number is not known yet."""

_NOT_MADE_YET = "not made yet"


@dataclass(frozen=True)
class StagePlan:
    """What a stage would do.

    Attributes:
        pending: The shards it would work on.
        model: Its model, for people.
        rows_per_sample: Rows that it makes of each sample.
        run_keys: Run key by table that it would write, where it is known.
        sentences: What a person must know.
        instead: A word in place of numbers, where shards say nothing about the stage.
    """

    pending: PendingShards = field(default_factory=dict)
    model: str = ""
    rows_per_sample: int = 1
    run_keys: Mapping[str, str] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()
    instead: str | None = None


@dataclass(frozen=True)
class Situation:
    """What a stage finds when its turn comes, as if each stage before it had done its work.

    Attributes:
        tables: The warehouse.
        config: The run's configuration.
        current: Run keys by dataset and table.
        pending: By table, the shards that stages before would write to it.
        may_change: Tables that stages before may write under other run keys.
    """

    tables: Tables
    config: RunConfig
    current: RunKeys
    pending: Mapping[str, PendingShards] = field(default_factory=dict)
    may_change: frozenset[str] = frozenset()

    def pending_of(self, tables: Iterable[str]) -> dict[str, int | None]:
        """Shards that would be written to one of these tables."""
        found: dict[str, int | None] = {}
        for table in tables:
            found.update(self.pending.get(table, {}))
        return found

    def planned(self, writes: Iterable[str], plan: StagePlan) -> Situation:
        """The situation after a stage whose work is planned.

        Args:
            writes: The tables that the stage writes.
            plan: Its plan; one with a word in place of numbers changes nothing.
        """
        if plan.instead is not None:
            return self
        made = {(self.config.dataset_name, table): run_key for table, run_key in plan.run_keys.items()}
        return replace(
            self,
            current={**self.current, **made},
            pending={**self.pending, **dict.fromkeys(writes, plan.pending)},
        )

    def done(self, writes: Iterable[str]) -> Situation:
        """The situation after a stage that has written its tables, whatever their run keys."""
        dataset = self.config.dataset
        made = {(dataset, table): _NOT_MADE_YET for table in writes} if dataset else {}
        return replace(self, current={**made, **self.current}, may_change=self.may_change | set(writes))


@dataclass(frozen=True)
class StageContract:
    """What a stage offers.

    Attributes:
        run: Does the work that is pending.
        check: Finds in the configuration what would stop the stage, before Spark starts; raises a `ParrotError`.
        ready: Finds in the warehouse what would stop it, before any stage of the run starts; raises a `ParrotError`.
        plan: Says what the stage would do now; writes nothing. A `StageError` says why it cannot run.
        inputs: What it reads of each sample, where it works shard by shard; empty for work on whole tables.
    """

    run: Callable[[SparkSession, RunConfig], StageReport]
    check: Callable[[RunConfig], None]
    ready: Callable[[Situation], None]
    plan: Callable[[Situation], StagePlan]
    inputs: tuple[Input, ...] = ()


def check_dataset(config: RunConfig) -> None:
    """The least that a stage needs.

    Raises:
        ConfigError: If no dataset is named.
    """
    _ = config.dataset_name


def need(*inputs: Input) -> Callable[[Situation], None]:
    """A `ready` that wants the tables that a stage cannot run without.

    Returns:
        A function that raises a `StageError` where a table is missing and no stage before makes it.
    """

    def ready(situation: Situation) -> None:
        upstream_of(situation.current, situation.config.dataset_name, inputs)

    return ready


def plan_shards(situation: Situation, work: ShardWork, *, model: str | None = None) -> StagePlan:
    """The plan of a sample-level stage: its pending shards, and those that stages before would give it.

    Args:
        situation: What the stage finds.
        work: The stage.
        model: Its model for people, where that is not the work's.
    """
    upstream = situation.pending_of(item.spec.name for item in work.inputs)
    plan = StagePlan(upstream, work.model if model is None else model, work.rows_per_sample)
    dataset, limit = situation.config.dataset_name, situation.config.limit
    try:
        found = plan_work(situation.tables, work, dataset=dataset, limit=limit, current=situation.current)
    except StageError:  # an input is not there yet
        return plan
    return replace(
        plan,
        pending={**upstream, **{shard.shard_id: shard.samples for shard in found.pending}},
        run_keys={work.output.name: found.run_key},
        sentences=(found.waits_for,) if found.waits_for else (),
    )


def plan_whole(situation: Situation) -> StagePlan:
    """The plan of work on whole tables: only what it reads, when its turn comes, can tell."""
    return StagePlan(instead="if its tables changed")


def shard_stage(
    run: Callable[[SparkSession, RunConfig], StageReport],
    work: Callable[[RunConfig], ShardWork],
    *,
    inputs: tuple[Input, ...],
    ready: Callable[[Situation], None] | None = None,
    plan: Callable[[Situation], StagePlan] | None = None,
) -> StageContract:
    """The contract of a stage whose `work` declares all it does: what stops `work` is found by declaring it.

    Args:
        run: As in `StageContract`.
        work: Declares the stage.
        inputs: As in `StageContract`.
        ready: What must hold beside that the inputs are there.
        plan: None: the pending shards.
    """

    def check(config: RunConfig) -> None:
        check_dataset(config)
        work(config)

    def ready_too(situation: Situation) -> None:
        need(*inputs)(situation)
        if ready is not None:
            ready(situation)

    def plan_work_of(situation: Situation) -> StagePlan:
        return plan_shards(situation, work(situation.config))

    return StageContract(run, check, ready_too, plan or plan_work_of, inputs)
