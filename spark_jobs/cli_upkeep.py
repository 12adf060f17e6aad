"""The commands that keep a warehouse small, and make it known to others."""

from __future__ import annotations

from typing import Annotated

import typer

from spark_jobs.cli_support import Debug, Warehouse, guarded, require_warehouse


def maintain(
    warehouse: Warehouse = None,
    older_than: Annotated[
        int, typer.Option(min=1, help="Days since rows that nothing reads were finished")
    ] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it, it is only shown")] = False,
    debug: Debug = False,
) -> None:
    """Compact small files, remove rows of run keys that nothing reads any more, delete old files."""

    def work() -> None:
        from spark_jobs.commands.maintain import maintain as command
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        loaded = load_config(options={"warehouse": warehouse})
        require_warehouse(loaded.warehouse)
        command(open_session(loaded.session), loaded, days=older_than, does_it=yes)

    guarded(work, debug=debug)


def athena(
    warehouse: Warehouse = None,
    database: Annotated[str, typer.Option(help="Glue database; made where it is not there")] = "parrot",
    output_location: Annotated[
        str | None, typer.Option(help="Folder on S3 for Athena's results; default: the workgroup's")
    ] = None,
    workgroup: Annotated[str, typer.Option(help="Athena workgroup")] = "primary",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it, the statements are printed")] = False,
    debug: Debug = False,
) -> None:
    """Register a warehouse on S3 for Athena: its tables, their current rows, and the views for people."""

    def work() -> None:
        from spark_jobs.commands.athena import Athena, check, print_statements, register
        from spark_jobs.config import load_config
        from spark_jobs.session import open_session

        loaded = load_config(options={"warehouse": warehouse})
        target = Athena(database, workgroup, output_location)
        check(loaded.warehouse, target)
        do = register if yes else print_statements
        do(open_session(loaded.session), loaded, target)

    guarded(work, debug=debug)
