"""Write what follows from the code: the pages configuration, views and tables, and the generated tables of README.md.

    python docs/generate.py

The tests compare all of them with what this writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pyspark.sql.types import StructField

from schemas import ALL_TABLES
from schemas.stage_runs import TABLE as STAGE_RUNS
from spark_jobs.config import RunConfig
from spark_jobs.pipeline import STAGES, makers_of
from spark_jobs.sections import Section
from spark_jobs.sources import SOURCES
from spark_jobs.views import VIEWS

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = ROOT / "docs" / "configuration.md"
VIEWS_PAGE = ROOT / "docs" / "views.md"
TABLES_PAGE = ROOT / "docs" / "tables.md"
README = ROOT / "README.md"

# What stages read that read no table.
_NO_TABLES = {"train_clip": "an export"}

_HEAD = """# Configuration

Generated from `spark_jobs/config.py` by `python docs/generate.py`; do not edit.

Values come from the defaults below, then from the YAML file given with `--config`, then from the command's options,
then from `--set section.key=value` (the value is read as YAML). Unknown keys are errors, and all faults are reported
at once. Settings of Spark have dots in their names, so they are given together:
`--set 'session.spark={spark.local.dir: /scratch}'`.

```yaml
# profile.yaml, for `parrot run --config profile.yaml`
warehouse: warehouse
dataset: cc12m
embed:
  model: ViT-B-32
  pretrained: laion2b_s34b_b79k
```
"""


_VIEWS_HEAD = """# Views

Generated from `spark_jobs/views/` by `python docs/generate.py`; do not edit.

What most questions join is joined in these views. `parrot sql` knows them by name beside the tables
(`parrot describe VIEW` prints what stands here), and in a catalog each run publishes them as views of the warehouse's
schema; of a warehouse on S3 `parrot athena` makes them views of Athena ([on EMR](../deploy/emr/README.md#athena)).
They show current rows (the run key whose stage finished last). A stage that has not run leaves its columns null, and a
view whose tables are all missing has no row. Questions, queries and answers: [cookbook.md](cookbook.md).
"""

_TABLES_HEAD = """# Tables

Generated from `schemas/` by `python docs/generate.py`; do not edit.

What `parrot describe TABLE` prints. In SQL the name of a table shows its current rows (the run key whose stage finished
last), `NAME_all` all of them. Joined, they are in [views](views.md).
"""


def views_page() -> str:
    """The whole of docs/views.md."""
    parts = [_VIEWS_HEAD]
    for view in VIEWS:
        read = _names([spec.name for spec in view.reads])
        of = f" From {read}." if read else ""
        parts += [f"## `{view.name}`\n", f"A row is {view.meaning}.{of}\n", _columns(view.columns)]
    return "\n".join(parts)


def tables_page() -> str:
    """The whole of docs/tables.md."""
    parts = [_TABLES_HEAD]
    for spec in ALL_TABLES:
        makers = "every stage" if spec is STAGE_RUNS else _names(makers_of(spec.name))
        of = f"A row is {spec.meaning}. Made by {makers}. Key: {_names(spec.key)}.\n"
        parts += [f"## `{spec.name}`\n", of, _columns(spec.schema.fields)]
    return "\n".join(parts)


def _columns(fields: Iterable[StructField]) -> str:
    rows = [
        (f"`{field.name}`", f"`{field.dataType.simpleString()}`", field.metadata["comment"])
        for field in fields
    ]
    return _table(("column", "type", "meaning"), rows)


def configuration_page() -> str:
    """The whole of docs/configuration.md."""
    sections = {name: field for name, field in RunConfig.model_fields.items() if _is_section(field)}
    top = {name: field for name, field in RunConfig.model_fields.items() if name not in sections}
    parts = [_HEAD, "## Top level\n", _settings(RunConfig, top)]
    for name, field in sections.items():
        model: Any = field.annotation
        parts += [f"## `{name}`\n", f"{_first_paragraph(model)}\n"]
        if model.model_fields:
            parts.append(_settings(model, model.model_fields))
        else:
            parts.append("No settings.\n")
    return "\n".join(parts)


def stage_table() -> str:
    """The pipeline's stages, in order."""
    rows = [
        (
            f"`{stage.name}`",
            stage.meaning,
            _names(stage.reads) or _NO_TABLES.get(stage.name, "the source"),
            _names(stage.writes) or "a file",
            "yes" if stage.uses_model else "",
        )
        for stage in STAGES
    ]
    return _table(("stage", "what it does", "reads", "writes", "model"), rows)


def table_table() -> str:
    """The Delta tables, in the order of the pipeline."""
    rows = [
        (
            f"`{spec.name}`",
            spec.meaning,
            "every stage" if spec is STAGE_RUNS else _names(makers_of(spec.name)),
        )
        for spec in ALL_TABLES
    ]
    return _table(("table", "a row is", "made by"), rows)


def source_table() -> str:
    """The kinds of sources."""
    return _table(("kind", "what it is"), [(f"`{kind}`", source.meaning) for kind, source in SOURCES.items()])


def with_tables(readme: str) -> str:
    """README text with its generated tables written anew.

    Raises:
        ValueError: If a table's place is missing.
    """
    for name, table in {"stages": stage_table(), "tables": table_table(), "sources": source_table()}.items():
        begin, end = f"<!-- {name}: docs/generate.py -->", f"<!-- /{name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        block = f"{begin}\n{table}{end}"
        readme, found = pattern.subn(lambda _, block=block: block, readme)  # type: ignore[misc]
        if found != 1:
            raise ValueError(f"README.md should hold {begin} ... {end} once, found {found}")
    return readme


def main() -> None:
    """Write all files."""
    CONFIGURATION.write_text(configuration_page(), encoding="utf-8")
    VIEWS_PAGE.write_text(views_page(), encoding="utf-8")
    TABLES_PAGE.write_text(tables_page(), encoding="utf-8")
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _first_paragraph(model: type[Section]) -> str:
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())


def _settings(model: type[Section], fields: Mapping[str, FieldInfo]) -> str:
    properties = model.model_json_schema()["properties"]
    rows = [
        (f"`{name}`", _values(properties[name]), _default(field), field.description or "")
        for name, field in fields.items()
    ]
    return _table(("key", "values", "default", "meaning"), rows)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _values(schema: Mapping[str, Any]) -> str:
    """What a key may be, from its JSON schema."""
    if "anyOf" in schema:
        return " or ".join(_values(choice) for choice in schema["anyOf"])
    if "$ref" in schema:
        return "mapping"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    kind = {"array": "list", "object": "mapping", "string": "text"}.get(schema["type"], schema["type"])
    return " ".join([kind, ", ".join(limits)]).strip()


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


if __name__ == "__main__":
    main()
