"""Tables that no longer fit together: what was made from an older run key of a table that it reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from schemas import TABLES, stage_runs
from spark_jobs.errors import StageError
from spark_jobs.pipeline import STAGES, Stage
from spark_jobs.runner.model_run_keys import newest_by_model
from spark_jobs.runner.pending import RunKeys
from spark_jobs.warehouse.query_cache import Question

if TYPE_CHECKING:
    from spark_jobs.warehouse.tables import Tables

MadeFrom = Mapping[tuple[str, str, str], Mapping[str, str]]
"""Run keys of the tables that were read, by dataset, table and run key of what was made."""
Newest = Mapping[str, frozenset[str]]
"""By table of several models, the newest run key of each of them."""
Outdated = Mapping[str, tuple[str, ...]]
"""The outdated tables of a dataset in the pipeline's order, with the tables each would have to be read anew."""
_MADE_FROM = Question("what was made from what", version=1)


def outdated_tables(
    dataset: str, current: RunKeys, made_from: MadeFrom, *, newest: Newest | None = None
) -> dict[str, tuple[str, ...]]:
    """The current tables of a dataset that do not show what the current tables they read would give.

    A table is outdated if one that it was made from has another current run key by now (that stage ran again
    with other settings or another model), or is itself outdated.

    Args:
        dataset: The dataset.
        current: Current run keys.
        made_from: What the log knows; a table that it does not know counts as up to date.
        newest: What a stage that chooses its model may have read beside the current run key.

    Returns:
        By outdated table, in the pipeline's order: which of the tables that it was made from are the reason.
    """
    found: dict[str, tuple[str, ...]] = {}
    for stage in STAGES:
        for table in stage.writes:
            run_key = current.get((dataset, table), "")
            reads = made_from.get((dataset, table, run_key), {})
            reasons = tuple(
                name
                for name in stage.reads
                # `download` completes a table that it reads.
                if name in reads
                and name not in stage.writes
                and (
                    name in found
                    or reads[name]
                    not in _readable(stage, name, current=current.get((dataset, name)), newest=newest or {})
                )
            )
            if reasons and TABLES[table].has_run_key:
                found[table] = reasons
    return found


def _readable(stage: Stage, table: str, *, current: str | None, newest: Newest) -> set[str | None]:
    """Run keys of a table from which a stage's rows count as up to date."""
    return {current, *(newest.get(table, ()) if stage.chooses_model else ())}


def stages_to_run(outdated: Outdated, tables: Iterable[str]) -> list[str]:
    """The stages that bring some tables up to date again, in the pipeline's order.

    Args:
        outdated: As `outdated_tables` finds it.
        tables: The tables wanted; those that are up to date need no stage.
    """
    wanted, open_ = set[str](), [name for name in tables if name in outdated]
    while open_:
        name = open_.pop()
        if name not in wanted:
            wanted.add(name)
            open_ += [reason for reason in outdated[name] if reason in outdated]
    return [stage.name for stage in STAGES if wanted & set(stage.writes)]


def read_made_from(tables: Tables) -> dict[tuple[str, str, str], dict[str, str]]:
    """What the log says of which run keys were read for which; empty where there is no log."""
    if not tables.exists(stage_runs.TABLE):
        return {}

    def ask() -> list[list[str]]:
        from pyspark.sql import functions as F

        reads = F.get_json_object("params", "$.reads").alias("reads")
        finished = tables.read(stage_runs.TABLE).where("event = 'finished'")
        rows = finished.select("dataset", "table_name", "run_key", reads).distinct().collect()
        return [[*row] for row in rows if row["reads"]]

    found = tables.answer(stage_runs.TABLE, _MADE_FROM.of(), ask)
    return {(dataset, table, run_key): json.loads(reads) for dataset, table, run_key, reads in found}


def refuse_outdated(
    tables: Tables, dataset: str, *, current: RunKeys, upstream: Mapping[str, str], subset_id: str
) -> None:
    """Refuse to draw a subset from measures that do not fit together.

    Args:
        tables: The warehouse.
        dataset: The dataset.
        current: Run keys to read, by dataset and table.
        upstream: Run key by table that the subset reads.
        subset_id: For the message.

    Raises:
        StageError: If a table was made from others than those that are current; names the command that mends it.
    """
    newest = newest_by_model(tables, dataset, current=current)
    outdated = outdated_tables(dataset, current, read_made_from(tables), newest=newest)
    note = outdated_note(dataset, outdated, upstream, also_run="curate")
    if note is not None:
        raise StageError(f"subset {subset_id}: {note}")


def outdated_note(
    dataset: str, outdated: Outdated, tables: Iterable[str], *, also_run: str = ""
) -> str | None:
    """What does not fit together, and the command that mends it, for people; None if all fits.

    Args:
        dataset: The dataset.
        outdated: Its outdated tables.
        tables: The tables that people are about to look at.
        also_run: Stage to name at the end of the command.
    """
    stages = stages_to_run(outdated, tables)
    if not stages:
        return None
    own = {table for stage in STAGES if stage.name in stages for table in stage.writes if table in outdated}
    reasons = {reason for table in own for reason in outdated[table]}
    changed = [name for name in TABLES if name in reasons and name not in outdated]
    command = " ".join(["parrot run", *stages, *filter(None, [also_run]), "--dataset", dataset])
    return (
        f"{dataset}: what {_listed(stages)} made is of an older {_listed(changed)} than the current one, so "
        f"numbers do not fit together. Run `{command}`, with the settings that you want to see."
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
