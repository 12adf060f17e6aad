"""The views' SQL in the words of Trino, which Athena speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


def to_trino(sql: str) -> str:
    """A query of Spark's in Trino's dialect.

    sqlglot translates; what it does not know is done here: seconds and microseconds since 1970, names of scripts in
    patterns, and instants, of which Athena's views can hold none (they show UTC).

    Args:
        sql: One query.

    Raises:
        sqlglot.errors.ParseError: If it is no SQL of Spark.
        sqlglot.errors.UnsupportedError: If it holds what sqlglot cannot say in Trino's dialect.
    """
    import sqlglot

    tree = sqlglot.parse_one(sql, read="spark")
    for node in reversed(list(tree.walk())):  # what is inside comes first: a replaced node takes it along
        node.replace(_in_trino(node))
    return tree.sql(dialect="trino", pretty=True, unsupported_level=sqlglot.ErrorLevel.RAISE)


def _in_trino(node: exp.Expr) -> exp.Expr:
    from sqlglot import exp

    if isinstance(node, exp.Literal) and node.is_string:
        return exp.Literal.string(node.this.replace(r"\p{Is", r"\p{"))
    if isinstance(node, exp.UnixMicros):
        return exp.Mul(this=exp.func("to_unixtime", node.this), expression=exp.Literal.number(1_000_000))
    if isinstance(node, exp.Anonymous) and node.name.lower() == "timestamp_seconds":
        return exp.func("from_unixtime", *node.expressions)
    if isinstance(node, exp.Cast) and node.is_type("timestamptz"):
        utc = exp.AtTimeZone(this=exp.cast(node.this, "timestamptz"), zone=exp.Literal.string("UTC"))
        return exp.cast(utc, "timestamp", copy=False)
    return node
