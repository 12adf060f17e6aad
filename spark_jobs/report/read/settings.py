"""With which settings each dataset's current tables were made, from the log of stages."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from schemas import stage_runs

if TYPE_CHECKING:
    from spark_jobs.report.read.snapshot import Snapshot

SETTINGS_OF = (
    "spotted_text",
    "caption_overlap",
    "clip_embeddings",
    "text_removal_scores",
    "synthetic_text_scores",
)
"""Tables whose settings decide what numbers compare."""


def settings(snapshot: Snapshot) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Parameters of the current run key of each such table, by dataset and table; absent where the log is gone."""
    from pyspark.sql import functions as F

    current = {
        (dataset, table): snapshot.run_keys[dataset, table]
        for dataset in snapshot.datasets
        for table in SETTINGS_OF
        if (dataset, table) in snapshot.run_keys
    }
    found: dict[str, dict[str, Mapping[str, Any]]] = {dataset: {} for dataset in snapshot.datasets}
    if not current or not snapshot.tables.exists(stage_runs.TABLE):
        return found
    is_current = [
        (F.col("dataset") == dataset) & (F.col("table_name") == table) & (F.col("run_key") == run_key)
        for (dataset, table), run_key in current.items()
    ]
    log = snapshot.tables.read(stage_runs.TABLE).where(
        functools.reduce(lambda one, two: one | two, is_current)
    )
    for row in sorted(log.select("dataset", "table_name", "params").distinct().collect()):
        found[row["dataset"]][row["table_name"]] = json.loads(row["params"]).get("params", {})
    return found
