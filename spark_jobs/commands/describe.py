"""`parrot describe`: what a table or a view holds, what a stage does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyspark.sql.types import StructField
from rich.table import Table

from schemas import TABLES
from spark_jobs.commands.json_output import print_json
from spark_jobs.config import RunConfig
from spark_jobs.errors import ConfigError
from spark_jobs.pipeline import STAGES, Stage, makers_of
from spark_jobs.runner.progress import output_console
from spark_jobs.views import VIEWS
from udfs.names import did_you_mean

_WIDEST_TYPE = 40


def print_description(name: str, *, as_json: bool = False) -> None:
    """Describe a table, a view or a stage.

    Args:
        name: Its name.
        as_json: Whether a program reads it.

    Raises:
        ConfigError: If there is none of that name.
    """
    found = description(name)
    if as_json:
        print_json(found)
    elif found["kind"] == "stage":
        _print_stage(found)
    else:
        _print_table(found)


def description(name: str) -> dict[str, Any]:
    """What there is to say of a table, a view or a stage; `kind` says which it is.

    Raises:
        ConfigError: If there is none of that name; names those that there are.
    """
    stages = {stage.name: stage for stage in STAGES}
    views = {view.name: view for view in VIEWS}
    if name in stages:
        return _of_stage(stages[name])
    if name in TABLES:
        return _of_table(name)
    if name in views:
        view = views[name]
        return {"name": name, "kind": "view", "meaning": view.meaning, "columns": _columns(view.columns)}
    hint = did_you_mean(name, [*stages, *TABLES, *views])
    raise ConfigError(
        f"no stage, table or view {name}.{hint} Stages: {', '.join(stages)}. Tables: {', '.join(TABLES)}. "
        f"Views: {', '.join(views)}"
    )


def _of_table(name: str) -> dict[str, Any]:
    spec = TABLES[name]
    return {
        "name": name,
        "kind": "table",
        "meaning": spec.meaning,
        "made_by": ["every stage"] if name == "stage_runs" else makers_of(name),
        "key": list(spec.key),
        "columns": _columns(spec.schema.fields),
    }


def _of_stage(stage: Stage) -> dict[str, Any]:
    section = RunConfig.model_fields.get(stage.name)
    fields = getattr(section.annotation if section else None, "model_fields", {})
    return {
        "name": stage.name,
        "kind": "stage",
        "meaning": stage.meaning,
        "reads": list(stage.reads),
        "writes": list(stage.writes),
        "settings": [
            {
                "key": f"{stage.name}.{key}",
                "default": field.get_default(call_default_factory=True),
                "meaning": field.description or "",
            }
            for key, field in fields.items()
        ],
    }


def _columns(fields: Iterable[StructField]) -> list[dict[str, str]]:
    return [
        {"name": field.name, "type": field.dataType.simpleString(), "meaning": field.metadata["comment"]}
        for field in fields
    ]


def _print_table(found: Mapping[str, Any]) -> None:
    console = output_console()
    where = "A view, for `parrot sql`"
    if found["kind"] == "table":
        where = f"Made by {' and '.join(found['made_by'])}. Key: {', '.join(found['key'])}"
    console.print(f"{found['name']}: a row is {found['meaning']}. {where}")
    table = Table("column", "type", "meaning")
    for column in found["columns"]:
        kind = column["type"]
        shown = kind if len(kind) <= _WIDEST_TYPE else f"{kind[: _WIDEST_TYPE - 3]}..."
        table.add_row(column["name"], shown, column["meaning"])
    console.print(table)


def _print_stage(found: Mapping[str, Any]) -> None:
    console = output_console()
    console.print(f"{found['name']}: {found['meaning']}")
    console.print(
        f"reads {', '.join(found['reads']) or 'the source'}; writes {', '.join(found['writes']) or 'a file'}"
    )
    if not found["settings"]:
        return
    table = Table("setting (--set)", "default", "meaning")
    for setting in found["settings"]:
        table.add_row(setting["key"], str(setting["default"]), setting["meaning"])
    console.print(table)
