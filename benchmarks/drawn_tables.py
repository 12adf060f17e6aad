"""Tables of rows that SQL draws, marked as finished: what benchmarks of stages over many rows read."""

from __future__ import annotations

from collections.abc import Mapping

from schemas._table import TableSpec
from spark_jobs.runner.run_log import RunLog
from spark_jobs.warehouse.tables import Tables

DATASET = "bench"
_ROWS_PER_FILE = 500_000


def drawn_key(rows_per_shard: int) -> dict[str, str]:
    """SQL of the key and of the provenance of row `id`, by column."""
    return {
        "dataset": f"'{DATASET}'",
        "shard_id": f"lpad(CAST(id DIV {rows_per_shard} AS STRING), 5, '0')",
        "sample_id": "md5(CAST(id AS STRING))",
        "run_key": "'r'",
        "input_key": "'i'",
    }


def fill(tables: Tables, spec: TableSpec, columns: Mapping[str, str], *, rows: int, stage: str) -> None:
    """Write a table, and say that its stage has finished.

    Args:
        tables: The warehouse.
        spec: The table.
        columns: SQL over `id`, from 0, by column; the columns without one are null.
        rows: How many.
        stage: The stage that makes the table.
    """
    tables.create(spec)
    written = [
        f"{columns[field.name]} AS {field.name}"
        if field.name in columns
        else f"CAST(NULL AS {field.dataType.simpleString()}) AS {field.name}"
        for field in spec.schema.fields
    ]
    frame = tables.spark.range(rows, numPartitions=max(2, rows // _ROWS_PER_FILE)).selectExpr(*written)
    tables.replace(spec, frame, dataset=DATASET, run_key="r")
    log = RunLog(tables, spec, stage=stage, dataset=DATASET, run_key="r", params={})
    log.add("finished", seconds=0.0, shards=0, counts={})
