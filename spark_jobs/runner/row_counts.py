"""Count the rows that a stage has made, and judge how many of them failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_STATUSES = ("ok", "failed", "skipped")


@dataclass(frozen=True)
class RowCounts:
    """Rows by status.

    Attributes:
        rows: All of them.
        ok: Those with status ok; 0 in tables without a status.
        failed: Those with status failed.
        skipped: Those with status skipped.
        phase_seconds: Worker seconds by phase.
        an_error: One of the errors of failed rows.
        sums: What else was asked for.
    """

    rows: int
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    phase_seconds: Mapping[str, float] = field(default_factory=dict)
    an_error: str | None = None
    sums: Mapping[str, float] = field(default_factory=dict)


def count_rows(frame: DataFrame, *, sums: Mapping[str, Column] | None = None) -> RowCounts:
    """Count a frame in one query.

    Args:
        frame: Rows; with `status` and `error`, or without both. Columns `PHASE_seconds` are summed.
        sums: Further aggregates by name.
    """
    from pyspark.sql import functions as F

    phases = [name.removesuffix("_seconds") for name in frame.columns if name.endswith("_seconds")]
    asked = {f"{phase}_seconds": F.sum(f"{phase}_seconds") for phase in phases}
    if "status" in frame.columns:
        asked |= {one: F.sum((F.col("status") == one).cast("long")) for one in _STATUSES}
        asked["an_error"] = F.min(F.when(F.col("status") == "failed", F.col("error")))
    asked |= sums or {}
    columns = [column.alias(name) for name, column in asked.items()]
    row = frame.agg(F.count("*").alias("n"), *columns).collect()[0].asDict()
    return RowCounts(
        rows=row["n"],
        ok=row.get("ok") or 0,
        failed=row.get("failed") or 0,
        skipped=row.get("skipped") or 0,
        phase_seconds={phase: row[f"{phase}_seconds"] or 0.0 for phase in phases},
        an_error=row.get("an_error"),
        sums={name: row[name] or 0 for name in sums or {}},
    )


def too_many_failed(counts: RowCounts, *, fewest: int, most: float) -> bool:
    """Whether so many rows failed that the machine or the model is broken, not the rows.

    Args:
        counts: The rows; skipped ones do not count.
        fewest: Failed rows below which a share says nothing.
        most: Largest share of failed rows that is let pass.
    """
    tried = counts.ok + counts.failed
    return counts.failed >= max(fewest, 1) and counts.failed > most * tried
