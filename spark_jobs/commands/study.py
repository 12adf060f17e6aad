"""`parrot study`: curate, export, train, evaluate for every cell; then one table and one plot."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from schemas import evaluation_results, subsets, training_runs
from spark_jobs.commands.export import ExportOptions, export_subset, order
from spark_jobs.commands.run import check, run_stages
from spark_jobs.config import RunConfig, load_config
from spark_jobs.errors import ConfigError
from spark_jobs.pipeline import select
from spark_jobs.runner.progress import console, duration, output_console
from spark_jobs.study.comparison import Compared, Number, compare, measures_of
from spark_jobs.study.definition import Cell, Study
from spark_jobs.study.figure import draw
from spark_jobs.warehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SURE = 0.05


@dataclass(frozen=True)
class StudyRun:
    """A study on a dataset.

    Attributes:
        study: The study.
        config: Configuration of all its stages, without what the study decides.
        folder: Where exports, table and plot go.
    """

    study: Study
    config: RunConfig
    folder: Path

    def subset_id(self, subset: str) -> str:
        """Id under which `curate` stores a subset of this size and seed."""
        size = f"-{self.study.size}" if self.study.size is not None else ""
        seed = f"-s{self.study.draw_seed}" if self.study.draw_seed else ""
        return f"{subset}{size}{seed}"

    def export_of(self, subset: str) -> Path:
        """Folder of a subset's export."""
        return self.folder / "exports" / self.subset_id(subset)

    def with_settings(self, **sections: dict[str, Any]) -> RunConfig:
        """The configuration with other values in some sections; validated.

        Raises:
            ConfigError: If a value is not valid.
        """
        values = self.config.model_dump(mode="json", exclude_unset=True)
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section}
        return load_config(options=values)

    def training_of(self, cell: Cell) -> RunConfig:
        """Configuration of a cell's training."""
        own = {"export": str(self.export_of(cell.subset)), "model": cell.model, "seed": cell.seed}
        return self.with_settings(train_clip={**self.study.train, **own})


def run_study(spark: SparkSession, run: StudyRun) -> list[Compared]:
    """Do what is not done yet, cell by cell, and write table and plot; the same command continues.

    Raises:
        ParrotError: If a subset, an export, a training or an evaluation cannot be made.
    """
    study = run.study
    tables = Tables(spark, run.config.warehouse)
    _curate(spark, run)
    _export(spark, run)
    cells = study.cells()
    for number, cell in enumerate(cells, 1):
        console.print(
            f"[bold]cell {number} of {len(cells)}[/bold]: {cell.subset}, {cell.model}, seed {cell.seed}"
        )
        config = run.training_of(cell)
        stages = select(["train_clip"])
        check(config, stages)
        run_stages(spark, config, stages, tags={"study": study.study, **asdict(cell)})
    models = [f"{row['model']}/{row['checkpoint']}" for row in _trained(tables, run).values()]
    evaluations = _evaluate(spark, run, models) + _relative_on(spark, run, models)
    compared = compare(
        _numbers(tables, run, evaluations), subsets=study.subsets, baseline=study.compared_with
    )
    _write(compared, run)
    return compared


def print_plan(spark: SparkSession, run: StudyRun) -> None:
    """What the study would do, and how long its trainings would take by those that are done."""
    tables = Tables(spark, run.config.warehouse)
    trained = _trained(tables, run)
    table = Table(title=f"study {run.study.study}")
    for name in ("subset", "model", "seed", "state"):
        table.add_column(name)
    for cell in run.study.cells():
        row = trained.get(cell)
        state = f"trained, loss {row['loss']:.3f}" if row is not None else "to do"
        table.add_row(cell.subset, cell.model, str(cell.seed), state)
    output_console().print(table)
    console.print(_estimate(tables, run, trained), markup=False)


