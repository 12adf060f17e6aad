"""The commands that train CLIP models, evaluate them and compare subsets by them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spark_jobs.cli_support import (
    Config,
    Dataset,
    Debug,
    Set,
    Warehouse,
    guarded,
    require_warehouse,
    run_selected,
    with_dataset,
)


def train(
    export: Annotated[str, typer.Argument(help="Folder that `parrot export` wrote, with images")],
    warehouse: Warehouse = None,
    model: Annotated[str | None, typer.Option(help="open_clip architecture; default: the preset's")] = None,
    preset: Annotated[str | None, typer.Option(help="small, parrot-small, paper-3m or paper-12m")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and crops")] = None,
    processes: Annotated[int | None, typer.Option(help="Processes; on GPUs one per GPU")] = None,
    config: Config = None,
    set_: Set = None,
    debug: Debug = False,
) -> None:
    """Train a CLIP model on an export; stopped, the same command goes on."""

    def work() -> None:
        from spark_jobs.config import load_config
        from spark_jobs.export.folder import Folder
        from spark_jobs.export.manifest import read_manifest
        from spark_jobs.pipeline import select

        given = {"export": export, "model": model, "preset": preset, "seed": seed, "processes": processes}
        manifest = read_manifest(Folder(export))
        options: dict[str, Any] = {"warehouse": warehouse, "train_clip": given}
        if manifest is not None:  # without one the stage says what is wrong
            options["dataset"] = manifest.identity["dataset"]
        # The warehouse may be new: a training reads nothing of it.
        loaded = load_config(config, overrides=tuple(set_ or ()), options=options)
        run_selected(loaded, select(["train_clip"]))

    guarded(work, debug=debug)


def evaluate(
    warehouse: Warehouse = None,
    dataset: Dataset = None,
    models: Annotated[
        list[str] | None,
        typer.Argument(help="NAME/TAG or NAME/FILE; none: all that were trained on the dataset"),
    ] = None,
    tasks: Annotated[Path | None, typer.Option(help="Folder of task folders (clip_benchmark's wds)")] = None,
    relative: Annotated[
        bool,
        typer.Option("--relative", help="Remove the dataset's text under the models first: RSA, RSC, Fig. 9"),
    ] = False,
    config: Config = None,
    set_: Set = None,
    debug: Debug = False,
) -> None:
    """Measure what CLIP models see and what they spot."""

    def work() -> None:
        from spark_jobs.config import load_config
        from spark_jobs.errors import ConfigError
        from spark_jobs.pipeline import select

        options: dict[str, Any] = {
            "warehouse": warehouse,
            "dataset": dataset,
            "evaluate_clip": {"models": models or None, "tasks": tasks},
        }
        if relative and not models:
            raise ConfigError("--relative wants the models named: parrot evaluate NAME/FILE ... --relative")
        if relative:
            options["remove_text"] = {"models": models}
        loaded = load_config(config, overrides=tuple(set_ or ()), options=options)
        require_warehouse(loaded.warehouse)
        run_selected(loaded, select(["remove_text", "evaluate_clip"] if relative else ["evaluate_clip"]))

    guarded(work, debug=debug)


def study(
    file: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="Subsets, models, seeds, settings")],
    warehouse: Warehouse = None,
    dataset: Dataset = None,
    to: Annotated[
        Path | None,
        typer.Option(help="Folder of exports, table and plot; default: studies/NAME in the warehouse"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the cells and how long they take")
    ] = False,
    config: Config = None,
    set_: Set = None,
    debug: Debug = False,
) -> None:
    """Train and evaluate every subset with every model and seed, and compare; stopped, the same command goes on."""

    def work() -> None:
        from spark_jobs.commands.study import StudyRun, print_plan, run_study
        from spark_jobs.config import load_config
        from spark_jobs.errors import ConfigError
        from spark_jobs.session import open_session
        from spark_jobs.study.definition import read_study

        read = read_study(file)
        options = {"warehouse": warehouse, "dataset": dataset}
        loaded = load_config(config, overrides=tuple(set_ or ()), options=options)
        require_warehouse(loaded.warehouse)
        if to is None and (loaded.is_catalog or "://" in loaded.warehouse):
            raise ConfigError("a study needs a local folder for its exports: --to FOLDER")
        folder = to or Path(loaded.warehouse) / "studies" / read.study
        loaded = with_dataset(loaded)
        run = StudyRun(read, loaded, folder.absolute())
        for cell in read.cells():  # every setting is checked before the first training
            run.training_of(cell)
        (print_plan if dry_run else run_study)(open_session(loaded.session), run)

    guarded(work, debug=debug)


def world(
    to: Annotated[Path, typer.Option(help="Folder for pool and evaluation sets")],
    samples: Annotated[int, typer.Option(help="Pairs of the pool")] = 100_000,
    size: Annotated[int, typer.Option(help="Side of the pictures, px")] = 96,
    seed: Annotated[int, typer.Option(help="Chooses the pictures")] = 0,
    mix: Annotated[
        str | None,
        typer.Option(help="Shares of scene, parrot, words, mixed, labelled: scene=0.5,parrot=0.5"),
    ] = None,
    processes: Annotated[int, typer.Option(help="Processes that draw")] = 1,
    debug: Debug = False,
) -> None:
    """Draw scenes and words to train CLIP on, and what a model is asked afterwards."""

    def work() -> None:
        from spark_jobs.runner.progress import console
        from spark_jobs.world.build import DEFAULT_MIX, World, parse_mix, write_world

        shares = dict(DEFAULT_MIX) if mix is None else parse_mix(mix)
        is_new = write_world(to, World(samples, size, seed, shares), processes=processes)
        console.print(
            f"{samples:,} pairs {'drawn' if is_new else 'found'}: {to}/pool; parrot scenes: {to}/parrots; "
            f"evaluation sets: {to}/tasks",
            soft_wrap=True,
        )

    guarded(work, debug=debug)
