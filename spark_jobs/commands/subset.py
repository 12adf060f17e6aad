"""`parrot curate` and `parrot subset list | show | diff`: build named subsets, and look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.table import Table

from schemas import TABLES, subset_members, subsets
from schemas._table import KEY_COLUMNS
from spark_jobs.commands.json_output import print_json
from spark_jobs.errors import ConfigError, StageError
from spark_jobs.pipeline import maker_of
from spark_jobs.runner.progress import output_console
from spark_jobs.sql.intervals import mean
from spark_jobs.subsets.build import members_of
from spark_jobs.subsets.definition import SubsetDefinition, known_definitions
from spark_jobs.subsets.measures import MEASURE_TABLES
from spark_jobs.subsets.selection import Selection
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from udfs.names import did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig

_CLUSTERS_SHOWN = 5
_WORDS = (
    "unmeasured: removed because a measure is missing; removed alone: what the condition would remove from all "
    "samples by itself"
)


def curate_options(values: Mapping[str, Any], definitions: Path | None) -> dict[str, Any]:
    """The section `curate` from a command's options; None is not given.

    Args:
        values: Settings by name.
        definitions: YAML file with a list of definitions.

    Raises:
        ConfigError: If the file is missing, or holds no list.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if definitions is not None:
        given["subsets"] = _read_definitions(definitions)
    return given


def _read_definitions(path: Path) -> list[Any]:
    if not path.is_file():
        raise ConfigError(f"no file of subset definitions at {path}")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(found, list):
        raise ConfigError(f"{path} must hold a list of definitions, found {type(found).__name__}")
    return found


def print_list(spark: SparkSession, config: RunConfig, *, as_json: bool = False) -> None:
    """Print what has been built, and every definition of which nothing has been."""
    rows = _stored(Tables(spark, config.warehouse), config.dataset)
    built = {row["definition"] for row in rows}
    defined = [one for one in known_definitions(config.curate).values() if one.id not in built]
    if as_json:
        not_built = [{"subset_id": one.id, "sentence": one.sentence} for one in defined]
        print_json({"built": rows, "not_built": not_built})
        return
    console = output_console()
    if rows:
        datasets = {row["dataset"] for row in rows}
        # A narrow terminal has no room for a column that says the same in each line.
        named = ["built", "dataset"] if len(datasets) > 1 else [f"built of {datasets.pop()}"]
        shown = _table(*named, samples="right", share="right", content="left")
        for row in rows:
            share = f"{row['members'] / row['samples']:.1%}" if row["samples"] else ""
            names = (row["subset_id"], row["dataset"])[: len(named)]
            shown.add_row(*names, f"{row['members']:,}", share, row["content_hash"])
        console.print(shown)
    shown = _table("not built", "what it is")
    for definition in defined:
        shown.add_row(definition.id, definition.sentence)
    if shown.row_count:
        console.print(shown)
        console.print("`parrot curate SUBSET` builds one, `parrot subset show SUBSET` tells more of it")


def print_subset(spark: SparkSession, config: RunConfig, subset_id: str, *, as_json: bool = False) -> None:
    """Print what a subset is, what it was drawn from, and what its conditions removed.

    Raises:
        StageError: If it is neither built nor defined.
    """
    rows = [
        row
        for row in _stored(Tables(spark, config.warehouse), config.dataset)
        if row["subset_id"] == subset_id
    ]
    known = known_definitions(config.curate)
    if not rows and subset_id not in known:
        raise _unknown(Tables(spark, config.warehouse), config, subset_id)
    if as_json:
        defined = known.get(subset_id)
        definition = defined.model_dump(mode="json") if defined and not rows else None
        print_json({"subset_id": subset_id, "built": rows, "definition": definition})
        return
    console = output_console()
    for row in rows:
        console.print(_facts(row))
        console.print(attrition_table(row))
        console.print(_WORDS)
    if not rows:
        console.print(_definition_facts(known[subset_id]))
        of = f" of {config.dataset}" if config.dataset else ""
        console.print(f"not built{of}: `parrot curate {subset_id}` builds it")


def attrition_table(row: Mapping[str, Any]) -> Table:
    """What the conditions of a stored subset removed, for a terminal."""
    numbers = dict.fromkeys(("removed", "unmeasured", "left", "removed alone"), "right")
    shown = _table("condition", **numbers)
    shown.add_row("all samples", "", "", f"{row['samples']:,}", "")
    for entry in row["attrition"]:
        values = (entry[name] for name in ("removed", "unmeasured", "left", "removed_alone"))
        shown.add_row(entry["condition"], *("" if value is None else f"{value:,}" for value in values))
    return shown


def _table(*names: str, **justified: Any) -> Table:
    """A table whose cells are folded where the terminal is narrow, never cut."""
    shown = Table()
    for name in names:
        shown.add_column(name, overflow="fold")
    for name, side in justified.items():
        shown.add_column(name, justify=side, no_wrap=True)
    return shown


