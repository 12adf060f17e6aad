"""Predicates of subsets: parsed, checked against lists of what is allowed, and bound to the measures.

Spark's own parser would let `reflect`, subqueries and any function through, and would tell of an unknown column
only when a session runs; so predicates are parsed by sqlglot, and whatever is not on a list is a fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from schemas import MODEL_TABLES
from spark_jobs.errors import ConfigError
from spark_jobs.subsets.measures import Measure, measures, models_of_tables
from udfs.names import did_you_mean

if TYPE_CHECKING:
    from sqlglot import exp

_DIALECT = "spark"
_MAX_CHARACTERS = 10_000
# A measure with its model, `clip_score[ViT-B-32/openai]`; quoted text is passed over.
_OF_MODEL = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`"""
    r"|(?P<name>\b[A-Za-z_]\w*)\[(?P<model>[^\[\]`]+)\]"
)
_QUOTED_MODEL = re.compile(r"`(\w+)`\.`(\w+\[[^`]+\])`")


class PredicateError(ConfigError):
    """Raised when a predicate has faults; names all of them at once."""


@dataclass(frozen=True)
class Condition:
    """One AND-condition of a predicate.

    Attributes:
        text: As a person reads it: measures as `table.column`.
        sql: Over the columns of the frame of measures; true, false or null.
        measures: The measures it looks at.
    """

    text: str
    sql: str
    measures: tuple[Measure, ...]


@lru_cache(maxsize=1024)  # parsed when a definition is checked, and again by each who uses it
def parse_predicate(text: str) -> tuple[Condition, ...]:
    """Split a predicate into its AND-conditions, in order.

    Args:
        text: A SQL condition over measures, e.g. `image_type = 'no_text' AND clip_score > 0.3`; a measure
            whose name several tables have is written `table.column`, a score of one of several CLIP models
            `clip_score[ViT-B-32/openai]`.

    Raises:
        PredicateError: With every fault: syntax, unknown columns and functions (with the closest valid
            names), subqueries, several statements, operands that do not fit.
    """
    tree = _parsed(text)
    faults = list(dict.fromkeys(_Check(tree).faults()))
    if faults:
        raise PredicateError("; ".join(faults))
    conditions = tuple(_condition(part) for part in _conjuncts(tree))
    try:
        models_of_tables((measure for part in conditions for measure in part.measures), None)
    except ConfigError as error:
        raise PredicateError(str(error)) from error
    return conditions


