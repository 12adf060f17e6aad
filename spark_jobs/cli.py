"""The command line. Parses, prints, exits; everything else is imported when a command runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spark_jobs import cli_doctor, cli_looking, cli_subsets, cli_training, cli_upkeep, cli_weights
from spark_jobs.cli_support import (
    Config,
    Dataset,
    Debug,
    Set,
    Warehouse,
    guarded,
    require_warehouse,
    run_selected,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class LogFormat(StrEnum):
    """What standard error holds."""

    TEXT = "text"
    JSON = "json"


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from spark_jobs.version import parrot_version

        typer.echo(f"parrot {parrot_version()}")
        raise typer.Exit


def _stages_beginning(text: str) -> list[str]:
    """For the shell's completion."""
    from spark_jobs.pipeline import STAGES

    return [stage.name for stage in STAGES if stage.name.startswith(text)]


@app.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version", callback=_print_version, is_eager=True)
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(envvar="PARROT_LOG_FORMAT", help="What standard error holds: text, or JSON lines"),
    ] = LogFormat.TEXT,
) -> None:
    """Measure parrot captions in image-text data, cut them out, and prove that the cut helps."""
    from spark_jobs import log

    log.use_json(log_format is LogFormat.JSON)


@app.command()
def run(
    stages: Annotated[
        list[str] | None,
        typer.Argument(help="Stages; none: those that profile", autocompletion=_stages_beginning),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Folder or URI of the image-text pairs")] = None,
    dataset: Dataset = None,
    warehouse: Warehouse = None,
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
def report(
    warehouse: Warehouse = None,
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
        loaded = load_config(overrides=tuple(set_ or ()), options=options)
        require_warehouse(loaded.warehouse)
        say(write_report(open_session(loaded.session), loaded))

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


for command in (
    cli_looking.status,
    cli_looking.sql,
    cli_looking.compare_models,
    cli_looking.compare_spotters,
    cli_looking.cost,
    cli_looking.describe,
    cli_looking.show,
    cli_subsets.curate,
    cli_subsets.export,
    cli_subsets.verify,
    cli_training.train,
    cli_training.evaluate,
    cli_training.study,
    cli_training.world,
    cli_doctor.doctor,
    cli_upkeep.maintain,
    cli_upkeep.athena,
    cli_weights.weights,
):
    app.command()(command)
app.add_typer(cli_subsets.subset_app, name="subset")


def main() -> None:
    """Entry point of the console script, and of Databricks wheel tasks, which take any exit for a failure."""
    try:
        app()
    except SystemExit as stop:
        if stop.code:
            raise


if __name__ == "__main__":
    main()
