"""The command line. Parses, prints, exits; everything else is imported when a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spark_jobs import cli_training
from spark_jobs.cli_support import (
    WAREHOUSE_HELP,
    Config,
    Debug,
    Set,
    Warehouse,
    guarded,
    require_warehouse,
    run_selected,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure parrot captions in image-text data, cut them out, and prove that the cut helps.",
)


@app.command()
def run(
    stages: Annotated[list[str] | None, typer.Argument(help="Stages; none: those that profile")] = None,
    source: Annotated[str | None, typer.Option(help="Folder or URI of the image-text pairs")] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of the dataset in the tables")] = None,
    warehouse: Annotated[str | None, typer.Option(help=WAREHOUSE_HELP)] = None,
    config: Config = None,
    set_: Set = None,
    limit: Annotated[int | None, typer.Option(help="Work on a fixed sample of this many shards")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ingest shards again that changed")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do failed rows again")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop")] = False,
    debug: Debug = False,
) -> None:
    """Bring a dataset's tables up to date: ingest, measure, explain."""
    options = {
        "source": source,
        "dataset": dataset,
        "warehouse": warehouse,
        "limit": limit,
        "refresh": refresh or None,
        "retry_failed": retry_failed or None,
    }

    def work() -> None:
        from spark_jobs.config import load_config
        from spark_jobs.pipeline import select

        chosen = select(stages or [])
        loaded = load_config(config, overrides=tuple(set_ or ()), options=options)
        run_selected(loaded, chosen, dry_run=dry_run)

    guarded(work, debug=debug)


@app.command()
def status(warehouse: Warehouse, debug: Debug = False) -> None:
    """Show each table: rows, shards done and pending, failures, last run."""

    def work() -> None:
        from spark_jobs.commands.status import print_status
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        config = load_config(options={"warehouse": warehouse})
        require_warehouse(warehouse)
        print_status(open_session(config.session), config)

    guarded(work, debug=debug)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A query; every table and view is known by its name")],
    warehouse: Warehouse,
    format_: Annotated[str, typer.Option("--format", help="table, csv or json")] = "table",
    output: Annotated[Path | None, typer.Option(help="Write to a .csv or .parquet file instead")] = None,
    debug: Debug = False,
) -> None:
    """Query the tables; nothing but the result goes to standard output."""

    def work() -> None:
        from spark_jobs.commands.sql import check_output, run_query
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        config = load_config(options={"warehouse": warehouse})
        check_output(format_, output)
        require_warehouse(warehouse)
        run_query(open_session(config.session), config, query, style=format_, output=output)

    guarded(work, debug=debug)


@app.command("compare-models")
def compare_models(
    warehouse: Warehouse,
    dataset: Annotated[str, typer.Option(help="Name of the dataset in the tables")],
    format_: Annotated[str, typer.Option("--format", help="table, csv or json")] = "table",
    output: Annotated[Path, typer.Option(help="File of the plot, .svg")] = Path("compare-models.svg"),
    set_: Set = None,
    debug: Debug = False,
) -> None:
    """Compare CLIP models: what the text does to their scores; one table, one plot, one MLflow run."""

    def work() -> None:
        from spark_jobs.commands import compare_models as command
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        options = {"warehouse": warehouse, "dataset": dataset}
        config = load_config(overrides=tuple(set_ or ()), options=options)
        command.check_options(format_, output)
        require_warehouse(warehouse)
        command.compare_models(open_session(config.session), config, style=format_, output=output)

    guarded(work, debug=debug)


@app.command()
def describe(
    name: Annotated[str, typer.Argument(help="A table or a stage")],
    debug: Debug = False,
) -> None:
    """Say what a table holds, column by column, or what a stage does and how it is configured."""

    def work() -> None:
        from spark_jobs.commands.describe import print_description

        print_description(name)

    guarded(work, debug=debug)


@app.command()
def report(
    warehouse: Warehouse,
    output: Annotated[
        str | None, typer.Option(help="File or URI; default: report.html in the warehouse")
    ] = None,
    set_: Set = None,
    debug: Debug = False,
) -> None:
    """Write the HTML report of what the warehouse holds."""

    def work() -> None:
        from spark_jobs.commands.run import say
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session
        from spark_jobs.stages.report import run as write_report

        options = {"warehouse": warehouse, "report": {"output": output}}
        config = load_config(overrides=tuple(set_ or ()), options=options)
        require_warehouse(warehouse)
        say(write_report(open_session(config.session), config))

    guarded(work, debug=debug)


