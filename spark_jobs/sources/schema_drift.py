"""Tables of one folder that do not have the same columns: which ones, and what is different."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from spark_jobs.sources.metadata import field_of

Columns = Mapping[str, str]


def drift_notes(tables: Mapping[str, Columns]) -> dict[str, tuple[str, ...]]:
    """Say of each file how its columns differ from those that most files of the folder have.

    Args:
        tables: Type by column, by file.

    Returns:
        One note by file, of the files that differ.
    """
    if len(tables) < 2:
        return {}
    schemas = Counter(tuple(sorted(columns.items())) for columns in tables.values())
    usual = dict(schemas.most_common(1)[0][0])
    notes: dict[str, tuple[str, ...]] = {}
    for name, columns in tables.items():
        differences = _differences(columns, usual)
        if differences:
            notes[name] = (f"{name} differs from most files here: {'; '.join(differences)}",)
    return notes


def _differences(columns: Columns, usual: Columns) -> list[str]:
    missing = [name for name in usual if name not in columns]
    extra = [name for name in columns if name not in usual]
    found = []
    for name in list(missing):
        other = next((column for column in extra if _is_same(column, name)), None)
        if other is not None:
            found.append(f"{other} ({columns[other]}) instead of {name} ({usual[name]})")
            missing.remove(name)
            extra.remove(other)
    if missing:
        found.insert(0, f"lacks {', '.join(missing)}")
    if extra:
        found.append(f"also has {', '.join(extra)}")
    found += [
        f"{name} is {columns[name]} instead of {kind}"
        for name, kind in usual.items()
        if name in columns and columns[name] != kind
    ]
    return found


def _is_same(column: str, other: str) -> bool:
    """Whether two spellings name one thing: the same in another case, or columns of the same field."""
    field = field_of(column)
    return column.lower() == other.lower() or (field is not None and field == field_of(other))
