"""Sizes that keep code readable: lines of files and functions, parameters that are given by their place."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.unit.test_layout import PACKAGES, ROOT, modules

MAX_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL = 3
# The options of a command are its parameters; a library calls this one with all its arguments.
POSITIONAL_ANYWAY = {
    "spark_jobs/cli.py": None,
    "spark_jobs/cli_training.py": None,
    "spark_jobs/cli_doctor.py": None,
    "spark_jobs/cli_looking.py": None,
    "spark_jobs/cli_upkeep.py": None,
    "spark_jobs/cli_subsets.py": None,
    "spark_jobs/cli_weights.py": None,
    "udfs/bounded_http.py": {"redirect_request"},
}


def test_files_are_short():
    trees = modules(*PACKAGES, "benchmarks", "notebooks", "docs", "deploy", "tests")
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in trees}
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions and methods of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_functions_are_short():
    lines = {
        f"{path}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in modules(*PACKAGES).items()
        for node in functions(tree)
    }
    assert len(lines) > 1000
    assert {name: count for name, count in lines.items() if count > MAX_FUNCTION_LINES} == {}


def positional(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Parameters that a caller may give by their place, without `self` and `cls`."""
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    return [name for name in names if name not in ("self", "cls")]


def test_functions_have_few_positional_parameters():
    many = [
        f"{path}: {node.name}"
        for path, tree in modules(*PACKAGES).items()
        for node in functions(tree)
        if len(positional(node)) > MAX_POSITIONAL
        and not (path in POSITIONAL_ANYWAY and POSITIONAL_ANYWAY[path] in (None, {node.name}))
    ]
    assert many == []
