"""Say before a model's work begins that what is there was made with other settings, and which ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from schemas import stage_runs
from spark_jobs.runner.pending import ShardWork
from spark_jobs.warehouse.tables import Tables

_LONGEST = 40  # hashes and lists are named, not shown


def why_done_anew(tables: Tables, work: ShardWork, *, dataset: str, before: str) -> str | None:
    """Which settings differ from those of the rows that are there.

    Args:
        tables: The warehouse.
        work: The work that is to be done.
        dataset: The dataset.
        before: Run key of the rows that are there.

    Returns:
        A sentence; None where this stage has not logged those rows (ingest made `images` before download), or the
        settings are the same and what was read differs.
    """
    rows = tables.read(stage_runs.TABLE, dataset=dataset, run_key=before)
    own = rows.where(f"stage = '{work.stage}' AND table_name = '{work.output.name}'")
    logged = own.select("params").limit(1).collect()
    differing = differences(json.loads(logged[0]["params"])["params"], work.params) if logged else []
    if not differing:
        return None
    return (
        f"{work.output.name} is made anew: {'; '.join(differing)}. The rows that are there stay under their run key, "
        "and the settings of before go on with them"
    )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The settings that differ, with their values where these are short.

    Args:
        before: Settings, as JSON holds them.
        now: The same of another run.
    """
    plain = json.loads(json.dumps(now))
    names = [name for name in sorted({*before, *plain}) if before.get(name) != plain.get(name)]
    return [_difference(name, before.get(name), plain.get(name)) for name in names]


def _difference(name: str, before: object, now: object) -> str:
    values = [json.dumps(value, ensure_ascii=False) for value in (before, now)]
    if max(map(len, values)) > _LONGEST:
        return f"{name} differs"
    return f"{name} was {values[0]}, is {values[1]}"
