"""Commands in this process, with what they say on standard error apart from their results."""

from __future__ import annotations

import inspect

from click.testing import CliRunner as ClickRunner
from click.testing import Result
from typer.testing import CliRunner

from spark_jobs.cli import app

# click before 8.2, as on Databricks 17.3, puts both into one unless it is asked not to.
_APART = {"mix_stderr": False} if "mix_stderr" in inspect.signature(ClickRunner).parameters else {}


def invoked(*arguments: str) -> Result:
    """The outcome of a `parrot` command."""
    return CliRunner(**_APART).invoke(app, list(arguments))
