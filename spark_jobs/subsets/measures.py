"""What a subset's predicate may name: the measured columns of the sample-level tables, one row per sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from spark_jobs.errors import StageError
from spark_jobs.pipeline import STAGES, run_first
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_jobs.warehouse.tables import Tables

Kind = Literal["number", "text", "boolean", "list"]
KEY = ("shard_id", "sample_id")

# What the registry lets `curate` read, in its order; the first has a row for every sample.
MEASURE_TABLES = next(stage.reads for stage in STAGES if stage.name == "curate")


@dataclass(frozen=True, order=True)
class Measure:
    """One column that predicates may name.

    Attributes:
        table: Table it is read from.
        name: Its name in predicates.
        kind: What it can be compared with.
        sql: Expression over the table's columns.
        meaning: One sentence.
    """

    table: str
    name: str
    kind: Kind
    sql: str
    meaning: str = ""

    @property
    def full_name(self) -> str:
        """`table.name`."""
        return f"{self.table}.{self.name}"

    @property
    def column(self) -> str:
        """Its column in the frame of measures."""
        return f"{self.table}__{self.name}"


def _without_nan(number: str) -> str:
    return f"nanvl({number}, CAST(NULL AS DOUBLE))"


def _decimal(number: str) -> str:
    """A 32-bit float as the double that a person reads: the float nearest to 0.3 is 0.3, not 0.300000012.

    Otherwise `clip_score > 0.3` would keep a score of 0.3, and `>= 0.7` would drop one of 0.7. Exact to six decimals
    for numbers up to 8; floats that no such decimal is nearest to are taken as they are.
    """
    wide = f"CAST({number} AS DOUBLE)"
    decimal = f"rint({wide} * 1000000D) / 1000000D"
    return f"IF(CAST({decimal} AS FLOAT) = {number}, {decimal}, {wide})"


# DataComp counts words by Python's str.split, whose whitespace this is; DiHT looks at the confidence of what was
# read; T-MARS masks text where there is some, and takes the other images as they are.
_DERIVED = (
    Measure(
        "samples",
        "caption_word_count",
        "number",
        r"array_size(filter(split(caption, '(?U)[\\s\\x1c-\\x1f]+'), word -> word <> ''))",
        "Whitespace words of the caption; null without a caption",
    ),
    Measure(
        "samples",
        "language",
        "text",
        "caption",
        "Language of the caption, ISO 639-1, by langid.py's model; null where it has no letter",
    ),
    Measure(
        "spotted_text",
        "spotting_confidence",
        "number",
        "CASE WHEN array_size(lines) > 0 THEN "
        "round(aggregate(lines, 0D, (total, line) -> total + line.confidence) / array_size(lines), 6) END",
        "Mean confidence of the readings, 0 to 1, to six decimals; null without text",
    ),
    Measure(
        "text_removal_scores",
        "score_masked",
        "number",
        _without_nan(_decimal("coalesce(score_all_removed, score_raw)")),
        "CLIP score with all spotted text filled in, -1 to 1; the raw score where no text was spotted",
    ),
)


@lru_cache(maxsize=1)
def measures() -> dict[str, Measure]:
    """Every measure by its full name, in the order of the tables."""
    found: list[Measure] = []
    for table in MEASURE_TABLES:
        found += _of_table(table)
        found += [measure for measure in _DERIVED if measure.table == table]
    return {measure.full_name: measure for measure in found}


def _of_table(table: str) -> list[Measure]:
    from schemas import TABLES

    spec = TABLES[table]
    fields = [*spec.result_fields(), *(field for field in spec.schema.fields if field.name == "status")]
    found = []
    for field in fields:
        typed = _typed(field.name, field.dataType.simpleString())
        if typed is not None:
            kind, sql = typed
            found.append(Measure(table, field.name, kind, sql, str(field.metadata["comment"])))
    return found


def _typed(name: str, data_type: str) -> tuple[Kind, str] | None:
    """Kind and expression of a column; None for vectors and structs, which no predicate can use.

    NaN becomes null, because to Spark it is greater than every threshold; integers become 64-bit, because
    overflow ends a query.
    """
    if data_type == "float":
        return "number", _without_nan(_decimal(name))
    if data_type == "double":
        return "number", _without_nan(name)
    if data_type in ("int", "bigint"):
        return "number", f"CAST({name} AS BIGINT)"
    kinds: dict[str, Kind] = {"string": "text", "boolean": "boolean", "array<string>": "list"}
    return (kinds[data_type], name) if data_type in kinds else None


def upstream_of_measures(
    current: Mapping[tuple[str, str], str], dataset: str, wanted: Iterable[Measure], *, subset_id: str
) -> dict[str, str]:
    """The current run key of each table that the measures come from, and of `samples`.

    Raises:
        StageError: If the dataset lacks a table; names the measures and the stage to run.
    """
    by_table: dict[str, list[str]] = {MEASURE_TABLES[0]: []}
    for measure in sorted(wanted):
        by_table.setdefault(measure.table, []).append(measure.name)
    lacking = [table for table in by_table if (dataset, table) not in current]
    if lacking:
        faults = [
            f"{', '.join(by_table[table]) or 'every subset'} (table {table}): {run_first(table)}"
            for table in lacking
        ]
        known = sorted({name for name, table in current if table == MEASURE_TABLES[0]})
        raise StageError(
            f"subset {subset_id} needs what dataset {dataset} does not have yet:\n  - "
            + "\n  - ".join(faults)
            + f"\nDatasets in the warehouse: {', '.join(known) or 'none'}"
        )
    return {table: current[dataset, table] for table in MEASURE_TABLES if table in by_table}


def is_costly(upstream: Mapping[str, str], wanted: Iterable[Measure]) -> bool:
    """Whether the frame of measures costs more to make twice than to keep: joins, Python workers."""
    return len(upstream) > 1 or any(measure.full_name in _BY_WORKERS for measure in wanted)


def measures_frame(
    tables: Tables, dataset: str, upstream: Mapping[str, str], wanted: Iterable[Measure]
) -> DataFrame:
    """One row per sample: the key, and a column for each measure wanted. Reads only the tables of `upstream`.

    A sample without a row in a table has nulls there.
    """
    frame: DataFrame | None = None
    for table, run_key in upstream.items():
        own = [measure for measure in sorted(set(wanted)) if measure.table == table]
        rows = _of_one_model(tables, dataset, table, run_key=run_key)
        rows = rows.selectExpr(*KEY, *(f"{measure.sql} AS {measure.column}" for measure in own))
        for measure in own:
            if measure.full_name in _BY_WORKERS:
                rows = _BY_WORKERS[measure.full_name](rows, measure.column)
        frame = rows if frame is None else frame.join(rows, list(KEY), "left")
    assert frame is not None, "samples are always read"
    return frame


def _of_one_model(tables: Tables, dataset: str, table: str, *, run_key: str) -> DataFrame:
    """A table's rows; of those that hold several models side by side, the model of `clip_embeddings`.

    Raises:
        StageError: If there are several models and none is that of `clip_embeddings`.
    """
    from schemas import TABLES

    rows = tables.read(TABLES[table], dataset=dataset, run_key=run_key)
    if "model" not in TABLES[table].key:
        return rows
    models = _models(rows)
    if len(models) < 2:
        return rows
    embedded = current_run_keys(tables).get((dataset, "clip_embeddings"))
    own = tables.read(TABLES["clip_embeddings"], dataset=dataset, run_key=embedded)
    shared = [model for model in models if embedded is not None and model in _models(own)]
    if not shared:
        raise StageError(
            f"table {table} of dataset {dataset} holds several models ({', '.join(models)}), and none is that of "
            "clip_embeddings: run `parrot run embed` with the one that the subset is meant for"
        )
    return rows.where(rows["model"] == shared[0])


def _models(rows: DataFrame) -> list[str]:
    return sorted(row["model"] for row in rows.select("model").distinct().collect())


def _with_language(frame: DataFrame, column: str) -> DataFrame:
    from pyspark.sql import functions as F

    from udfs.language import identify

    return frame.withColumn(column, F.pandas_udf(identify, "string")(F.col(column)))  # type: ignore[attr-defined]


# Measures that Python workers compute from the expression's value.
_BY_WORKERS: Mapping[str, Callable[[DataFrame, str], DataFrame]] = {"samples.language": _with_language}
