"""`parrot compare-spotters`: how far two spotters agree on what stands in a dataset's images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schemas import samples, spotted_text
from schemas._table import KEY_COLUMNS
from spark_jobs import tracking
from spark_jobs.commands.json_output import print_json
from spark_jobs.errors import ConfigError, StageError
from spark_jobs.pipeline import run_first
from spark_jobs.runner.model_run_keys import run_keys_by_model
from spark_jobs.runner.progress import output_console
from spark_jobs.sql.spotter_agreement import IMAGE_TYPES, spotter_agreement_steps, type_count
from spark_jobs.sql.steps import run_steps
from spark_jobs.stages import overlap
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig

_MEASURES = (
    ("word_f1", "word F1, lower-cased words as sets"),
    ("text_or_none_agrees", "text or none agrees"),
    ("image_type_agrees", "image type agrees"),
    ("cotr_difference", "CoTR, mean difference (one - other)"),
)


def check_names(one: str, other: str) -> None:
    """Check what can be checked before Spark starts.

    Raises:
        ConfigError: If both are the same spotter.
    """
    if one == other:
        raise ConfigError(f"expected two spotters, found {one} twice: name another one to compare it with")


def compare_spotters(
    spark: SparkSession, config: RunConfig, names: tuple[str, str], *, as_json: bool
) -> dict[str, Any]:
    """Compare the readings of two spotters over the images that both have read.

    Image types and CoTR are computed from the readings as stage `overlap` computes them, by the settings at hand, so
    neither spotter's overlap needs to have been run.

    Args:
        spark: The session.
        config: Names warehouse and dataset; its section `overlap` says which words count.
        names: The spotters, as configured (`easyocr`) or as `spotted_text` names them (`easyocr/en`).
        as_json: Whether to print JSON.

    Returns:
        What is printed as JSON.

    Raises:
        ConfigError: If both names mean the same spotter, or one means several.
        StageError: If a spotter has no readings, or no image was read by both.
    """
    dataset, tables = config.dataset_name, Tables(spark, config.warehouse)
    current = current_run_keys(tables)
    found = run_keys_by_model(tables, spotted_text.TABLE, dataset, current=current, column="spotter")
    spotters = [_chosen(name, list(found), dataset) for name in names]
    check_names(*spotters)
    described = current.get((dataset, samples.TABLE.name))
    if described is None:
        raise StageError(f"dataset {dataset} has no table samples: {run_first(samples.TABLE.name)}")
    captions = tables.read(samples.TABLE, dataset=dataset, run_key=described).select(*KEY_COLUMNS, "caption")
    run_keys = [found[spotter][-1] for spotter in spotters]
    frames = {
        side: _measured(
            captions,
            tables.read(spotted_text.TABLE, dataset=dataset, run_key=run_key).where("status = 'ok'"),
            config,
        )
        for side, run_key in zip(("one", "other"), run_keys, strict=True)
    }
    row = run_steps(spark, spotter_agreement_steps(), frames).collect()[0].asDict()
    if not row["images"]:
        raise StageError(_none_in_common(dataset, spotters))
    told = _told(row, dataset, zip(spotters, run_keys, strict=True))
    parameters = {"dataset": dataset, "one": spotters[0], "other": spotters[1]}
    with tracking.parent_run(config, "compare-spotters", parameters):
        tracking.metrics({name: float(row[name]) for name, _ in _MEASURES if row[name] is not None})
    if as_json:
        print_json(told)
    else:
        _print(told)
    return told


def _chosen(name: str, found: Sequence[str], dataset: str) -> str:
    """The spotter in the table that a name means: the whole name, or what stands before the languages."""
    meant = [name] if name in found else [known for known in found if known.partition("/")[0] == name]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise ConfigError(
            f"{name} has readings of dataset {dataset} in several languages: name one of {', '.join(meant)}"
        )
    raise StageError(
        f"expected readings of {name} for dataset {dataset}, found those of {', '.join(found) or 'no spotter'}. "
        f"Make them, beside what is there:\n{_command(name, dataset)}"
    )


def _command(name: str, dataset: str) -> str:
    """What makes a spotter's readings, in its languages where the name says them."""
    spotter, _, languages = name.partition("/")
    chosen = f" --set 'spot_text.languages=[{languages.replace('+', ', ')}]'" if languages else ""
    return (
        f"parrot run spot_text --dataset {dataset} --warehouse ... --set spot_text.spotter={spotter}{chosen}"
    )


