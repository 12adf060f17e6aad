"""Rows that nothing reads any more: sample-level tables under run keys that were left behind long ago."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas import ALL_TABLES, images, samples, subsets
from schemas._table import KEY_COLUMNS
from spark_jobs.runner.model_run_keys import ended_run_keys, newest_by_model
from spark_jobs.runner.outdated import MadeFrom, read_made_from
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from spark_jobs.warehouse.tables import Tables

Place = tuple[str, str, str]
"""Dataset, table and run key."""

# Where the bytes are. Sources' own rows are never removed; statistics, models, subsets and trainings are small, and are
# a history or chosen by name.
_REMOVABLE = tuple(
    spec
    for spec in ALL_TABLES
    if spec.has_run_key and {*KEY_COLUMNS} <= {*spec.columns} and spec not in (samples.TABLE, images.TABLE)
)


@dataclass(frozen=True)
class OldRows:
    """The rows of one dataset and run key of a table.

    Attributes:
        dataset: The dataset.
        table: The table.
        run_key: The run key.
        rows: How many they are.
        ended: When they were finished last, seconds since 1970.
    """

    dataset: str
    table: str
    run_key: str
    rows: int
    ended: float


def find_old_rows(tables: Tables, *, before: float) -> list[OldRows]:
    """What nothing reads any more and was finished before a time, in the order of the tables.

    Args:
        tables: The warehouse.
        before: Seconds since 1970.
    """
    current = current_run_keys(tables)
    kept = {(dataset, table, run_key) for (dataset, table), run_key in current.items()}
    for dataset in sorted({dataset for dataset, _ in current}):
        for table, run_keys in newest_by_model(tables, dataset, current=current).items():
            kept |= {(dataset, table, run_key) for run_key in run_keys}
    made_from = read_made_from(tables)
    kept |= {place for place in made_from if place[1] == subsets.TABLE.name}
    read = with_what_they_read(kept, made_from)
    return old_rows(_held(tables), kept=read, ended=ended_run_keys(tables), before=before)


def with_what_they_read(places: Iterable[Place], made_from: MadeFrom) -> set[Place]:
    """Some rows, and all that they were made from, as far as the log knows."""
    found: set[Place] = set()
    open_ = list(places)
    while open_:
        place = open_.pop()
        if place not in found:
            found.add(place)
            open_ += [(place[0], table, run_key) for table, run_key in made_from.get(place, {}).items()]
    return found


def old_rows(
    held: Mapping[Place, int], *, kept: set[Place], ended: Mapping[Place, float], before: float
) -> list[OldRows]:
    """Rows that are not kept and were finished before a time; those of which no end is known stay.

    Args:
        held: Number of rows by place.
        kept: What is read, or may be.
        ended: When each was finished last, seconds since 1970.
        before: Seconds since 1970.
    """
    return [
        OldRows(*place, rows, ended[place])
        for place, rows in held.items()
        if place not in kept and place in ended and ended[place] < before
    ]


def _held(tables: Tables) -> dict[Place, int]:
    found = {}
    for spec in filter(tables.exists, _REMOVABLE):
        rows = tables.read(spec).groupBy("dataset", "run_key").count().orderBy("dataset", "run_key")
        found.update({(dataset, spec.name, run_key): count for dataset, run_key, count in rows.collect()})
    return found
