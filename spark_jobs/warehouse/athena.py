"""What makes a warehouse on S3 known to Athena and the Glue catalog: its tables, current rows, and views for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas import ALL_TABLES, stage_runs
from spark_jobs.errors import WarehouseError
from spark_jobs.views import VIEWS
from spark_jobs.views.trino import to_trino
from spark_jobs.views.view import Relations
from spark_jobs.warehouse.views import logged_tables

if TYPE_CHECKING:
    from schemas._table import TableSpec
    from spark_jobs.warehouse.tables import Tables


@dataclass(frozen=True)
class Registered:
    """A table as the Glue catalog has it.

    Attributes:
        location: Its folder, as `s3://...`.
        columns: Names of its columns.
    """

    location: str
    columns: frozenset[str]


def statements(
    tables: Tables, database: str, *, location: str, registered: Mapping[str, Registered]
) -> Iterator[str]:
    """The statements that register a warehouse, in order.

    As in any other catalog the Delta table `NAME` is `NAME_all`, and `NAME` a view of its current rows. That view asks
    the log, so it need not be made again after each run.

    Args:
        tables: The warehouse.
        database: Glue database.
        location: Folder of the warehouse, as `s3://...`.
        registered: Tables that the database has, by name.

    Raises:
        WarehouseError: If a table of the database has its name from another warehouse.
    """
    yield f"CREATE DATABASE IF NOT EXISTS `{database}`"
    specs = [spec for spec in ALL_TABLES if tables.exists(spec)]
    columns = {spec.name: tables.read(spec).columns for spec in specs}
    for spec in specs:
        folder = f"{location.rstrip('/')}/{spec.name}/"
        there = registered.get(_stored(spec))
        yield from _table(f"{database}.{_stored(spec)}", folder, columns=columns[spec.name], there=there)
    logged = logged_tables(tables)
    for spec in specs:
        if spec.has_run_key:
            query = current_rows(spec, is_logged=spec.name in logged, prefix=f"{database}.")
            yield _view(f"{database}.{spec.name}", query)
    for view in VIEWS:
        yield _view(f"{database}.{view.name}", view.sql(Relations(columns, f"{database}.")))


def current_rows(spec: TableSpec, *, is_logged: bool, prefix: str = "") -> str:
    """The query of a table's current rows, which finds them by itself, as `current_run_keys` does.

    Args:
        spec: A table with run keys.
        is_logged: Whether the log knows the table: of each dataset the run key whose stage finished last. Elsewhere
            the only one.
        prefix: What stands before a name, `schema.`.
    """
    stored = f"{prefix}{_stored(spec)}"
    last = "max_by(run_key, unix_micros(started_at) / 1000000 + seconds)"
    finished = f"{prefix}{stage_runs.TABLE.name} WHERE event = 'finished' AND table_name = '{spec.name}'"
    key, source, rule = (
        (last, finished, "") if is_logged else ("max(run_key)", stored, " HAVING count(DISTINCT run_key) = 1")
    )
    return f"""SELECT stored.* FROM {stored} stored
JOIN (
  SELECT dataset AS of_dataset, {key} AS current_run_key FROM {source} GROUP BY dataset{rule}
) found ON stored.dataset = found.of_dataset AND stored.run_key = found.current_run_key"""


def _stored(spec: TableSpec) -> str:
    return f"{spec.name}_all" if spec.has_run_key else spec.name


def _table(name: str, folder: str, *, columns: list[str], there: Registered | None) -> Iterator[str]:
    """Athena takes columns from Delta's log when a table is created, and never again."""
    quoted = ".".join(f"`{part}`" for part in name.split("."))
    if there is not None and there.location.rstrip("/") != folder.rstrip("/"):
        raise WarehouseError(
            f"table {name} of the Glue catalog lies in {there.location}, this warehouse's in {folder}: "
            "give each warehouse a database of its own, with --database"
        )
    if there is not None and there.columns != frozenset(columns):
        yield f"DROP TABLE {quoted}"
    yield f"CREATE EXTERNAL TABLE IF NOT EXISTS {quoted}\nLOCATION '{folder}'\nTBLPROPERTIES ('table_type' = 'DELTA')"


def _view(name: str, query: str) -> str:
    return f"CREATE OR REPLACE VIEW {name} AS\n{to_trino(query)}"
