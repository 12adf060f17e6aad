"""What all commands of the command line share: options, and how errors end a command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

WAREHOUSE_HELP = "Folder or URI of the tables, or catalog.schema; default: PARROT_WAREHOUSE, else warehouse"
Warehouse = Annotated[str | None, typer.Option("--warehouse", help=WAREHOUSE_HELP, show_default=False)]
Dataset = Annotated[
    str | None,
    typer.Option("--dataset", help="Name of the dataset in the tables; default: the only one there"),
]
Config = Annotated[
    str | None, typer.Option("--config", help="YAML file with any of the settings, or its URI")
]
Set = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, as often as needed")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs")]
Debug = Annotated[bool, typer.Option("--debug", help="Show stack traces, Java's too")]


def run_selected(config: Any, stages: Any, *, dry_run: bool = False) -> None:
    """Check and run stages, or print what they would do; of several datasets one after the other."""
    from spark_jobs.commands.several import run_each
    from spark_jobs.sources.storage import listed_once

    def run_one(config: Any, stages: Any) -> None:
        from spark_jobs.commands.run import check, run_stages
        from spark_jobs.session import open_session

        # A source is new data as a rule: whose it is must be said.
        if config.source is None and any(stage.needs_dataset for stage in stages):
            config = with_dataset(config)
        check(config, stages)
        spark = open_session(config.session, runs_stages=not dry_run)
        if dry_run:
            from spark_jobs.commands.dry_run import print_plan

            print_plan(spark, config, stages)
        else:
            run_stages(spark, config, stages)

    with listed_once():
        run_each(config, stages, run_one)


def with_dataset(config: Any) -> Any:
    """The configuration with the warehouse's only dataset, where it names none.

    Raises:
        WarehouseError: If there is no warehouse.
        ConfigError: If it holds no dataset, or several; names them.
    """
    if config.dataset is not None:
        return config
    from spark_jobs.session import open_session
    from spark_jobs.warehouse.datasets import only_dataset
    from spark_jobs.warehouse.tables import Tables

    require_warehouse(config.warehouse)
    found = only_dataset(Tables(open_session(config.session), config.warehouse))
    return config.model_copy(update={"dataset": found})


def opened(config: Any) -> tuple[Any, Any]:
    """A session, and the configuration with the dataset that a command looks at.

    Raises:
        WarehouseError: If there is no warehouse.
        ConfigError: If no dataset is named, and the warehouse does not hold just one.
    """
    from spark_jobs.session import open_session

    require_warehouse(config.warehouse)
    config = with_dataset(config)
    return open_session(config.session), config


def require_warehouse(warehouse: str) -> None:
    """Refuse a warehouse that is not there.

    Raises:
        WarehouseError: If it is a local folder that does not exist.
    """
    from spark_jobs.errors import WarehouseError
    from spark_jobs.warehouse.addresses import is_catalog

    if not is_catalog(warehouse) and "://" not in warehouse and not Path(warehouse).is_dir():
        raise WarehouseError(
            f"no warehouse at {warehouse}: give the folder that `parrot run --warehouse` wrote to, "
            "with --warehouse or in PARROT_WAREHOUSE"
        )


def guarded(work: Any, *, debug: bool) -> None:
    """Run a command; errors go to standard error, with a stack trace only where it was asked for."""
    from spark_jobs.errors import ParrotError, sentence

    try:
        work()
    except ParrotError as error:
        if debug:
            raise
        fail(f"error: {error}")
    except KeyboardInterrupt:
        fail("interrupted: finished chunks are kept; the same command continues", code=130)
    except Exception as error:
        if debug:
            raise
        fail(f"error: {sentence(error)}\nThis was not expected; --debug shows where it happened")


def fail(message: str, *, code: int = 1) -> None:
    """Say why on standard error, and exit."""
    from spark_jobs import log

    sys.stdout.flush()
    if log.is_json():
        log.record("error", message.removeprefix("error: "), exit_code=code)
    else:
        typer.echo(message, err=True)
    raise typer.Exit(code)
