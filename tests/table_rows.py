"""Rows of the tables, for tests: what a test does not say is null, and the provenance is that of any row."""

from __future__ import annotations

from typing import Any

from schemas._table import TableSpec

_COMMON = {"dataset": "test", "status": "ok", "run_key": "r", "input_key": "i"}


def filled(spec: TableSpec, **values: Any) -> tuple[Any, ...]:
    """One row in the order of a table's columns.

    Args:
        spec: The table.
        **values: By column; a name that the table does not have is a fault of the test.
    """
    unknown = set(values) - set(spec.columns)
    assert not unknown, f"{spec.name} has no {unknown}"
    return tuple({**_COMMON, **values}.get(name) for name in spec.columns)
