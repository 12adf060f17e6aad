"""Run named SQL steps one after the other; a failing step is reported by its name and its SQL."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_jobs.errors import StageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Step:
    """One statement.

    Attributes:
        name: What a row of its result is; later steps read it as `{name}`.
        sql: The statement; tables in braces, values as `:name` markers.
        args: The markers' values.
    """

    name: str
    sql: str
    args: Mapping[str, Any] | None = None


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
