"""What tables hold for a dataset, as a hash: work on whole tables is done again where it has changed."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from schemas import TABLES
from schemas._table import TableSpec
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.query_cache import Question

if TYPE_CHECKING:
    from spark_jobs.warehouse.tables import Tables

Content = Mapping[str, list[list[object]]]
"""By table, in order: [shard, input key, status, rows] of sample-level tables, [input key, rows] of the others."""

_GROUPS = ("shard_id", "input_key", "status")
_CONTENT = Question("content", version=1)


def content_key(tables: Tables, dataset: str, run_keys: Mapping[str, str]) -> str:
    """Hash of what tables hold for a dataset: the set of (shard, run key, input key) and the statuses.

    Statuses are in it because a row that is done again (`--retry-failed`) keeps its input key.

    Args:
        tables: The warehouse.
        dataset: The dataset.
        run_keys: Run key by table.
    """
    return content_digest(run_keys, table_content(tables, dataset, run_keys))


def content_digest(run_keys: Mapping[str, str], content: Content) -> str:
    """`content_key` of some tables, from the content of these and others."""
    return digest({"run_keys": dict(run_keys), "content": {name: content[name] for name in run_keys}})


def input_keys_in(spec: TableSpec, content: Content) -> set[object]:
    """The input keys of the rows that a table holds."""
    place = _groups_of(spec).index("input_key")
    return {row[place] for row in content[spec.name]}


def table_content(tables: Tables, dataset: str, run_keys: Mapping[str, str]) -> dict[str, list[list[object]]]:
    """What each table holds; only those that have changed are asked, in one query over all of them."""
    questions = {name: _CONTENT.of(dataset=dataset, run_key=run_key) for name, run_key in run_keys.items()}

    def ask(names: list[str]) -> dict[str, list[list[object]]]:
        return _asked_content(tables, dataset, {name: run_keys[name] for name in names})

    return tables.answer_each([TABLES[name] for name in run_keys], questions, ask)


def _groups_of(spec: TableSpec) -> list[str]:
    return [group for group in _GROUPS if group in spec.columns]


def _asked_content(
    tables: Tables, dataset: str, run_keys: Mapping[str, str]
) -> dict[str, list[list[object]]]:
    from pyspark.sql import functions as F

    parts: dict[str, list[list[object]]] = {name: [] for name in run_keys}
    own = {name: _groups_of(TABLES[name]) for name in run_keys}
    frames = []
    for name, run_key in sorted(run_keys.items()):
        frame = tables.read(TABLES[name], dataset=dataset, run_key=run_key)
        columns = [F.col(group) if group in own[name] else F.lit(None).alias(group) for group in _GROUPS]
        frames.append(frame.select(F.lit(name).alias("table_name"), *columns))
    union = functools.reduce(lambda first, second: first.unionByName(second), frames)
    for row in union.groupBy("table_name", *_GROUPS).count().collect():
        name = row["table_name"]
        parts[name].append([*(row[group] for group in own[name]), row["count"]])
    return {name: sorted(rows) for name, rows in parts.items()}