def _measured(captions: DataFrame, readings: DataFrame, config: RunConfig) -> DataFrame:
    """Key, texts, image type and CoTR of each image that was read, as stage `overlap` has them."""
    from pyspark.sql import functions as F

    columns = overlap.INPUTS[1].columns.items()
    read = readings.select(*KEY_COLUMNS, *(F.col(column).alias(name) for name, column in columns))
    measured = overlap.work(config).compute(captions.join(read, list(KEY_COLUMNS)))
    texts = readings.select(*KEY_COLUMNS, F.expr("transform(lines, line -> line.text)").alias("texts"))
    return texts.join(measured.select(*KEY_COLUMNS, "image_type", "cotr"), list(KEY_COLUMNS))


def _none_in_common(dataset: str, spotters: Sequence[str]) -> str:
    commands = "\n".join(_command(spotter, dataset) for spotter in spotters)
    return (
        f"expected images of dataset {dataset} that both {spotters[0]} and {spotters[1]} have read, found none. "
        f"Let both read the same shards:\n{commands}"
    )


def _told(row: Mapping[str, Any], dataset: str, sides: Any) -> dict[str, Any]:
    """The numbers, with the image types as a table: rows are types of one, columns of the other."""
    of_types = {type_count(one, other) for one in IMAGE_TYPES for other in IMAGE_TYPES}
    spotters = {
        side: {"spotter": spotter, "run_key": run_key}
        for side, (spotter, run_key) in zip(("one", "other"), sides, strict=True)
    }
    table = {one: {other: row[type_count(one, other)] for other in IMAGE_TYPES} for one in IMAGE_TYPES}
    numbers = {name: value for name, value in row.items() if name not in of_types}
    return {"dataset": dataset, **spotters, **numbers, "image_types": table}


def _print(told: Mapping[str, Any]) -> None:
    from rich.table import Table

    one, other = told["one"]["spotter"], told["other"]["spotter"]
    measures = Table(title=f"{one} (one) beside {other} (other), dataset {told['dataset']}")
    measures.add_column("measure")
    measures.add_column("value")
    measures.add_column("95 % interval")
    measures.add_row("images that both have read", f"{told['images']:,}", "")
    for side in ("one", "other"):
        if alone := told[f"images_of_{side}_only"]:
            measures.add_row(f"left out: read by {told[side]['spotter']} alone", f"{alone:,}", "")
    measures.add_row("of them with a word of either", f"{told['images_with_words']:,}", "")
    for side in ("one", "other"):
        of_side = f"mean CoTR of {told[side]['spotter']}, {told['images_with_cotr']:,} images"
        measures.add_row(of_side, _number(told[f"cotr_{side}"]), "")
    for name, label in _MEASURES:
        low, high = told[f"{name}_low"], told[f"{name}_high"]
        measures.add_row(label, _number(told[name]), "" if low is None else f"{low:.4f} to {high:.4f}")
    types = Table(title="images by type")
    types.add_column(f"{one} | {other}")
    for heading in IMAGE_TYPES:
        types.add_column(heading, justify="right")
    for kind, counts in told["image_types"].items():
        types.add_row(kind, *(f"{counts[heading]:,}" for heading in IMAGE_TYPES))
    console = output_console()
    console.print(measures)
    console.print(types)


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:.4f}"
