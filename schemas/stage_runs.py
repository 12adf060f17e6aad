"""Table `stage_runs`: the log of what ran. Never read to decide what to resume."""

from pyspark.sql.types import (
    DoubleType,
    LongType,
    MapType,
    StringType,
    StructType,
    TimestampType,
)

from schemas._table import TableSpec, column

TABLE = TableSpec(
    name="stage_runs",
    meaning="one chunk of one stage, or the end of a stage",
    schema=StructType(
        [
            column("run_id", StringType(), "One `parrot run`", nullable=False),
            column("stage", StringType(), "Stage name", nullable=False),
            column("dataset", StringType(), "Dataset worked on", nullable=False),
            column("table_name", StringType(), "Table written", nullable=False),
            column("run_key", StringType(), "Run key written", nullable=False),
            column("event", StringType(), "chunk, finished or failed", nullable=False),
            column("started_at", TimestampType(), "Start, UTC", nullable=False),
            column("seconds", DoubleType(), "Wall time", nullable=False),
            column("shards", LongType(), "Shards in the chunk, or in the stage", nullable=False),
            column("rows_out", LongType(), "Rows written, of any status", nullable=False),
            column("rows_failed", LongType(), "Rows with status failed", nullable=False),
            column("rows_skipped", LongType(), "Rows with status skipped", nullable=False),
            column(
                "phase_seconds",
                MapType(StringType(), DoubleType(), valueContainsNull=False),
                "Worker seconds by phase (read, decode or render, infer), summed over workers",
                nullable=False,
            ),
            column("table_version", LongType(), "Delta version written; null where none was"),
            column(
                "results",
                MapType(StringType(), DoubleType(), valueContainsNull=False),
                "Numbers of a finished statistic, by row and column, as they were then; null where none are kept",
            ),
            column("params", StringType(), "What decided the rows, JSON", nullable=False),
            column("parrot_version", StringType(), "Version of the code", nullable=False),
            column("mlflow_run_id", StringType(), "MLflow run of the stage, where tracked"),
        ]
    ),
    key=("run_id", "stage", "dataset", "table_name", "event", "started_at"),
    partition_by=(),
)