@app.command()
def curate(
    subsets: Annotated[list[str], typer.Argument(help="Subsets to build: built-in ones or your own")],
    warehouse: Warehouse,
    dataset: Annotated[str, typer.Option(help="Name of the dataset in the tables")],
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
        require_warehouse(warehouse)
        run_selected(loaded, select(["curate"]), dry_run=False)

    guarded(work, debug=debug)


subset_app = typer.Typer(no_args_is_help=True, help="Look at named subsets: list, show, diff.")
app.add_typer(subset_app, name="subset")
Dataset = Annotated[str | None, typer.Option(help="Name of the dataset; none: every one")]


@subset_app.command("list")
def subset_list(
    warehouse: Warehouse, dataset: Dataset = None, config: Config = None, debug: Debug = False
) -> None:
    """List the subsets that are built, and the definitions that are not."""
    _look("print_list", {}, debug=debug, config=config, warehouse=warehouse, dataset=dataset)


@subset_app.command("show")
def subset_show(
    subset: Annotated[str, typer.Argument(help="A subset, built or defined")],
    warehouse: Warehouse,
    dataset: Dataset = None,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Show what a subset is, what it was drawn from, and what each condition removed."""
    of = {"subset_id": subset}
    _look("print_subset", of, debug=debug, config=config, warehouse=warehouse, dataset=dataset)


@subset_app.command("diff")
def subset_diff(
    first: Annotated[str, typer.Argument(help="A subset that is built")],
    second: Annotated[str, typer.Argument(help="Another one")],
    warehouse: Warehouse,
    dataset: Annotated[str, typer.Option(help="Name of the dataset in the tables")],
    debug: Debug = False,
) -> None:
    """Compare two subsets: overlap, image types, clusters, CoTR, CLIP score."""
    of = {"first": first, "second": second}
    _look("print_diff", of, debug=debug, config=None, warehouse=warehouse, dataset=dataset)


def _look(name: str, of: dict[str, str], *, debug: bool, config: str | None, **options: str | None) -> None:
    """Print something of the subsets of a warehouse."""

    def work() -> None:
        from spark_jobs.commands import subset
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        loaded = load_config(config, options=options)
        require_warehouse(loaded.warehouse)
        getattr(subset, name)(open_session(loaded.session), loaded, **of)

    guarded(work, debug=debug)


@app.command()
def export(
    subset: Annotated[str, typer.Argument(help="A subset that `parrot curate` has built")],
    to: Annotated[str, typer.Option(help="Folder or URI, a new one for each export")],
    warehouse: Warehouse,
    dataset: Annotated[str, typer.Option(help="Name of the dataset in the tables")],
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
        from spark_jobs.commands.export import ExportOptions, export_subset, order
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        options = {"warehouse": warehouse, "dataset": dataset}
        loaded = load_config(config, overrides=tuple(set_ or ()), options=options)
        wanted = order(loaded, subset, ExportOptions(to, format_, shard_size, with_images))
        require_warehouse(warehouse)
        export_subset(open_session(loaded.session), loaded, wanted)

    guarded(work, debug=debug)


@app.command()
def verify(
    export_folder: Annotated[str, typer.Argument(metavar="EXPORT", help="Folder or URI of an export")],
    debug: Debug = False,
) -> None:
    """Check an export against its manifest: missing, altered and extra files; exit code 1 if there are any."""

    def work() -> None:
        from spark_jobs.commands.verify import print_verification

        print_verification(export_folder)

    guarded(work, debug=debug)


@app.command()
def demo(
    to: Annotated[Path, typer.Option(help="Folder for corpus, tables and report")] = Path("demo"),
    samples: Annotated[int, typer.Option(help="Samples of the corpus")] = 240,
    set_: Set = None,
    debug: Debug = False,
) -> None:
    """Draw a small corpus with planted text, profile it, and compare measured with planted."""

    def work() -> None:
        from spark_jobs.demo.run import run_demo

        run_demo(to, samples=samples, overrides=tuple(set_ or ()))

    guarded(work, debug=debug)


for command in (cli_training.train, cli_training.evaluate, cli_training.study, cli_training.world):
    app.command()(command)


def main() -> None:
    """Entry point of the console script, and of Databricks wheel tasks, which take any exit for a failure."""
    try:
        app()
    except SystemExit as stop:
        if stop.code:
            raise


if __name__ == "__main__":
    main()
