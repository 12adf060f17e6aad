"""The views in Trino's dialect, as far as it can be told without Trino."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp

from schemas import ALL_TABLES
from spark_jobs.views import VIEWS
from spark_jobs.views.trino import to_trino
from spark_jobs.views.view import Relations

# What Trino 476 has, and sqlglot has no class for.
_TRINO_FUNCTIONS = {"at_timezone"}
_ALL = Relations({spec.name: spec.columns for spec in ALL_TABLES}, "parrot.")
_NONE = Relations({}, "parrot.")


def in_words(sql):
    return " ".join(to_trino(sql).split())


@pytest.mark.parametrize("relations", [_ALL, _NONE], ids=["all tables", "no table"])
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@pytest.mark.parametrize("dialect", ["trino", "athena"])
def test_every_view_is_sql_of_trino(view, relations, dialect):
    tree = sqlglot.parse_one(to_trino(view.sql(relations)), read=dialect)
    assert [column.alias for column in tree.expressions] == [field.name for field in view.columns]
    unknown = {call.name.lower() for call in tree.find_all(exp.Anonymous)} - _TRINO_FUNCTIONS
    assert not unknown, "functions of Spark that nobody has translated"
    # Athena keeps a view's columns as Hive's types, which know no time zone.
    assert not [column for column in tree.expressions if column.this.is_type("timestamptz")]
    assert not list(tree.find_all(exp.Struct, exp.Lateral))
    assert r"\p{Is" not in tree.sql(dialect)


def test_seconds_since_1970():
    assert in_words("SELECT unix_micros(t) AS a FROM x") == "SELECT TO_UNIXTIME(t) * 1000000 AS a FROM x"
    nested = in_words("SELECT timestamp_seconds(unix_micros(t) / 1000000 + s) AS a FROM x")
    assert nested == (
        "SELECT FROM_UNIXTIME(CAST(TO_UNIXTIME(t) * 1000000 AS DOUBLE) / NULLIF(1000000, 0) + s) AS a FROM x"
    )


def test_an_instant_is_shown_in_utc():
    assert in_words("SELECT CAST(t AS timestamp) AS a FROM x") == (
        "SELECT CAST(AT_TIMEZONE(CAST(t AS TIMESTAMP WITH TIME ZONE), 'UTC') AS TIMESTAMP) AS a FROM x"
    )


def test_scripts_have_no_is_before_their_names():
    assert in_words(r"SELECT a RLIKE '[\\p{IsHan}\\p{L}]' AS b FROM x") == (
        r"SELECT REGEXP_LIKE(a, '[\p{Han}\p{L}]') AS b FROM x"
    )


def test_what_cannot_be_said_is_an_error():
    with pytest.raises(sqlglot.errors.SqlglotError):
        to_trino("SELECT struct(a AS b, c) AS d FROM x")
