"""Run the command line as a user does, in a process of its own; or in this one, where the process is not the matter."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from spark_jobs.cli import main

PARROT = [sys.executable, "-m", "spark_jobs.cli"]
REPOSITORY = Path(__file__).resolve().parents[2]


def parrot(
    *arguments: object, env: dict[str, str] | None = None, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run `parrot ARGUMENTS...`; output and exit code are the caller's to judge."""
    return subprocess.run(
        [*PARROT, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=environment(env),
        timeout=timeout,
        check=False,
    )


def parrot_here(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `parrot ARGUMENTS...` in this process: the same entry point, without starting Python and Java once more.

    What is no exit of the command, a stack trace therefore, is raised here.
    """
    line, code = ["parrot", *map(str, arguments)], 0
    with (
        mock.patch.object(sys, "argv", line),
        mock.patch.dict(os.environ, environment(env), clear=True),
        contextlib.redirect_stdout(io.StringIO()) as stdout,
        contextlib.redirect_stderr(io.StringIO()) as stderr,
    ):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    return subprocess.CompletedProcess(line, code, stdout.getvalue(), stderr.getvalue())


def succeeding(*arguments: object, run: Callable[..., Any] = parrot) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    return result


def query(warehouse: Path, sql: str) -> list[dict[str, object]]:
    """Rows of a `parrot sql` query."""
    result = succeeding("sql", "--warehouse", warehouse, "--format", "json", sql, run=parrot_here)
    return [json.loads(line) for line in result.stdout.splitlines()]


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment, without an MLflow server and a warehouse of the developer's."""
    own = ("MLFLOW_TRACKING_URI", "PARROT_WAREHOUSE")
    values = {key: value for key, value in os.environ.items() if key not in own}
    return {**values, **(extra or {})}
