"""`parrot compare-models`: what the text does to the scores of several CLIP models, side by side."""

from __future__ import annotations

import csv
import json
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from spark_jobs import tracking
from spark_jobs.commands.model_measures import Measures, measures_by_model
from spark_jobs.errors import ConfigError, StageError
from spark_jobs.report.figures.model_comparison import model_plot
from spark_jobs.runner.progress import console, output_console
from spark_jobs.warehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig

_FORMATS = ("table", "csv", "json")
_NOT_IN_METRICS = re.compile(r"[^\w\-. :/]")


def check_options(style: str, output: Path) -> None:
    """Check format and plot file before Spark starts.

    Raises:
        ConfigError: If the format is not known, or the plot cannot go there.
    """
    if style not in _FORMATS:
        raise ConfigError(f"unknown format {style}; formats: {', '.join(_FORMATS)}")
    if output.suffix != ".svg":
        raise ConfigError(f"cannot draw {output}: the plot's file must end in .svg")
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"cannot draw {output}: the folder {output.resolve().parent} does not exist")


def compare_models(spark: SparkSession, config: RunConfig, *, style: str, output: Path) -> None:
    """Compare the models that have scored a dataset: one table, one plot, one MLflow run.

    Args:
        spark: The session.
        config: Names warehouse and dataset.
        style: `table` (a row per measure), `csv` or `json` (a row per model), for standard output.
        output: The plot's file, SVG.

    Raises:
        StageError: If fewer than two models have scores.
    """
    dataset = config.dataset_name
    found, left_out = measures_by_model(spark, Tables(spark, config.warehouse), dataset)
    for name, models in left_out.items():
        console.print(
            f"left out of {name}: {', '.join(models)}. Those scores are of another fill, overlap, vocabulary or font "
            "than the ones that the table shows; score all models in one run to compare them",
            markup=False,
            soft_wrap=True,
        )
    if len(found) < 2:
        raise StageError(_too_few(dataset, list(found)))
    names = list(dict.fromkeys(name for measures in found.values() for name in measures))
    with tracking.parent_run(config, "compare-models", {"dataset": dataset, "models": ", ".join(found)}):
        output.write_text(model_plot(found, dataset), encoding="utf-8")
        tracking.metrics(_metrics(found))
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "models.csv"
            with table.open("w", encoding="utf-8", newline="") as file:
                _write_csv(found, names, file)
            tracking.artifact(str(table))
        tracking.artifact(str(output))
    _print(found, names, style=style)
    console.print(f"plot: {output}", markup=False)


def _too_few(dataset: str, models: list[str]) -> str:
    known = ", ".join(models)
    first = models[0] if models else "ViT-B-32/laion2b_s34b_b79k"
    return (
        f"expected scores of two models or more for dataset {dataset}, found {len(models)}"
        f"{f' ({known})' if known else ''}. Score several at once, for example:\n"
        f"parrot run remove_text --dataset {dataset} --warehouse ... "
        f"--set 'remove_text.models=[{first}, ViT-B-32/openai]'"
    )


def _metrics(found: Mapping[str, Measures]) -> dict[str, float]:
    return {
        _NOT_IN_METRICS.sub("_", f"{model}/{name}"): float(value)
        for model, measures in found.items()
        for name, value in measures.items()
        if value is not None
    }


def _print(found: Mapping[str, Measures], names: list[str], *, style: str) -> None:
    if style == "csv":
        _write_csv(found, names, sys.stdout)
    elif style == "json":
        for model, measures in found.items():
            row = {"model": model, **{name: measures.get(name) for name in names}}
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    else:
        _print_table(found, names)


def _write_csv(found: Mapping[str, Measures], names: list[str], file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["model", *names])
    for model, measures in found.items():
        writer.writerow([model, *(measures.get(name) for name in names)])


def _print_table(found: Mapping[str, Measures], names: list[str]) -> None:
    from rich.table import Table

    table = Table()
    for heading in ("measure", *found):
        table.add_column(heading, overflow="fold")
    for name in names:
        table.add_row(name, *(_cell(name, measures.get(name)) for measures in found.values()))
    output_console().print(table)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "null"
    return f"{value:,}" if name.startswith("images") else f"{value:.4f}"
