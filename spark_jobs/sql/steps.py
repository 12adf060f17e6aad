"""Run named SQL steps one after the other; a failing step is reported by its name and its SQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spark_jobs.errors import StageError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


@dataclass(frozen=True)
class PythonColumn:
    """A column that a Python function makes of a step's other columns, where SQL takes too long.

    Attributes:
        version: Raised whenever its values change: rows of older code are then made again.
        make: Makes the column; called with a session at hand.
    """

    version: int
    make: Callable[[], Column]


@dataclass(frozen=True)
class Step:
    """One statement.

    Attributes:
        name: What a row of its result is; later steps read it as `{name}`.
        sql: The statement; tables in braces, values as `:name` markers.
        args: The markers' values.
        python: Columns that are added to the statement's, by name.
    """

    name: str
    sql: str
    args: Mapping[str, Any] | None = None
    python: Mapping[str, PythonColumn] = field(default_factory=dict)

    def decides(self) -> str | list[Any]:
        """What decides its rows, for a run key: its SQL, and the versions of what Python adds."""
        versions = {name: column.version for name, column in self.python.items()}
        return [self.sql, versions] if versions else self.sql


def run_steps(spark: SparkSession, steps: list[Step], frames: Mapping[str, DataFrame]) -> DataFrame:
    """Run the steps over the given frames.

    Args:
        spark: The session.
        steps: In order; each may read the frames and the steps before it.
        frames: Input frames by the name steps know them by.

    Returns:
        The last step's result.

    Raises:
        StageError: If a step fails; names it and shows its SQL.
    """
    # Views carry a run-unique suffix: two stages of one session never see each other's.
    suffix = uuid.uuid4().hex[:8]
    views = {name: f"{name}_{suffix}" for name in frames}
    for name, frame in frames.items():
        frame.createOrReplaceTempView(views[name])
    result: DataFrame | None = None
    try:
        for step in steps:
            sql = step.sql.format(**views)
            try:
                result = spark.sql(sql, args=dict(step.args or {}))
                if step.python:
                    result = result.withColumns({name: column.make() for name, column in step.python.items()})
            except Exception as error:
                raise StageError(f"SQL step {step.name} failed: {error}\n{sql}") from error
            views[step.name] = f"{step.name}_{suffix}"
            result.createOrReplaceTempView(views[step.name])
    finally:
        for view in views.values():
            spark.catalog.dropTempView(view)
    if result is None:
        raise StageError("no SQL step was given")
    return result