def find_measure(name: str, table: str = "") -> Measure:
    """The measure of a name, with or without its table.

    Raises:
        PredicateError: If there is none, or several tables have one; names the closest, or the choices.
    """
    known = measures()
    name, _, model = name.rstrip("]").partition("[")
    if model:
        return _of_model(find_measure(name, table), model.strip())
    if table:
        found = [known[f"{table}.{name}"]] if f"{table}.{name}" in known else []
    else:
        found = [measure for measure in known.values() if measure.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise PredicateError(
            f"column {name} is in several tables: write {' or '.join(measure.full_name for measure in found)}"
        )
    given = f"{table}.{name}" if table else name
    choices = [*known] if table else sorted({measure.name for measure in known.values()})
    hint = did_you_mean(given, choices)
    if hint:
        raise PredicateError(f"unknown column {given}.{hint}")
    own = [measure.full_name for measure in known.values() if measure.table == table] or choices
    raise PredicateError(f"unknown column {given}. Columns: {', '.join(own)}")


def _of_model(measure: Measure, model: str) -> Measure:
    tables = [spec.name for spec in MODEL_TABLES]
    if measure.table not in tables:
        raise PredicateError(
            f"{measure.full_name} is of no CLIP model; those of {' and '.join(tables)} are: "
            f"{measure.name}[{model}] names none"
        )
    return replace(measure, model=model)


def _parsed(text: str) -> exp.Expression:
    import sqlglot
    from sqlglot.errors import ParseError, TokenError

    if len(text) > _MAX_CHARACTERS:
        raise PredicateError(f"a predicate has at most {_MAX_CHARACTERS:,} characters, found {len(text):,}")
    text = _OF_MODEL.sub(
        lambda found: f"`{found['name']}[{found['model']}]`" if found["model"] else found[0], text
    )
    try:
        if any(token.token_type.name == "SEMICOLON" for token in sqlglot.tokenize(text, read=_DIALECT)):
            raise PredicateError("a predicate is one condition: no semicolons")
        statements = sqlglot.parse(text, read=_DIALECT)
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        where = f" at line {first['line']}, character {first['col']}" if first.get("line") else ""
        told = str(first.get("description", error))
        told = "something is missing" if told.startswith("Required keyword") else told
        raise PredicateError(f"syntax error{where}: {told}") from error
    except TokenError as error:
        raise PredicateError(f"syntax error: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise PredicateError("the predicate is nested too deeply") from error
    tree = statements[0] if len(statements) == 1 else None
    if tree is None:
        raise PredicateError("the predicate is empty; `true` keeps every sample")
    return cast("exp.Expression", tree)


def _conjuncts(tree: exp.Expression) -> list[exp.Expression]:
    from sqlglot import exp

    inner = tree.unnest()
    if isinstance(inner, exp.And):
        return [*_conjuncts(inner.this), *_conjuncts(inner.expression)]
    return [cast("exp.Expression", inner)]


def _condition(tree: exp.Expression) -> Condition:
    from sqlglot import exp

    used = {find_measure(column.name, column.table) for column in tree.find_all(exp.Column)}
    readable, bound = exp.Paren(this=tree.copy()), exp.Paren(this=tree.copy())
    for column in list(readable.find_all(exp.Column)):
        measure = find_measure(column.name, column.table)
        name = measure.full_name.partition(".")[2]
        column.replace(exp.column(name, table=measure.table, quoted=bool(measure.model)))
    for column in list(bound.find_all(exp.Column)):
        column.replace(exp.column(find_measure(column.name, column.table).column))
    # Innermost first. Where Spark's operators end the query, these give null; size(null) is -1 without ANSI.
    for node in reversed(list(bound.find_all(exp.Div, exp.ArraySize))):
        name = "try_divide" if isinstance(node, exp.Div) else "array_size"
        node.replace(exp.Anonymous(this=name, expressions=list(node.iter_expressions())))
    return Condition(
        text=_readable(readable.this.sql(dialect=_DIALECT, comments=False)),
        sql=bound.this.sql(dialect=_DIALECT, comments=False),
        measures=tuple(sorted(used)),
    )


def _readable(sql: str) -> str:
    """SQL without the quotes around a measure that names its model, as people write it."""
    return _QUOTED_MODEL.sub(r"\1.\2", sql)


@dataclass(frozen=True)
class _Function:
    """An allowed function: its name, the kinds of its arguments (the last repeats), the kind it gives.

    `any` is any one kind, the same for all arguments; it is then the result's too.
    """

    name: str
    arguments: tuple[str, ...]
    gives: str


@lru_cache(maxsize=1)
def _functions() -> dict[type[exp.Expression], _Function]:
    from sqlglot import exp

    return {
        exp.Abs: _Function("abs", ("number",), "number"),
        exp.Ceil: _Function("ceil", ("number",), "number"),
        exp.Floor: _Function("floor", ("number",), "number"),
        exp.Round: _Function("round", ("number",), "number"),
        exp.Length: _Function("length", ("text",), "number"),
        exp.Lower: _Function("lower", ("text",), "text"),
        exp.Upper: _Function("upper", ("text",), "text"),
        exp.Trim: _Function("trim", ("text",), "text"),
        exp.Contains: _Function("contains", ("text",), "boolean"),
        exp.StartsWith: _Function("startswith", ("text",), "boolean"),
        exp.EndsWith: _Function("endswith", ("text",), "boolean"),
        exp.ArraySize: _Function("size", ("list",), "number"),
        exp.ArrayContains: _Function("array_contains", ("list", "text"), "boolean"),
        exp.Coalesce: _Function("coalesce", ("any",), "any"),
        exp.Greatest: _Function("greatest", ("any",), "any"),
        exp.Least: _Function("least", ("any",), "any"),
    }


@lru_cache(maxsize=1)
def _operators() -> dict[type[exp.Expression], _Function]:
    from sqlglot import exp

    comparison = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.Between, exp.In)
    return {
        **{kind: _Function(kind.key.upper(), ("any",), "boolean") for kind in comparison},
        **{kind: _Function(kind.key.upper(), ("boolean",), "boolean") for kind in (exp.And, exp.Or, exp.Not)},
        **{
            kind: _Function(kind.key.upper(), ("number",), "number")
            for kind in (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Neg)
        },
        **{kind: _Function(kind.key.upper(), ("text",), "boolean") for kind in (exp.Like, exp.ILike)},
        exp.Paren: _Function("()", ("any",), "any"),
    }


class _Check:
    """Finds every fault of a parsed predicate."""

    def __init__(self, tree: exp.Expression) -> None:
        self._tree = tree
        self._faults: list[str] = []

    def faults(self) -> list[str]:
        """All faults, in the order of the text."""
        kind = self._kind(self._tree)
        if kind not in (None, "boolean"):
            self._faults.append(f"{_shown(self._tree)} is a {kind}, not a condition")
        return self._faults

    def _kind(self, node: exp.Expression) -> str | None:
        """Kind of an expression's value; None where it is null or at fault already."""
        from sqlglot import exp

        if isinstance(node, exp.Literal):
            return "text" if node.is_string else "number"
        if isinstance(node, exp.Boolean):
            return "boolean"
        if isinstance(node, exp.Null):
            return None
        if isinstance(node, exp.Column):
            return self._column(node)
        if isinstance(node, exp.Is):
            return self._is(node)
        rule = _functions().get(type(node)) or _operators().get(type(node))
        if rule is None or self._has_extras(node):
            self._faults.append(_refusal(node))
            return None
        return self._apply(node, rule)

    def _column(self, node: exp.Column) -> str | None:
        from sqlglot import exp

        if not isinstance(node.this, exp.Identifier) or node.args.get("db"):
            self._faults.append(f"{_shown(node)} is not a column: write column or table.column")
            return None
        try:
            return find_measure(node.name, node.table).kind
        except PredicateError as error:
            self._faults.append(str(error))
            return None

    def _is(self, node: exp.Is) -> str:
        from sqlglot import exp

        kind = self._kind(node.this)
        if not isinstance(node.expression, exp.Null | exp.Boolean):
            self._faults.append(f"{_shown(node)}: IS goes with NULL, TRUE or FALSE")
        elif isinstance(node.expression, exp.Boolean) and kind not in (None, "boolean"):
            self._faults.append(f"{_shown(node)}: {_shown(node.this)} is a {kind}, not a condition")
        return "boolean"

    def _has_extras(self, node: exp.Expression) -> bool:
        """Whether an allowed node carries a part that is not: a subquery after IN, a side of TRIM."""
        from sqlglot import exp

        if isinstance(node, exp.In):
            return any(node.args.get(part) for part in ("query", "unnest", "field"))
        return isinstance(node, exp.Trim) and any(node.args.get(part) for part in ("expression", "position"))

    def _apply(self, node: exp.Expression, rule: _Function) -> str | None:
        operands = list(node.iter_expressions())
        kinds = [self._kind(operand) for operand in operands]
        known = [kind for kind in kinds if kind is not None]
        if rule.arguments == ("any",):
            if len(set(known)) > 1:
                self._faults.append(f"{_shown(node)} compares a {known[0]} with a {_other(known)}")
            return (known[0] if known else None) if rule.gives == "any" else rule.gives
        for place, (operand, kind) in enumerate(zip(operands, kinds, strict=True)):
            wanted = rule.arguments[min(place, len(rule.arguments) - 1)]
            if kind not in (None, wanted):
                self._faults.append(f"{_shown(node)}: {_shown(operand)} is a {kind}, expected a {wanted}")
        return rule.gives


def _other(kinds: list[str]) -> str:
    return next(kind for kind in kinds if kind != kinds[0])


def _refusal(node: exp.Expression) -> str:
    """Why a part of a predicate is not allowed, and what is."""
    from sqlglot import exp

    queries = (exp.Query, exp.Subquery, exp.Exists, exp.In)
    if isinstance(node, queries):
        return "subqueries are not allowed in a predicate"
    if isinstance(node, exp.AggFunc | exp.Window):
        return f"{_shown(node)}: aggregates are not allowed, a predicate looks at one sample"
    names = sorted(function.name for function in _functions().values())
    if isinstance(node, exp.Func):
        name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
        name = name.lower().removeprefix("try_")
        if name in names:
            return f"{_shown(node)}: this form of {name} is not allowed"
        return f"function {name} is not allowed.{did_you_mean(name, names)} Functions: {', '.join(names)}"
    return (
        f"{_shown(node)} is not allowed in a predicate; allowed are comparisons, AND, OR, NOT, IN, BETWEEN, "
        f"LIKE, ILIKE, IS NULL, + - * / and the functions {', '.join(names)}"
    )


def _shown(node: exp.Expression) -> str:
    text = node.sql(dialect=_DIALECT, comments=False)
    return text if len(text) <= 80 else text[:77] + "..."
