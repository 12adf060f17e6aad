"""From measures to members: the conditions, the quantile rule, the draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from schemas._table import KEY_COLUMNS
from spark_jobs.errors import StageError
from spark_jobs.subsets.attrition import Attrition, attrition, drawn
from spark_jobs.subsets.definition import SubsetDefinition
from spark_jobs.subsets.draw import hash_cuts, highest, lowest, quotas, sample_hash, share_of, up_to
from spark_jobs.subsets.measures import Measure
from spark_jobs.subsets.predicate import Condition, find_measure, parse_predicate

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_USABLE = "samples.status = 'ok'"
_TRAINABLE = "caption_overlap.trainable"
_CLUSTER = "cluster_assignments.cluster"


@dataclass(frozen=True)
class Selection:
    """How a definition selects from the frame of measures.

    Attributes:
        definition: The definition, with the size and seed that hold.
    """

    definition: SubsetDefinition

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """Every AND-condition, in order: sound, trainable, the predicate, a score and a cluster where needed."""
        texts = [_USABLE, *([_TRAINABLE] if self.definition.trainable else ()), self.definition.predicate]
        if self.definition.top is not None:
            texts.append(f"{self.definition.top.by} IS NOT NULL")
        if self.definition.stratum is not None:
            texts.append(f"{_CLUSTER} IS NOT NULL")
        found = [part for text in texts for part in parse_predicate(text)]
        return tuple({part.text: part for part in found if part.text != "TRUE"}.values())

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Every measure that the selection looks at."""
        return tuple(sorted({measure for part in self.conditions for measure in part.measures}))

    @property
    def predicate(self) -> str:
        """The conditions as one predicate."""
        return " AND ".join(_braced(part.text) for part in self.conditions)

    @property
    def top(self) -> str | None:
        """The quantile rule in words."""
        rule = self.definition.top
        return None if rule is None else f"the highest {rule.share * 100:.10g}% by {rule.by}"

    @property
    def stratum(self) -> str | None:
        """The stratum in words."""
        if self.definition.stratum == "capped":
            return f"at most {self.definition.cap} per cluster"
        return None if self.definition.stratum is None else "equal per cluster"

    def decides(self) -> dict[str, object]:
        """What decides the members, beside the tables."""
        return {
            "predicate": self.predicate,
            "top": self.top,
            "stratum": self.stratum,
            "size": self.definition.size,
            "seed": self.definition.seed,
        }

    @property
    def is_drawn_in_steps(self) -> bool:
        """Whether a quantile or strata are looked for in what passes: it is then read several times."""
        return self.definition.top is not None or self.definition.stratum is not None

    def evaluated(self, measured: DataFrame) -> DataFrame:
        """Key, one boolean column per condition, and where needed score and stratum."""
        columns = [f"({part.sql}) AS c{place}" for place, part in enumerate(self.conditions)]
        if self.definition.top is not None:
            table, _, name = self.definition.top.by.rpartition(".")
            columns.append(f"CAST({find_measure(name, table).column} AS DOUBLE) AS score")
        if self.definition.stratum is not None:
            columns.append(
                f"CAST({find_measure('cluster', 'cluster_assignments').column} AS STRING) AS stratum"
            )
        return measured.selectExpr(*KEY_COLUMNS, *columns)


@dataclass(frozen=True)
class Selected:
    """The outcome of a selection.

    Attributes:
        members: `shard_id` and `sample_id`.
        samples: Samples of the dataset.
        qualifying: Samples that pass the conditions and the quantile rule.
        count: Members.
        attrition: What each condition and rule removed.
    """

    members: DataFrame
    samples: int
    qualifying: int
    count: int
    attrition: list[Attrition]


def select_members(
    selection: Selection, evaluated: DataFrame, *, subset_id: str, keep: Callable[[DataFrame], DataFrame]
) -> Selected:
    """Apply conditions, quantile rule, stratum and size.

    Args:
        selection: The rules.
        evaluated: As `Selection.evaluated` gives it; one pass is made over it to count, one to select.
        subset_id: For messages.
        keep: Holds a frame that is read again, until the members are written.

    Raises:
        StageError: If fewer samples qualify than the size asks for; names both numbers.
    """
    definition = selection.definition
    samples, table = attrition(evaluated, [part.text for part in selection.conditions])
    left = table[-1].left
    frame = _passing(selection, evaluated)
    if selection.is_drawn_in_steps:
        frame = keep(frame)
    if definition.top is not None:
        wanted = share_of(definition.top.share, left)
        frame = highest(frame, wanted)
        table.append(drawn(selection.top or "", before=left, left=wanted))
        left = wanted
    qualifying = left
    if definition.size is not None and definition.size > qualifying:
        raise _too_few(subset_id, definition.size, qualifying=qualifying, samples=samples)
    if definition.stratum is not None:
        frame, taken = _stratified(frame, definition)
        table.append(drawn(selection.stratum or "", before=left, left=taken))
        left = taken
        if definition.size is not None and definition.size > left:
            raise _too_few(subset_id, definition.size, qualifying=left, samples=samples)
    if definition.size is not None and definition.size < left:
        frame = _of_size(selection, frame, rows=left, keep=keep)
        table.append(drawn(f"{definition.size:,} drawn by hash", before=left, left=definition.size))
        left = definition.size
    return Selected(frame.select(*KEY_COLUMNS), samples, qualifying, left, table)


def _of_size(
    selection: Selection, frame: DataFrame, *, rows: int, keep: Callable[[DataFrame], DataFrame]
) -> DataFrame:
    size = selection.definition.size or rows
    if selection.definition.stratum is None:
        return lowest(frame, rows=rows, wanted=size, keep=keep)
    # What strata leave has the low hashes of each: no longer evenly spread ones.
    frame = frame.withColumn("stratum", _nothing())
    return up_to(frame, hash_cuts(frame, {"": rows}, {"": size}))


def _passing(selection: Selection, evaluated: DataFrame) -> DataFrame:
    """The samples that pass every condition, with their hash."""
    flags = [f"c{place}" for place in range(len(selection.conditions))]
    rows = evaluated.where(" AND ".join(flags)).drop(*flags)
    return rows.withColumn("hash", sample_hash(selection.definition.seed))


def _stratified(frame: DataFrame, definition: SubsetDefinition) -> tuple[DataFrame, int]:
    rows = frame.groupBy("stratum").count().collect()
    counts: Mapping[str, int] = {row["stratum"]: row["count"] for row in rows}
    wanted = quotas(counts, definition)
    if not counts:
        return frame, 0
    return up_to(frame, hash_cuts(frame, counts, wanted)), sum(wanted.values())


def _too_few(subset_id: str, size: int, *, qualifying: int, samples: int) -> StageError:
    return StageError(
        f"subset {subset_id} asks for {size:,} samples, but only {qualifying:,} of {samples:,} qualify: "
        f"take --size {qualifying} or less, or leave the size away to take all of them"
    )


def _nothing() -> Column:
    from pyspark.sql import functions as F

    return F.lit("")


def _braced(text: str) -> str:
    return f"({text})" if " OR " in text else text
