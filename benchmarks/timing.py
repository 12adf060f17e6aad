"""Seconds by the clock and of the processors, of this process and of all that it has started."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
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


def cpu_seconds() -> float:
    """CPU seconds of this process, and of those that it started: Spark and its workers."""
    driver = psutil.Process()
    total = sum(driver.cpu_times()[:4])
    for process in driver.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])  # with the children that have ended
    return float(total)


def timed(work: Callable[[], Any]) -> tuple[Any, Seconds]:
    """The result, and what it took."""
    started, cpu = time.perf_counter(), cpu_seconds()
    result = work()
    return result, Seconds(time.perf_counter() - started, cpu_seconds() - cpu)
