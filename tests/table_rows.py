"""Rows of the tables, for tests: what a test does not say is null, and the provenance is that of any row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructField, StructType

from schemas._table import TableSpec
from spark_jobs.runner.run_log import RunLog
from spark_jobs.warehouse.tables import Tables

_COMMON = {"dataset": "test", "shard_id": "0", "status": "ok", "run_key": "r", "input_key": "i"}


def filled(spec: TableSpec, **values: Any) -> tuple[Any, ...]:
    """One row in the order of a table's columns.

    Args:
        spec: The table.
        **values: By column; a name that the table does not have is a fault of the test.
    """
    unknown = set(values) - set(spec.columns)
    assert not unknown, f"{spec.name} has no {unknown}"
    return tuple({**_COMMON, **values}.get(name) for name in spec.columns)


def frame_of(spark: SparkSession, spec: TableSpec, rows: Sequence[tuple[Any, ...]]) -> DataFrame:
    """Rows of `filled` as a frame. Every column may be null: a test fills only those that are read."""
    schema = StructType([StructField(field.name, field.dataType) for field in spec.schema])
    return spark.createDataFrame(list(rows), schema)


def put_rows(
    tables: Tables,
    spec: TableSpec,
    rows: Sequence[tuple[Any, ...]],
    *,
    stage: str = "made",
    params: Mapping[str, Any] | None = None,
    partitions: int | None = None,
) -> None:
    """Write rows of one dataset and run key, and log the stage as finished.

    Args:
        tables: The warehouse.
        spec: The table, made where it is missing.
        rows: Rows of `filled`, at least one.
        stage: Who is said to have written them.
        params: The stage's parameters in the log.
        partitions: Partitions to spread the rows over, in no order.
    """
    dataset, run_key = (rows[0][spec.columns.index(name)] for name in ("dataset", "run_key"))
    frame = frame_of(tables.spark, spec, rows)
    tables.create(spec)
    tables.replace(
        spec,
        frame.repartition(partitions) if partitions else frame,
        dataset=dataset,
        run_key=run_key,
    )
    log = RunLog(tables, spec, stage=stage, dataset=dataset, run_key=run_key, params=dict(params or {}))
    log.add("finished", seconds=0.0, shards=0, counts={})
