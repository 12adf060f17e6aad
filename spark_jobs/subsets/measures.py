"""What a subset's predicate may name: the measured columns of the sample-level tables, one row per sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from schemas import MODEL_TABLES, TABLES
from spark_jobs.errors import ConfigError, StageError
from spark_jobs.pipeline import STAGES, run_first

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "text", "boolean", "list"]

# What the registry lets `curate` read, in its order; the first has a row for every sample.
MEASURE_TABLES = next(stage.reads for stage in STAGES if stage.name == "curate")


@dataclass(frozen=True)
class Worker:
    """How Python workers compute a measure from the value of its expression.

    Attributes:
        load: Gives the function, from one value per sample to one measure per sample.
        version: Names what it computes with; another one gives other members.
    """

    load: Callable[[], Callable[[pd.Series], pd.Series]]
    version: str


@dataclass(frozen=True, order=True)
class Measure:
    """One column that predicates may name.

    Attributes:
        table: Table it is read from.
        name: Its name in predicates.
        kind: What it can be compared with.
        sql: Expression over the table's columns.
        meaning: One sentence.
        worker: What makes the measure of the expression's value; None: it is the measure.
        model: CLIP model whose score is meant, of tables that hold several; empty: the one that curation reads.
    """

    table: str
    name: str
    kind: Kind
    sql: str
    meaning: str = ""
    worker: Worker | None = field(default=None, compare=False)
    model: str = ""

    @property
    def full_name(self) -> str:
        """`table.name`, and `[model]` where one is named."""
        return f"{self.table}.{self.name}" + (f"[{self.model}]" if self.model else "")

    @property
    def column(self) -> str:
        """Its column in the frame of measures: of each table one model is read."""
        return f"{self.table}__{self.name}"


def models_of_tables(wanted: Iterable[Measure], default: str | None) -> dict[str, str]:
    """The CLIP model to read, by table that may hold several; absent where none is named.

    Args:
        wanted: The measures.
        default: The model of measures that name none; None: whichever was scored last.

    Raises:
        ConfigError: If measures of one table name different models.
    """
    found: dict[str, set[str]] = {}
    for measure in wanted:
        if TABLES[measure.table] in MODEL_TABLES:
            found.setdefault(measure.table, set()).update({measure.model or default or ""} - {""})
    several = {table: sorted(models) for table, models in found.items() if len(models) > 1}
    if several:
        table, models = next(iter(several.items()))
        raise ConfigError(f"a subset reads one model of each table, found {' and '.join(models)} of {table}")
    return {table: next(iter(models)) for table, models in found.items() if models}


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


def _language() -> Callable[[pd.Series], pd.Series]:
    from udfs.language import identify

    return identify


# DataComp counts words by Python's str.split, whose whitespace this is; T-MARS masks text where there is some, and
# takes the other images as they are.
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
        Worker(_language, "langid.py, py3langid 0.2"),
    ),
    Measure(
        "caption_overlap",
        "trainable",
        "boolean",
        "status = 'ok' AND coalesce(cotr_reason <> 'no_words', true)",
        "Whether the image was read and the caption has a word",
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
    spec = TABLES[table]
    fields = [*spec.result_fields(), *(one for one in spec.schema.fields if one.name == "status")]
    found = []
    for column in fields:
        typed = _typed(column.name, column.dataType.simpleString())
        if typed is not None:
            kind, sql = typed
            found.append(Measure(table, column.name, kind, sql, str(column.metadata["comment"])))
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
            + _trainable_hint(lacking, by_table)
            + f"\nDatasets in the warehouse: {', '.join(known) or 'none'}"
        )
    return {table: current[dataset, table] for table in MEASURE_TABLES if table in by_table}


def _trainable_hint(lacking: Iterable[str], by_table: Mapping[str, list[str]]) -> str:
    """What to do about samples that are not there to be read, such as a list of URLs."""
    if "caption_overlap" not in lacking or by_table["caption_overlap"] != ["trainable"]:
        return ""
    return (
        "\nA subset of your own that is not for training needs none: say trainable: false in its definition."
    )
