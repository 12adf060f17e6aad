"""The rows of an export: a subset's members with what the warehouse knows of them, dealt out to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from schemas import TABLES, images, samples
from schemas._table import KEY_COLUMNS
from schemas.images import REFERENCE_COLUMNS
from spark_jobs.errors import ExportError
from spark_jobs.export.base import IMAGE_FAULT
from spark_jobs.pipeline import run_first
from spark_jobs.subsets.build import members_of
from spark_jobs.subsets.measures import MEASURE_TABLES
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_jobs.warehouse.tables import Tables

FILE = "file"
_OF_IMAGES = {
    "image_format": "format",
    "image_width": "width",
    "image_height": "height",
    "image_sha256": "sha256",
}
_SCALARS = {"string", "int", "bigint", "float", "double", "boolean"}


@lru_cache(maxsize=1)
def measure_columns() -> dict[str, tuple[str, str]]:
    """Columns an export gives to scalar measures: table and column by name.

    A name that several tables have is written TABLE__NAME, whichever of the tables the warehouse has.
    """
    own = [
        (table, field.name)
        for table in MEASURE_TABLES[2:]
        if table in TABLES
        for field in TABLES[table].result_fields()
        if field.dataType.simpleString() in _SCALARS
    ]
    names = [name for _, name in own] + list(samples.TABLE.columns) + [*_OF_IMAGES, "score", "model"]
    return {name if names.count(name) == 1 else f"{table}__{name}": (table, name) for table, name in own}


@dataclass(frozen=True)
class Rows:
    """What to export.

    Attributes:
        frame: One row per member: `file` (int), key, columns of `samples`, image reference and measures.
        columns: Those that a reader is given, in order: not the reference, `file` and `image_fault`.
    """

    frame: DataFrame
    columns: tuple[str, ...]


def current_tables(
    tables: Tables, dataset: str, wanted: Sequence[str], *, required: Sequence[str]
) -> dict[str, str]:
    """Run keys of those of the wanted tables that the dataset has.

    Raises:
        ExportError: If a required one is not there; names the stage to run.
    """
    current = current_run_keys(tables)
    lacking = [table for table in required if (dataset, table) not in current]
    if lacking:
        raise ExportError(
            f"dataset {dataset} has no {lacking[0]} in {tables.warehouse}, which this format needs: "
            f"{run_first(lacking[0])}"
        )
    return {table: current[dataset, table] for table in wanted if (dataset, table) in current}


def export_rows(
    tables: Tables, dataset: str, *, subset_id: str, run_keys: Mapping[str, str], rows_per_file: int | None
) -> Rows:
    """Join a subset's stored members with what the given tables hold of them.

    Members are dealt out in the order of (shard, sample id), `rows_per_file` to each file: a file's images lie close
    together, and the members alone decide, not partitions and not the order of rows.

    Args:
        tables: The warehouse.
        dataset: The dataset.
        subset_id: A subset that is stored.
        run_keys: Tables to read, `samples` among them, with their run keys.
        rows_per_file: Samples per file; None: one file.
    """
    members = members_of(tables, dataset, subset_id).select(*KEY_COLUMNS)
    frame = _dealt(members, rows_per_file)
    frame, columns = _with_samples(tables, dataset, frame=frame, run_key=run_keys["samples"])
    if "images" in run_keys:
        frame = _with_images(tables, dataset, frame=frame, run_key=run_keys["images"])
        columns += list(_OF_IMAGES)
    for table, run_key in run_keys.items():
        own = {name: column for name, (of, column) in measure_columns().items() if of == table}
        if own:
            rows = tables.read(TABLES[table], dataset=dataset, run_key=run_key, whole=True)
            rows = rows.selectExpr(*KEY_COLUMNS, *(f"{column} AS {name}" for name, column in own.items()))
            frame = frame.join(rows, list(KEY_COLUMNS), "left")
            columns += list(own)
    return Rows(frame, ("dataset", *KEY_COLUMNS, *columns))


def _dealt(members: DataFrame, rows_per_file: int | None) -> DataFrame:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    if rows_per_file is None:
        return members.withColumn(FILE, F.lit(0))
    offsets, total = [], 0
    for row in sorted(members.groupBy("shard_id").count().collect()):
        offsets.append((row["shard_id"], total))
        total += row["count"]
    spark = members.sparkSession
    before = spark.createDataFrame(offsets, "shard_id string, before long")
    place = F.row_number().over(Window.partitionBy("shard_id").orderBy("sample_id"))
    return (
        members.withColumn("place", place)
        .join(F.broadcast(before), "shard_id")
        .withColumn(FILE, F.floor((F.col("before") + F.col("place") - 1) / rows_per_file).cast("int"))
        .drop("place", "before")
    )


def _with_samples(
    tables: Tables, dataset: str, *, frame: DataFrame, run_key: str
) -> tuple[DataFrame, list[str]]:
    from pyspark.sql import functions as F

    columns = [field.name for field in samples.TABLE.result_fields()]
    rows = tables.read(samples.TABLE, dataset=dataset, run_key=run_key).select(*KEY_COLUMNS, *columns)
    return frame.join(rows, list(KEY_COLUMNS), "left").withColumn("dataset", F.lit(dataset)), columns


def _with_images(tables: Tables, dataset: str, *, frame: DataFrame, run_key: str) -> DataFrame:
    """Join the image references; `image_fault` says why there is none."""
    rows = tables.read(images.TABLE, dataset=dataset, run_key=run_key)
    rows = rows.selectExpr(
        *KEY_COLUMNS,
        *REFERENCE_COLUMNS,
        *(f"{column} AS {name}" for name, column in _OF_IMAGES.items()),
        "CASE WHEN status <> 'ok' THEN concat('image: ', coalesce(error, status)) "
        f"WHEN image_uri IS NULL THEN 'image: no reference' ELSE '' END AS {IMAGE_FAULT}",
    )
    joined = frame.join(rows, list(KEY_COLUMNS), "left")
    return joined.na.fill("image: not in table images (not downloaded yet)", [IMAGE_FAULT])
