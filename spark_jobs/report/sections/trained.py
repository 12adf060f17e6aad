"""The report's section on trained models: the paper's Tables 3 to 6 for this dataset's own subsets."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from spark_jobs.report import formatting
from spark_jobs.study.comparison import Compared, Number, compare, measures_of


def trained_views(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A table per model and budget: models of other recipes are not put side by side."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if formatting.finite(row["value"]) is not None:
            groups[row["model"], _recipe_without_seed(row["recipe"])].append(row)
    views = (_view(model, group) for (model, _), group in groups.items())
    return [view for view in views if view["rows"]]


def _recipe_without_seed(recipe: str) -> str:
    values = {name: value for name, value in json.loads(recipe).items() if name != "seed"}
    return json.dumps(values, sort_keys=True)


def _view(model: str, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    subsets = list(dict.fromkeys(row["subset_id"] for row in rows))
    # Of an evaluation that was done again, with other tasks say, the later row counts.
    numbers = {
        (row["subset_id"], row["seed"], row["task"], row["metric"]): Number(
            row["subset_id"], model, row["seed"], row["task"], row["metric"], row["value"], row["chance"]
        )
        for row in rows
    }
    compared = compare(numbers.values(), subsets=subsets, baseline=subsets[0])
    found = {(one.metric, one.task, one.subset): one for one in compared}
    seeds = {name: len({row["seed"] for row in rows if row["subset_id"] == name}) for name in subsets}
    return {
        "model": model,
        "samples_seen": formatting.count(rows[0]["samples_seen"]),
        "subsets": [{"name": name, "seeds": formatting.count(seeds[name])} for name in subsets],
        "rows": [
            {
                "asked": f"{metric}, {task}",
                "cells": [_shown(found.get((metric, task, name))) for name in subsets],
                "chance": _number(chance),
            }
            for (metric, task), chance in measures_of(compared).items()
        ],
    }


def _shown(one: Compared | None) -> str:
    if one is None:
        return formatting.MISSING
    return _number(one.mean) + (f"\u00a0±\u00a0{one.spread:.3f}" if one.spread is not None else "")


def _number(value: float | None) -> str:
    known = formatting.finite(value)
    return formatting.MISSING if known is None else f"{known:.3f}"
