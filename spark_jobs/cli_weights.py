"""The command that puts models' weights into a folder, for clusters without a way to where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spark_jobs.cli_support import Config, Debug, Set, guarded


def weights(
    to: Annotated[Path, typer.Option(help="Folder that the cluster sees, such as one in a volume")],
    config: Config = None,
    set_: Set = None,
    debug: Debug = False,
) -> None:
    """Download the weights of the configured CLIP models into a folder; needs no Spark."""

    def work() -> None:
        from spark_jobs.commands.weights import print_staged
        from spark_jobs.config import load_config

        print_staged(load_config(config, overrides=tuple(set_ or ())), to)

    guarded(work, debug=debug)
