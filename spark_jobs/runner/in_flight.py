"""More than one piece of a stage at once: while the last tasks of one end and it is committed, the next one's run."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Under fair scheduling a commit, which is in the default pool, gets a slot beside them; among themselves they come in
# their order.
_SCHEDULER_POOL = "parrot-side-queries"

Item = TypeVar("Item")
Begun = TypeVar("Begun")
Answer = TypeVar("Answer")


def in_turns(
    items: Iterable[Item],
    *,
    begin: Callable[[Item], Begun],
    finish: Callable[[Begun], None],
    abandon: Callable[[Begun], object],
    most: int,
) -> None:
    """Finish items in their order, the next ones begun before.

    Where an item cannot begin, those begun before are still finished; where one cannot be finished, none after it is.

    Args:
        items: Asked for one by one, each just before it begins.
        begin: Starts the work on an item and does not wait for it.
        finish: Waits for the work and ends it.
        abandon: Gives up what was begun and is not finished.
        most: Items begun and not finished, at any time.
    """
    begun: deque[Begun] = deque()

    def finish_until(left: int) -> None:
        while len(begun) > left:
            finish(begun[0])
            begun.popleft()

    try:
        try:
            for item in items:
                begun.append(begin(item))
                finish_until(most - 1)
        except Exception:
            if len(begun) < most:  # else it is one of them that could not be finished
                finish_until(0)
            raise
        finish_until(0)
    finally:
        while begun:
            abandon(begun.popleft())


@dataclass(frozen=True)
class SideQuery(Generic[Answer]):
    """A query that runs in a thread of its own.

    Attributes:
        answer: What it finds.
        tag: Spark's job tag of it.
        group: Spark's job group of it; None where the caller's own group holds, so that what cancels that (a
            notebook's cell that is stopped) cancels the query.
    """

    answer: Future[Answer]
    tag: str
    group: str | None


def start_query(spark: SparkSession, ask: Callable[[], Answer]) -> SideQuery[Answer]:
    """Start a query in a thread that has this thread's Spark properties.

    Args:
        spark: Its session.
        ask: Runs the query.
    """
    from pyspark import InheritableThread

    tag = f"parrot-{uuid.uuid4().hex}"
    has_group = spark.sparkContext.getLocalProperty("spark.jobGroup.id") is not None
    query: SideQuery[Answer] = SideQuery(Future(), tag, group=None if has_group else tag)

    def run() -> None:
        try:
            _mark_thread(spark, query)
            query.answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - raised where the answer is asked for
            query.answer.set_exception(error)

    InheritableThread(target=run, daemon=True).start()
    return query


def _mark_thread(spark: SparkSession, query: SideQuery[Answer]) -> None:
    context = spark.sparkContext
    if query.group is not None:
        context.setJobGroup(query.group, "a piece of a stage")
    context.addJobTag(query.tag)
    context.setInterruptOnCancel(True)
    context.setLocalProperty("spark.scheduler.pool", _SCHEDULER_POOL)


def cancel_query(spark: SparkSession, query: SideQuery[Answer]) -> None:
    """End a query if it still runs."""
    spark.sparkContext.cancelJobsWithTag(query.tag)
