"""Seconds by the clock and of the processors, of this process and of all that it has started."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil


@dataclass(frozen=True)
class Seconds:
    """What some work took, or several pieces of it together.

    Attributes:
        wall: By the clock.
        cpu: Of all processes.
    """

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)


def cpu_by_process() -> dict[int, float]:
    """CPU seconds of this process, and of those that it started (Spark and its workers), by process id."""
    own = psutil.Process()
    found = {}
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            found[process.pid] = float(used.user + used.system)
    return found


def cpu_since(before: Mapping[int, float]) -> float:
    """CPU seconds since `cpu_by_process` was asked.

    What a process that has ended meanwhile used is not in it: Spark ends workers that idle for a minute.
    """
    return sum(used - before.get(pid, 0.0) for pid, used in cpu_by_process().items())


def timed(work: Callable[[], Any]) -> tuple[Any, Seconds]:
    """The result, and what it took."""
    started, before = time.perf_counter(), cpu_by_process()
    result = work()
    return result, Seconds(time.perf_counter() - started, cpu_since(before))
