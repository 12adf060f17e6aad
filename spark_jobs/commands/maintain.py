"""`parrot maintain`: compact tables, remove rows that nothing reads any more, vacuum."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from schemas import ALL_TABLES, TABLES
from schemas._table import TableSpec
from spark_jobs.access_mode import require_workers
from spark_jobs.runner.old_rows import OldRows, find_old_rows
from spark_jobs.runner.progress import console, output_console
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.upkeep import KEEP_HOURS, Size, compact, remove_rows, size_of, vacuum

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig


def maintain(spark: SparkSession, config: RunConfig, *, days: int, does_it: bool) -> None:
    """Show what would be removed and compacted; do it where asked to.

    Args:
        spark: The session.
        config: Names the warehouse.
        days: Rows that nothing reads are removed once they were finished so long ago.
        does_it: Whether to do it.

    Raises:
        SessionError: If the session takes only queries.
        StageError: If a run is writing what would be removed.
    """
    require_workers(spark, "parrot maintain")
    tables = Tables(spark, config.warehouse)
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    old = find_old_rows(tables, before=before.timestamp())
    specs = [spec for spec in ALL_TABLES if tables.exists(spec)]
    sizes = {spec.name: size_of(tables, spec) for spec in specs}
    _print_old(old, days)
    if not does_it:
        _print_sizes(specs, sizes, {})
        output_console().print("Nothing was changed: --yes removes the rows above, compacts and vacuums.")
        return
    for rows in old:
        remove_rows(tables, TABLES[rows.table], dataset=rows.dataset, run_key=rows.run_key)
    for spec in specs:
        console.print(f"{spec.name}: compacting", markup=False)
        compact(tables, spec)
        vacuum(tables, spec)
    _print_sizes(specs, sizes, {spec.name: size_of(tables, spec) for spec in specs})
    output_console().print(
        f"Files that earlier versions show are deleted once they are {KEEP_HOURS // 24} days old.",
        soft_wrap=True,
    )


def _print_old(old: Sequence[OldRows], days: int) -> None:
    if not old:
        output_console().print(f"No rows that nothing reads are older than {days} days.")
        return
    shown = Table(
        "dataset", "table", "run key", "rows", "finished (UTC)", title="rows that nothing reads any more"
    )
    for rows in old:
        ended = datetime.datetime.fromtimestamp(rows.ended, datetime.UTC)
        shown.add_row(rows.dataset, rows.table, rows.run_key, f"{rows.rows:,}", f"{ended:%Y-%m-%d %H:%M}")
    output_console().print(shown)


def _print_sizes(specs: Sequence[TableSpec], before: dict[str, Size], after: dict[str, Size]) -> None:
    shown = Table("table", "files", "MB")
    if after:
        shown.add_column("files now")
        shown.add_column("MB now")
    for spec in specs:
        sizes = [before[spec.name], *([after[spec.name]] if after else [])]
        cells = [cell for size in sizes for cell in (f"{size.files:,}", f"{size.bytes / 1e6:,.1f}")]
        shown.add_row(spec.name, *cells)
    output_console().print(shown)
