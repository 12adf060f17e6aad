"""The command that says what is missing on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from spark_jobs.cli_support import Config, Debug, Json, Set, Warehouse, guarded


def doctor(
    warehouse: Warehouse = None,
    source: Annotated[str | None, typer.Option(help="Folder or URI of the image-text pairs")] = None,
    spark: Annotated[
        bool, typer.Option("--spark", help="Also start Spark, and write and read a Delta table")
    ] = False,
    config: Config = None,
    set_: Set = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Look for what a run needs, and say how to mend what is missing; exit code 1 if something is."""

    def work() -> None:
        from spark_jobs.commands.doctor import print_findings
        from spark_jobs.config import load_config

        options = {"warehouse": warehouse, "source": source}
        loaded = load_config(config, overrides=tuple(set_ or ()), options=options)
        print_findings(loaded, with_spark=spark, as_json=as_json)

    guarded(work, debug=debug)
