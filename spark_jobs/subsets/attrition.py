"""What each condition of a subset removes, in order and alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Attrition:
    """One condition's effect; fields as in the table `subsets`."""

    condition: str
    before: int
    removed: int
    unmeasured: int
    left: int
    removed_alone: int | None

    def row(self) -> dict[str, Any]:
        """As the table holds it."""
        return asdict(self)


def attrition(flags: DataFrame, conditions: Sequence[str]) -> tuple[int, list[Attrition]]:
    """Count what AND-conditions remove, in one pass.

    Args:
        flags: One boolean column `c0`, `c1`, ... per condition: true keeps the sample, null is not measured.
        conditions: The conditions' texts, in the same order.

    Returns:
        All samples, and one entry per condition.
    """
    from pyspark.sql import functions as F

    counts = [F.count("*").alias("samples")]
    passed = F.lit(True)
    for place in range(len(conditions)):
        flag = F.col(f"c{place}")
        is_true = F.coalesce(flag, F.lit(False))
        counts += [
            F.count_if(passed & ~is_true).alias(f"removed{place}"),
            F.count_if(passed & flag.isNull()).alias(f"unmeasured{place}"),
            F.count_if(~is_true).alias(f"alone{place}"),
        ]
        passed = passed & is_true
    row = flags.agg(*counts).collect()[0]
    left = row["samples"]
    found = []
    for place, text in enumerate(conditions):
        removed = row[f"removed{place}"]
        found.append(
            Attrition(text, left, removed, row[f"unmeasured{place}"], left - removed, row[f"alone{place}"])
        )
        left -= removed
    return row["samples"], found


def drawn(rule: str, *, before: int, left: int) -> Attrition:
    """The entry of a rule of the draw: a quantile, a cap, a size."""
    return Attrition(rule, before, before - left, 0, left, None)