def _estimate(tables: Tables, run: StudyRun, trained: dict[Cell, Any]) -> str:
    missing = [cell for cell in run.study.cells() if cell not in trained]
    if not missing:
        return "every cell is trained"
    paces = _paces(tables, run.config.dataset_name)
    unknown = sorted({cell.model for cell in missing} - set(paces))
    if unknown:
        return f"{len(missing)} trainings to do; nothing trained yet tells how long those of {', '.join(unknown)} take"
    from spark_jobs.training.recipe import recipe_of

    seconds = 0.0
    for cell in missing:
        recipe = recipe_of(run.training_of(cell).train_clip, feed=run.study.format)
        seconds += recipe.steps * recipe.batch_size / paces[cell.model]
    return f"{len(missing)} trainings to do, about {duration(seconds)} at the pace of those done"


def _paces(tables: Tables, dataset: str) -> dict[str, float]:
    """Pairs per second by model, of the trainings of a dataset."""
    if not tables.exists(training_runs.TABLE):
        return {}
    rows = (
        tables.read(training_runs.TABLE, dataset=dataset).groupBy("model").avg("samples_per_second").collect()
    )
    return {row[0]: row[1] for row in rows}


def _curate(spark: SparkSession, run: StudyRun) -> None:
    build = {"build": list(run.study.subsets), "size": run.study.size, "seed": run.study.draw_seed or None}
    given = {name: value for name, value in build.items() if value is not None}
    config = run.with_settings(curate=given)
    stages = select(["curate"])
    check(config, stages)
    run_stages(spark, config, stages, tags={"study": run.study.study})
    tables = Tables(spark, config.warehouse)
    rows = tables.read(subsets.TABLE, dataset=config.dataset_name).select("subset_id", "members").collect()
    members = {row["subset_id"]: row["members"] for row in rows}
    sizes = {subset: members[run.subset_id(subset)] for subset in run.study.subsets}
    if len(set(sizes.values())) > 1:
        raise ConfigError(
            "the subsets of a study must be of one size, or their size would be compared too: "
            f"{', '.join(f'{name} {size:,}' for name, size in sizes.items())}. Set size: {min(sizes.values())}"
        )


def _export(spark: SparkSession, run: StudyRun) -> None:
    with_images = run.study.format == "parquet"
    for subset in run.study.subsets:
        options = ExportOptions(str(run.export_of(subset)), run.study.format, None, with_images)
        export_subset(spark, run.config, order(run.config, run.subset_id(subset), options))


def _evaluate(spark: SparkSession, run: StudyRun, models: Sequence[str]) -> list[str]:
    """Evaluate all models; returns the ids of the evaluations, those that were there already too."""
    values = {"models": list(models), **run.study.evaluate}
    if run.study.relative_on is not None:
        values["relative_scores"] = False
    sections: dict[str, dict[str, Any]] = {"evaluate_clip": values}
    if values.get("relative_scores", True):
        sections["remove_text"] = {"models": list(models)}
    return _evaluations(spark, run.with_settings(**sections), stages=list(sections), study=run.study.study)


def _relative_on(spark: SparkSession, run: StudyRun, models: Sequence[str]) -> list[str]:
    """RSA, RSC and Fig. 9 of all models on the dataset that the study names for them."""
    if run.study.relative_on is None:
        return []
    sections: dict[str, dict[str, Any]] = {
        "evaluate_clip": {"models": list(models), "tasks": None, "words": None},
        "remove_text": {"models": list(models)},
    }
    config = run.with_settings(**sections).model_copy(update={"dataset": run.study.relative_on})
    return _evaluations(spark, config, stages=list(sections), study=run.study.study)


def _evaluations(spark: SparkSession, config: RunConfig, *, stages: Sequence[str], study: str) -> list[str]:
    chosen = select(stages)
    check(config, chosen)
    reports = run_stages(spark, config, chosen, tags={"study": study})
    table = evaluation_results.TABLE.name
    return [key for report in reports for name, key in report.run_keys.items() if name.startswith(table)]


