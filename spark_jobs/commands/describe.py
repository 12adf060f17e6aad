"""`parrot describe`: what a table or a view holds, what a stage does."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql.types import StructField
from rich.table import Table

from schemas import TABLES
from spark_jobs.config import RunConfig
from spark_jobs.errors import ConfigError
from spark_jobs.pipeline import STAGES, Stage, makers_of
from spark_jobs.runner.progress import output_console
from spark_jobs.views import VIEWS
from udfs.names import did_you_mean


def print_description(name: str) -> None:
    """Describe a table, a view or a stage.

    Raises:
        ConfigError: If there is none of that name.
    """
    stages = {stage.name: stage for stage in STAGES}
    views = {view.name: view for view in VIEWS}
    if name in stages:
        _print_stage(stages[name])
    elif name in TABLES:
        _print_table(name)
    elif name in views:
        console = output_console()
        console.print(f"{name}: a row is {views[name].meaning}. A view, for `parrot sql`")
        console.print(_columns(views[name].columns))
    else:
        known = [*stages, *TABLES, *views]
        hint = did_you_mean(name, known)
        raise ConfigError(
            f"no stage, table or view {name}.{hint} Stages: {', '.join(stages)}. Tables: {', '.join(TABLES)}. "
            f"Views: {', '.join(views)}"
        )


def _print_table(name: str) -> None:
    spec = TABLES[name]
    maker = "every stage" if name == "stage_runs" else " and ".join(makers_of(name))
    console = output_console()
    console.print(f"{name}: a row is {spec.meaning}. Made by {maker}. Key: {', '.join(spec.key)}")
    console.print(_columns(spec.schema.fields))


def _columns(fields: Iterable[StructField]) -> Table:
    table = Table("column", "type", "meaning")
    for field in fields:
        kind = field.dataType.simpleString()
        table.add_row(field.name, kind if len(kind) <= 40 else f"{kind[:37]}...", field.metadata["comment"])
    return table


def _print_stage(stage: Stage) -> None:
    console = output_console()
    console.print(f"{stage.name}: {stage.meaning}")
    console.print(
        f"reads {', '.join(stage.reads) or 'the source'}; writes {', '.join(stage.writes) or 'a file'}"
    )
    section = RunConfig.model_fields.get(stage.name)
    model = section.annotation if section else None
    fields = getattr(model, "model_fields", {})
    if not fields:
        return
    table = Table("setting (--set)", "default", "meaning")
    for key, field in fields.items():
        table.add_row(f"{stage.name}.{key}", str(field.default), field.description or "")
    console.print(table)
