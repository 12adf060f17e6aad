"""The SQL of the pages' commands names tables, views and columns that there are."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.qualify import qualify

from schemas import ALL_TABLES
from spark_jobs.views import VIEWS
from tests.unit.test_docs import parrot_commands


def known() -> dict[str, dict[str, str]]:
    """Columns and types by table or view."""
    found = {
        name: {field.name: field.dataType.simpleString() for field in spec.schema.fields}
        for spec in ALL_TABLES
        for name in (spec.name, f"{spec.name}_all")
    }
    return found | {
        view.name: {field.name: field.dataType.simpleString() for field in view.columns} for view in VIEWS
    }


def check_query(query: str) -> None:
    """Resolve every name of a query."""
    tree = sqlglot.parse_one(query, read="databricks")
    there = {*known(), *(cte.alias for cte in tree.find_all(exp.CTE))}
    for table in tree.find_all(exp.Table):
        assert table.name in there, f"there is no table {table.name}"
    qualify(tree, schema=known(), dialect="databricks")  # raises where a column is of no table


def queries() -> list[tuple[str, str]]:
    """The last words of all `parrot sql` commands, by page."""
    return [(page, words[-1]) for page, words in parrot_commands() if words[0] == "sql"]


def test_queries_are_found():
    assert len(queries()) > 10


@pytest.mark.parametrize(("page", "query"), queries(), ids=lambda value: value[:50])
def test_a_query_of_the_pages_names_what_there_is(page, query):
    check_query(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT cotrr FROM caption_overlap",
        "SELECT o.score FROM caption_overlap o JOIN samples USING (sample_id)",
        "SELECT count(*) FROM caption_overlaps",
    ],
)
def test_a_wrong_query_would_be_found(query):
    with pytest.raises((OptimizeError, AssertionError), match=r"score|cotrr|there is no table"):
        check_query(query)