def _trained(tables: Tables, run: StudyRun) -> dict[Cell, Any]:
    """Rows of `training_runs` by the study's cells, of this budget."""
    if not tables.exists(training_runs.TABLE):
        return {}
    names = {run.subset_id(subset): subset for subset in run.study.subsets}
    contents = _contents(tables, run.config.dataset_name)
    rows = tables.read(training_runs.TABLE, dataset=run.config.dataset_name).collect()
    by_cell = {
        Cell(names[row["subset_id"]], row["model"], row["seed"]): row
        for row in rows
        if row["subset_id"] in names
        and row["content_hash"] == contents.get(row["subset_id"])  # a subset may have been drawn anew
        and _is_of(row, run)
    }
    return {cell: by_cell[cell] for cell in run.study.cells() if cell in by_cell}


def _contents(tables: Tables, dataset: str) -> dict[str, str]:
    """Content hash by subset."""
    if not tables.exists(subsets.TABLE):
        return {}
    rows = tables.read(subsets.TABLE, dataset=dataset).select("subset_id", "content_hash").collect()
    return {row["subset_id"]: row["content_hash"] for row in rows}


def _is_of(row: Any, run: StudyRun) -> bool:
    """Whether a training has the study's recipe."""
    import json

    from spark_jobs.training.recipe import recipe_of

    found = json.loads(row["recipe"])
    cell = Cell(run.study.subsets[0], row["model"], row["seed"])
    wanted = asdict(recipe_of(run.training_of(cell).train_clip, feed=found["feed"]))
    return bool(found == wanted)


def _numbers(tables: Tables, run: StudyRun, evaluations: Sequence[str]) -> list[Number]:
    trained = {row["training"]: cell for cell, row in _trained(tables, run).items()}
    results = tables.read(evaluation_results.TABLE)
    wanted = results["training"].isin(list(trained)) & results["evaluation"].isin(list(evaluations))
    # Of another dataset only what its text removal gives: its words are not the study's.
    own = results["dataset"].isin(run.config.dataset_name, results["task"])
    rows = results.where(wanted & own).collect()
    numbers = {
        (trained[row["training"]], row["task"], row["metric"]): (row["value"], row["chance"])
        for row in rows
        if row["value"] is not None
    }
    return [
        Number(cell.subset, cell.model, cell.seed, task, metric, value, chance)
        for (cell, task, metric), (value, chance) in numbers.items()
    ]


def _write(compared: Sequence[Compared], run: StudyRun) -> None:
    path = run.folder / f"{run.study.study}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(Compared.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(one) for one in compared)
    plot = path.with_suffix(".svg")
    draw(compared, plot, subsets=run.study.subsets, title=run.study.study)
    for model in run.study.models:
        output_console().print(_table([one for one in compared if one.model == model], run.study, model))
    console.print(f"table: {path}\nplot: {plot}", markup=False)


def _table(compared: Sequence[Compared], study: Study, model: str) -> Table:
    found = {(one.metric, one.task, one.subset): one for one in compared}
    table = Table(
        title=f"{study.study}, {model}: mean ± standard deviation over {len(study.seeds)} seeds; * differs from "
        f"{study.compared_with} (p < {_SURE}, Welch, Holm)"
    )
    table.add_column("measure")
    for subset in study.subsets:
        table.add_column(subset, justify="right")
    table.add_column("chance", justify="right")
    for (metric, task), chance in measures_of(compared).items():
        cells = (_shown(found.get((metric, task, subset))) for subset in study.subsets)
        table.add_row(f"{metric}, {task}", *cells, "-" if chance is None else f"{chance:.3f}")
    return table


def _shown(one: Compared | None) -> str:
    if one is None:
        return "-"
    spread = f" ± {one.spread:.3f}" if one.spread is not None else ""
    return f"{one.mean:.3f}{spread}" + ("*" if one.p_value is not None and one.p_value < _SURE else "")