@dataclass(frozen=True)
class Difference:
    """Two subsets side by side.

    Attributes:
        both: Samples in both.
        only_first: Samples in the first alone.
        only_second: Samples in the second alone.
        rows: What is compared, and its value for each subset, as text.
    """

    both: int
    only_first: int
    only_second: int
    rows: tuple[tuple[str, str, str], ...]

    @property
    def overlap(self) -> float:
        """Samples in both over samples in either (Jaccard), 0 to 1; 1 for two empty subsets."""
        either = self.both + self.only_first + self.only_second
        return self.both / either if either else 1.0


def compare(tables: Tables, dataset: str, *, first: str, second: str) -> Difference:
    """Compare two subsets of a dataset: overlap, image types, clusters, CoTR, CLIP score.

    What the dataset has not been measured for is left out.
    """
    members = members_of(tables, dataset, first).selectExpr(*KEY_COLUMNS, "true AS in_first")
    others = members_of(tables, dataset, second).selectExpr(*KEY_COLUMNS, "true AS in_second")
    frame = members.join(others, list(KEY_COLUMNS), "full").na.fill(False, ["in_first", "in_second"])
    frame = _with_measures(tables, dataset, frame).persist()
    try:
        counted = frame.groupBy("in_first", "in_second").count().collect()
        sides = {(row["in_first"], row["in_second"]): row["count"] for row in counted}
        rows = (*_type_rows(frame), *_mean_rows(frame), *_cluster_rows(frame))
    finally:
        frame.unpersist()
    return Difference(
        both=sides.get((True, True), 0),
        only_first=sides.get((True, False), 0),
        only_second=sides.get((False, True), 0),
        rows=rows,
    )


def print_diff(
    spark: SparkSession, config: RunConfig, *, first: str, second: str, as_json: bool = False
) -> None:
    """Print how two subsets of one dataset differ.

    Raises:
        StageError: If one is not built; names those that are.
    """
    tables = Tables(spark, config.warehouse)
    stored = _stored(tables, config.dataset_name)
    for name in (first, second):
        if name not in {row["subset_id"] for row in stored}:
            raise _unknown(tables, config, name)
    found = compare(tables, config.dataset_name, first=first, second=second)
    if as_json:
        measures = [{"measure": name, "first": one, "second": other} for name, one, other in found.rows]
        counts = {"both": found.both, "only_first": found.only_first, "only_second": found.only_second}
        print_json(
            {"first": first, "second": second, **counts, "overlap": found.overlap, "measures": measures}
        )
        return
    shown = Table("")
    for name in (first, second):
        shown.add_column(name, justify="right", overflow="fold")
    shown.add_row("samples", f"{found.both + found.only_first:,}", f"{found.both + found.only_second:,}")
    shown.add_row("in this one alone", f"{found.only_first:,}", f"{found.only_second:,}", end_section=True)
    for row in found.rows:
        shown.add_row(*row)
    console = output_console()
    console.print(shown)
    either = found.both + found.only_first + found.only_second
    console.print(f"{found.both:,} samples in both: {found.overlap:.1%} of the {either:,} in either")
    if any(label.startswith("cluster ") for label, *_ in found.rows):
        console.print("Clusters: those whose shares differ most")


def _with_measures(tables: Tables, dataset: str, frame: DataFrame) -> DataFrame:
    """The measures that are compared; null columns where the dataset has none."""
    from pyspark.sql import functions as F

    current = current_run_keys(tables)
    for table, columns in (
        ("caption_overlap", {"image_type": "string", "cotr": "double"}),
        ("clip_embeddings", {"clip_score": "double"}),
        ("cluster_assignments", {"cluster": "int"}),
    ):
        if (dataset, table) in current:
            rows = tables.read(TABLES[table], dataset=dataset, run_key=current[dataset, table])
            values = [F.col(name).cast(kind).alias(name) for name, kind in columns.items()]
            frame = frame.join(rows.select(*KEY_COLUMNS, *values), list(KEY_COLUMNS), "left")
        else:
            frame = frame.select("*", *(F.lit(None).cast(kind).alias(name) for name, kind in columns.items()))
    return frame


def _type_rows(frame: DataFrame) -> list[tuple[str, str, str]]:
    """Share of each image type among a subset's samples that have one."""
    rows = frame.where("image_type IS NOT NULL").groupBy("image_type").agg(*_sides()).collect()
    return _share_rows(
        "image type ", sorted(rows, key=lambda row: row["image_type"]), column="image_type", rows=rows
    )


