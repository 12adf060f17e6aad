"""Who imports whom inside the three packages, and where that goes in a circle.

`python -m tests.import_graph` prints the circles; it ends with exit code 1 if there are any.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("schemas", "udfs", "spark_jobs")


def import_graph(root: Path = ROOT, packages: tuple[str, ...] = PACKAGES) -> dict[str, set[str]]:
    """Modules of the packages by name, with the modules that each one's text imports.

    Every import statement counts: at the top, in functions, and for type checking only. `from a import b` is an
    import of module `a.b` where there is one, else of `a`; that `a` is loaded before `a.b` is Python's doing,
    not a use of it.
    """
    paths = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in packages
        for path in (root / package).rglob("*.py")
    }
    return {name: _imports(path, set(paths)) - {name} for name, path in sorted(paths.items())}


def _imports(path: Path, modules: set[str]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & modules
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            inner = named & modules
            found |= inner | ({node.module} & modules if inner != named else set())
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules of which each reaches every other one, the largest first."""
    reach = {name: _reached(graph, name) for name in graph}
    groups = {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in graph
        if name in reach[name]
    }
    return sorted((sorted(group) for group in groups), key=lambda group: (-len(group), group))


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph[name]
    return reached


def main() -> int:
    """Print the circles; the number of them decides the exit code."""
    graph = import_graph()
    found = circles(graph)
    edges = sum(len(names) for names in graph.values())
    print(f"{len(graph)} modules, {edges} imports, {len(found)} circle(s)")  # noqa: T201
    for group in found:
        print(f"circle of {len(group)}:")  # noqa: T201
        for name in group:
            print(f"  {name} -> {', '.join(sorted(graph[name] & set(group)))}")  # noqa: T201
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
