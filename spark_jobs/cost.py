"""What so many samples would cost, from what a warehouse's own runs took: pure arithmetic.

A stage's rate is what its log says: samples per second and core. Stages over samples log their chunks, so starts and
commits between chunks are left out and work grows with the samples. Stages over whole tables are taken as growing
with the samples too, by their longest run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spark_jobs.errors import ConfigError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}
FEW_SAMPLES = 10_000


@dataclass(frozen=True)
class Logged:
    """What the log holds of one stage in one run.

    Attributes:
        stage: The stage.
        event: chunk or finished.
        seconds: Wall time of these events together.
        rows: Rows that they wrote.
    """

    stage: str
    event: str
    seconds: float
    rows: int


@dataclass(frozen=True)
class StageRate:
    """How fast a stage was.

    Attributes:
        stage: The stage.
        samples: Samples that it was measured on.
        core_seconds: Core-seconds per sample.
    """

    stage: str
    samples: int
    core_seconds: float

    @property
    def is_rough(self) -> bool:
        """Whether it was measured on so few samples that a stage's fixed costs are most of it."""
        return self.samples < FEW_SAMPLES


@dataclass(frozen=True)
class StageCost:
    """What a stage would take.

    Attributes:
        rate: Measured.
        core_hours: Of all cores together.
        hours: Wall time, every core busy.
        commits: Delta commits, one a chunk.
        price: In the currency of the price per core-hour; None without one.
    """

    rate: StageRate
    core_hours: float
    hours: float
    commits: int
    price: float | None


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        samples: Image-text pairs.
        cores: Cores that work at once.
        chunk_seconds: Wall time between two commits (`runner.chunk_seconds`).
        price: Of a core-hour; None if not given.
    """

    samples: int
    cores: int
    chunk_seconds: float
    price: float | None = None

    def cost(self, rate: StageRate) -> StageCost:
        """What a stage of this rate takes."""
        core_hours = rate.core_seconds * self.samples / 3600
        hours = core_hours / self.cores
        return StageCost(
            rate,
            core_hours,
            hours,
            commits=max(1, math.ceil(hours * 3600 / self.chunk_seconds)),
            price=None if self.price is None else core_hours * self.price,
        )


def parse_samples(text: str) -> int:
    """A number of samples, with K, M or B for thousands, millions and billions: `100M`, `2.3B`, `250,000`.

    Raises:
        ConfigError: If it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMB]?)", text.replace(",", "").replace("_", "").upper())
    count = float(found[1]) * _UNITS[found[2]] if found else 0
    if count < 1:
        raise ConfigError(f"--samples: expected a number such as 250,000, 100M or 2B, found {text}")
    return round(count)


def stage_rates(runs: Iterable[Logged], *, samples: int, cores: int, order: Iterable[str]) -> list[StageRate]:
    """Rates of the stages that a log knows, in the pipeline's order.

    Args:
        runs: The log of one dataset, an entry per stage, event and run.
        samples: Samples of the dataset.
        cores: Cores that the runs used.
        order: All stages.
    """
    by_stage: dict[str, dict[str, list[Logged]]] = {}
    for run in runs:
        by_stage.setdefault(run.stage, {}).setdefault(run.event, []).append(run)
    rates = (
        _rate(stage, by_stage[stage], samples=samples, cores=cores) for stage in order if stage in by_stage
    )
    return [rate for rate in rates if rate is not None]


def _rate(stage: str, events: Mapping[str, list[Logged]], *, samples: int, cores: int) -> StageRate | None:
    done = [run for run in events.get("chunk", []) if run.rows and run.seconds > 0]
    if done:
        rows = sum(run.rows for run in done)
        return StageRate(stage, rows, cores * sum(run.seconds for run in done) / rows)
    whole = [run.seconds for run in events.get("finished", []) if run.rows]
    if not whole or not samples:
        return None
    return StageRate(stage, samples, cores * max(whole) / samples)