def _cluster_rows(frame: DataFrame) -> list[tuple[str, str, str]]:
    """The clusters whose shares differ most."""
    rows = frame.where("cluster IS NOT NULL").groupBy("cluster").agg(*_sides()).collect()
    totals = [max(1, sum(row[side] for row in rows)) for side in ("first", "second")]

    def difference(row: Any) -> tuple[float, int]:
        return -abs(row["first"] / totals[0] - row["second"] / totals[1]), row["cluster"]

    return _share_rows(
        "cluster ", sorted(rows, key=difference)[:_CLUSTERS_SHOWN], column="cluster", rows=rows
    )


def _sides() -> tuple[Any, Any]:
    from pyspark.sql import functions as F

    return F.count_if("in_first").alias("first"), F.count_if("in_second").alias("second")


def _share_rows(
    label: str, shown: Sequence[Any], *, column: str, rows: Sequence[Any]
) -> list[tuple[str, str, str]]:
    totals = {side: max(1, sum(row[side] for row in rows)) for side in ("first", "second")}
    return [
        (
            f"{label}{row[column]}",
            *(f"{row[side] / totals[side]:.1%}" for side in ("first", "second")),  # type: ignore[misc]
        )
        for row in shown
    ]


def _mean_rows(frame: DataFrame) -> list[tuple[str, str, str]]:
    names = {"cotr": "mean CoTR", "clip_score": "mean CLIP score"}
    sides = ("in_first", "in_second")
    values = [f"{mean(f'IF({side}, {name}, NULL)')} AS {name}_{side}" for name in names for side in sides]
    row = frame.selectExpr(*values).collect()[0]
    rows = [(label, *(row[f"{name}_{side}"] for side in sides)) for name, label in names.items()]
    return [
        (label, *("not measured" if value is None else f"{value:.3f}" for value in found))
        for label, *found in rows
        if any(value is not None for value in found)
    ]


def _stored(tables: Tables, dataset: str | None) -> list[dict[str, Any]]:
    if not tables.exists(subsets.TABLE) or not tables.exists(subset_members.TABLE):
        return []
    rows = tables.read(subsets.TABLE, dataset=dataset).collect()
    return sorted(
        (row.asDict(recursive=True) for row in rows), key=lambda row: (row["dataset"], row["subset_id"])
    )


def _unknown(tables: Tables, config: RunConfig, subset_id: str) -> StageError:
    """What is said of a subset that is not built: the closest name, and what is built."""
    rows = _stored(tables, None)
    own = [row["subset_id"] for row in rows if config.dataset in (None, row["dataset"])]
    defined = known_definitions(config.curate)
    others = [row["dataset"] for row in rows if row["subset_id"] == subset_id]
    if others:
        hint = f" It is built of {', '.join(others)}."
    elif subset_id in defined:
        hint = f" `parrot curate {subset_id}` builds it."
    else:
        hint = did_you_mean(subset_id, [*own, *defined]) or " `parrot curate` builds subsets."
    of = f" of dataset {config.dataset}" if config.dataset else ""
    built = ", ".join(own if config.dataset and own else _named(rows))
    return StageError(
        f"subset {subset_id}{of} is not built in {config.warehouse}.{hint} Built: {built or 'none'}"
    )


def _named(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{row['subset_id']} of {row['dataset']}" for row in rows]


def _facts(row: Mapping[str, Any]) -> Table:
    shown = _table("subset", f"{row['subset_id']} of {row['dataset']}")
    share = f" ({row['members'] / row['samples']:.1%})" if row["samples"] else ""
    facts = {
        "what it is": row["sentence"],
        "predicate": row["predicate"],
        "quantile rule": row["top"],
        "per cluster": row["stratum"],
        "size asked for": row["size"],
        "seed": row["seed"],
        "source": row["source"],
        "assumptions": "\n".join(row["assumptions"]),
        "samples": f"{row['members']:,} of {row['samples']:,}{share}; {row['qualifying']:,} qualify",
        "content hash": row["content_hash"],
        "drawn from": "\n".join(
            f"{read['table_name']} version {read['delta_version']}, run key {read['run_key']}"
            for read in row["tables_read"]
        ),
    }
    return _fill(shown, facts)


def _definition_facts(definition: SubsetDefinition) -> Table:
    shown = _table("subset", definition.id)
    selection = Selection(definition)
    needed = {measure.table for measure in selection.measures}
    facts = {
        "what it is": definition.sentence,
        "predicate": selection.predicate,
        "quantile rule": selection.top,
        "per cluster": selection.stratum,
        "size asked for": definition.size,
        "seed": definition.seed,
        "source": definition.source,
        "assumptions": "\n".join(definition.assumptions),
        "needs stages": ", ".join(maker_of(table) for table in MEASURE_TABLES if table in needed),
    }
    return _fill(shown, facts)


def _fill(shown: Table, facts: Mapping[str, Any]) -> Table:
    for name, value in facts.items():
        if value is not None and value != "":
            shown.add_row(name, str(value))
    return shown
