"""Write the answers of docs/cookbook.md anew, from a warehouse.

    python docs/cookbook.py demo/warehouse

The tests run every query of the page, and compare the columns that it prints.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "cookbook.md"
_NO_ROW = "*no row*"
_ABOVE_DEMO = re.compile(r"\S*/(?=demo/)")  # where the demo lies is this machine's matter
# A query, and the answer below it where there is one.
_QUERY = re.compile(
    r"```sql\n(?P<sql>.*?)\n```\n(?:\n(?P<answer>(?:\|[^\n]*\n)+(?:\n\*no row\*\n)?))?", re.DOTALL
)


def queries(page: str) -> list[tuple[str, list[str], bool]]:
    """Each query of the page, the columns printed below it, and whether the answer has rows."""
    found = []
    for match in _QUERY.finditer(page):
        lines = (match["answer"] or "").splitlines()
        head = [cell.strip() for cell in lines[0].split("|")[1:-1]] if lines else []
        found.append((match["sql"], head, len(lines) > 2 and _NO_ROW not in lines))
    return found


def with_answers(page: str, ask: Callable[[str], tuple[Sequence[str], Iterable[Sequence[object]]]]) -> str:
    """The page with the answer of each query below it.

    Args:
        page: The page.
        ask: From a query to its columns and rows.
    """

    def answered(match: re.Match[str]) -> str:
        columns, rows = ask(match["sql"])
        lines = [_line(columns), _line(["---"] * len(columns)), *map(_line, rows)]
        if len(lines) == 2:
            lines += ["", _NO_ROW]
        return f"```sql\n{match['sql']}\n```\n\n" + "\n".join(lines) + "\n"

    return _QUERY.sub(answered, page)


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(value: object) -> str:
    text = "; ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    return text.replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """Ask a warehouse, and write the page."""
    from spark_jobs.sections import SessionConfig
    from spark_jobs.session import open_session
    from spark_jobs.warehouse.tables import Tables
    from spark_jobs.warehouse.views import register_views

    spark = open_session(SessionConfig())
    register_views(Tables(spark, sys.argv[1]))

    def ask(query: str) -> tuple[Sequence[str], Iterable[Sequence[object]]]:
        frame = spark.sql(query)
        rows = [
            [_ABOVE_DEMO.sub("", cell) if isinstance(cell, str) else cell for cell in row]
            for row in frame.collect()
        ]
        return frame.columns, rows

    PAGE.write_text(with_answers(PAGE.read_text(encoding="utf-8"), ask), encoding="utf-8")


if __name__ == "__main__":
    main()
