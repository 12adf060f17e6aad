"""What a Delta table is to this project: a name, a meaning, a schema, a key, a partitioning."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql.types import DataType, DoubleType, StringType, StructField, StructType


@dataclass(frozen=True)
class TableSpec:
    """One Delta table.

    Attributes:
        name: Table name, as `parrot sql` and the catalog know it.
        meaning: One sentence that completes "A row is ...".
        schema: Columns in order; every column carries a comment.
        key: Columns that identify a row.
        partition_by: Partition columns of the Delta table.
    """

    name: str
    meaning: str
    schema: StructType
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ("dataset", "run_key")

    @property
    def columns(self) -> list[str]:
        """Column names in schema order."""
        return self.schema.names

    @property
    def has_run_key(self) -> bool:
        """Whether results of several run keys live side by side in this table."""
        return "run_key" in self.partition_by

    def result_fields(self) -> list[StructField]:
        """The columns that a sample-level stage measures: all but key, status and provenance."""
        own = {*KEY_NAMES, *PROVENANCE_NAMES, "status", "error"}
        return [field for field in self.schema.fields if field.name not in own]

    def worker_schema(self) -> StructType:
        """What a worker makes of a sample: its key in the dataset, the measures, status and error."""
        fields = {field.name: field for field in self.schema.fields}
        keys = [fields[name] for name in KEY_COLUMNS]
        return StructType([*keys, *self.result_fields(), fields["status"], fields["error"]])


def column(name: str, data_type: DataType, comment: str, *, nullable: bool = True) -> StructField:
    """A column with its comment (unit, coordinate frame, meaning of null)."""
    return StructField(name, data_type, nullable, {"comment": comment})


SAMPLE_KEY = [
    column("dataset", StringType(), "Name the user gave the source", nullable=False),
    column("shard_id", StringType(), "Shard the sample came in, unique within the dataset", nullable=False),
    column(
        "sample_id",
        StringType(),
        "32 hex digits: hash of source-relative file, key and occurrence; the same at every ingest",
        nullable=False,
    ),
]
STATUS = [
    column(
        "status",
        StringType(),
        "ok; failed: this stage could not do it; skipped: upstream failed or not applicable",
        nullable=False,
    ),
    column("error", StringType(), "What went wrong where status is not ok, else null"),
]
PROVENANCE = [
    column(
        "run_key",
        StringType(),
        "Hash of what decides a row's value: parameters, weights, run keys of what was read",
        nullable=False,
    ),
    column("input_key", StringType(), "Hash of the input that the row was computed from", nullable=False),
]
KEY_NAMES = tuple(field.name for field in SAMPLE_KEY)
KEY_COLUMNS = KEY_NAMES[1:]
"""The key of a sample within its dataset: what rows of one dataset are joined on."""
PROVENANCE_NAMES = tuple(field.name for field in PROVENANCE)


def sample_table(
    name: str, meaning: str, measures: list[StructField], *, key: tuple[str, ...] = ()
) -> TableSpec:
    """A table with one row per sample, or per sample and `key`: key, measures, status, provenance."""
    return TableSpec(
        name=name,
        meaning=meaning,
        schema=StructType([*SAMPLE_KEY, *measures, *STATUS, *PROVENANCE]),
        key=("dataset", "sample_id", *key, "run_key"),
    )


def statistic_table(
    name: str, meaning: str, columns: list[StructField], *, key: tuple[str, ...] = ()
) -> TableSpec:
    """A table of published statistics, computed per dataset from whole tables."""
    return TableSpec(
        name=name,
        meaning=meaning,
        schema=StructType([SAMPLE_KEY[0], *columns, *PROVENANCE]),
        key=("dataset", *key, "run_key"),
    )


def interval(name: str) -> list[StructField]:
    """Columns `NAME_low` and `NAME_high`: the ends of the number's 95 % interval."""
    return [
        column(f"{name}_low", DoubleType(), f"Lower end of the 95 % interval of {name}; null without one"),
        column(f"{name}_high", DoubleType(), f"Upper end of the 95 % interval of {name}; null without one"),
    ]


def with_interval(name: str, comment: str) -> list[StructField]:
    """A number's column and those of its interval."""
    return [column(name, DoubleType(), comment), *interval(name)]
