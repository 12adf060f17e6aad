"""The report's section on named subsets: what each is, and what its conditions removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spark_jobs.report import formatting


def subset_views(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The section's content, as text."""
    return [
        {
            "name": row["subset_id"],
            "sentence": row["sentence"] or "",
            "members": formatting.count(row["members"]),
            "share": formatting.percent(formatting.ratio(row["members"], row["samples"])),
            "source": row["source"] or "",
            "assumptions": row["assumptions"] or [],
            "content": row["content_hash"],
            "steps": [_step_view(step) for step in row["attrition"]],
        }
        for row in rows
    ]


def _step_view(step: Mapping[str, Any]) -> dict[str, Any]:
    columns = ("before", "removed", "unmeasured", "left", "removed_alone")
    return {"condition": step["condition"], "counts": [formatting.count(step[name]) for name in columns]}
