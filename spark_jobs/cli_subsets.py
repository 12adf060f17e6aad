"""The commands that build named subsets, look at them, export and check them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spark_jobs.cli_support import (
    Config,
    Dataset,
    Debug,
    Json,
    Set,
    Warehouse,
    guarded,
    require_warehouse,
    run_selected,
    with_dataset,
)


def curate(
    subsets: Annotated[list[str], typer.Argument(help="Subsets to build: built-in ones or your own")],
    warehouse: Warehouse = None,
    dataset: Dataset = None,
    size: Annotated[int | None, typer.Option(help="Samples to draw; default: the definition's size")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draw")] = None,
    control: Annotated[
        bool, typer.Option("--control", help="Also draw a random subset of each one's size")
    ] = False,
    definitions: Annotated[
        Path | None, typer.Option("--subsets", help="YAML file with a list of your own definitions")
    ] = None,
    config: Config = None,
    set_: Set = None,
    debug: Debug = False,
) -> None:
    """Build named subsets: their samples, what they were drawn from, what each condition removed."""

    def work() -> None:
        from spark_jobs.commands.subset import curate_options
        from spark_jobs.config import load_config
        from spark_jobs.pipeline import select

        values = {"build": subsets, "size": size, "seed": seed, "control": control or None}
        options = {
            "warehouse": warehouse,
            "dataset": dataset,
            "curate": curate_options(values, definitions),
        }
        loaded = load_config(config, overrides=tuple(set_ or ()), options=options)
        require_warehouse(loaded.warehouse)
        run_selected(loaded, select(["curate"]), dry_run=False)

    guarded(work, debug=debug)


subset_app = typer.Typer(no_args_is_help=True, help="Look at named subsets: list, show, diff.")
EachDataset = Annotated[str | None, typer.Option("--dataset", help="Name of the dataset; none: every one")]


@subset_app.command("list")
def subset_list(
    warehouse: Warehouse = None,
    dataset: EachDataset = None,
    config: Config = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the subsets that are built, and the definitions that are not."""
    _look(
        "print_list", {"as_json": as_json}, debug=debug, config=config, warehouse=warehouse, dataset=dataset
    )


@subset_app.command("show")
def subset_show(
    subset: Annotated[str, typer.Argument(help="A subset, built or defined")],
    warehouse: Warehouse = None,
    dataset: EachDataset = None,
    config: Config = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what a subset is, what it was drawn from, and what each condition removed."""
    of = {"subset_id": subset, "as_json": as_json}
    _look("print_subset", of, debug=debug, config=config, warehouse=warehouse, dataset=dataset)


@subset_app.command("diff")
def subset_diff(
    first: Annotated[str, typer.Argument(help="A subset that is built")],
    second: Annotated[str, typer.Argument(help="Another one")],
    warehouse: Warehouse = None,
    dataset: Dataset = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare two subsets: overlap, image types, clusters, CoTR, CLIP score."""
    of = {"first": first, "second": second, "as_json": as_json}
    _look(
        "print_diff", of, needs_dataset=True, debug=debug, config=None, warehouse=warehouse, dataset=dataset
    )


def _look(
    name: str,
    of: dict[str, Any],
    *,
    debug: bool,
    config: str | None,
    needs_dataset: bool = False,
    **options: str | None,
) -> None:
    """Print something of the subsets of a warehouse."""

    def work() -> None:
        from spark_jobs.commands import subset
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        loaded = load_config(config, options=options)
        require_warehouse(loaded.warehouse)
        if needs_dataset:
            loaded = with_dataset(loaded)
        getattr(subset, name)(open_session(loaded.session), loaded, **of)

    guarded(work, debug=debug)


def export(
    subset: Annotated[str, typer.Argument(help="A subset that `parrot curate` has built")],
    to: Annotated[str, typer.Option(help="Folder or URI, a new one for each export")],
    warehouse: Warehouse = None,
    dataset: Dataset = None,
    format_: Annotated[
        str, typer.Option("--format", help="parquet, webdataset, img2dataset-urls, datacomp-npy or ids")
    ] = "webdataset",
    shard_size: Annotated[
        int | None, typer.Option(help="Samples per file; default: the format's own")
    ] = None,
    with_images: Annotated[bool, typer.Option("--with-images", help="Put image bytes into Parquet")] = False,
    config: Config = None,
    set_: Set = None,
    debug: Debug = False,
) -> None:
    """Write a subset's samples as files that trainers read, with a manifest."""

    def work() -> None:
        from spark_jobs.commands.export import ExportOptions, check_options, export_subset, order
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        options = {"warehouse": warehouse, "dataset": dataset}
        loaded = load_config(config, overrides=tuple(set_ or ()), options=options)
        require_warehouse(loaded.warehouse)
        options_of = ExportOptions(to, format_, shard_size, with_images)
        check_options(loaded, options_of)
        loaded = with_dataset(loaded)
        wanted = order(loaded, subset, options_of)
        export_subset(open_session(loaded.session), loaded, wanted)

    guarded(work, debug=debug)


def verify(
    export_folder: Annotated[str, typer.Argument(metavar="EXPORT", help="Folder or URI of an export")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check an export against its manifest: missing, altered and extra files; exit code 1 if there are any."""

    def work() -> None:
        from spark_jobs.commands.verify import print_verification

        print_verification(export_folder, as_json=as_json)

    guarded(work, debug=debug)
