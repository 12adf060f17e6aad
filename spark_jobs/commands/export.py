"""`parrot export`: write a subset's samples as files that trainers read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_jobs.access_mode import require_workers
from spark_jobs.errors import ConfigError
from spark_jobs.export.base import Settings
from spark_jobs.export.formats import FORMATS
from spark_jobs.export.job import Export, Outcome, run_export
from spark_jobs.query_compilation import fitted_to_size
from spark_jobs.runner.progress import console
from spark_jobs.warehouse.tables import Tables
from udfs.names import did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig

_UNREADABLE_SHOWN = 5
# Spark takes dbfs:/x; to fsspec it would be a folder of that name on whatever machine a worker runs.
_HALF_A_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)")
# With image bytes a Parquet file of 100,000 rows would be some 10 GB.
_ROWS_WITH_IMAGES = 10_000


@dataclass(frozen=True)
class ExportOptions:
    """Options of the command; None is not given.

    Attributes:
        to: Folder or URI.
        format: Name of the format.
        shard_size: Samples per file.
        with_images: Whether Parquet rows hold image bytes.
    """

    to: str
    format: str
    shard_size: int | None = None
    with_images: bool = False


def check_options(config: RunConfig, options: ExportOptions) -> None:
    """Find what is wrong with the options, before anything starts.

    Raises:
        ConfigError: As `order` does.
    """
    order(config.model_copy(update={"dataset": "any"}), "any", options)


def order(config: RunConfig, subset_id: str, options: ExportOptions) -> Export:
    """What to export, checked before anything starts.

    Raises:
        ConfigError: If the format is unknown, or an option does not go with it.
    """
    form = FORMATS.get(options.format)
    if form is None:
        hint = did_you_mean(options.format, FORMATS)
        raise ConfigError(f"unknown format {options.format}.{hint} Formats: {', '.join(FORMATS)}")
    if options.with_images and form.name != "parquet":
        raise ConfigError("--with-images goes with --format parquet; webdataset always holds the images")
    if options.shard_size is not None and options.shard_size < 1:
        raise ConfigError(f"--shard-size must be 1 or more, found {options.shard_size}")
    if options.shard_size is not None and form.rows_per_file is None:
        raise ConfigError(f"--shard-size does not go with {form.name}, which is one file")
    if _HALF_A_URI.match(options.to):
        raise ConfigError(
            f"--to {options.to} is neither a folder nor a URI: a URI is written PROTOCOL://..., a Databricks volume "
            "/Volumes/..., DBFS /dbfs/..."
        )
    default = _ROWS_WITH_IMAGES if options.with_images else form.rows_per_file
    settings = Settings(
        rows_per_file=options.shard_size or default,
        with_images=options.with_images,
        max_bytes=config.images.max_bytes,
    )
    return Export(config.dataset_name, subset_id, form, settings, options.to)


def export_subset(spark: SparkSession, config: RunConfig, export: Export) -> Outcome:
    """Export, and say what was done.

    Raises:
        SessionError: If the session takes only queries.
    """
    require_workers(spark, "parrot export")
    tables = Tables(spark, config.warehouse)
    with fitted_to_size(tables, config.session):
        outcome = run_export(tables, export)
    made = outcome.manifest
    size = sum(file.bytes for file in made.files)
    state = f"{_files(outcome.written)} written" if outcome.written else "up to date"
    console.print(
        f"{export.subset_id}: {made.rows:,} of {made.members:,} members in {_files(len(made.files))}, "
        f"{size / 1e6:,.1f} MB, {state}: {export.to}",
        markup=False,
    )
    for note in made.notes:
        console.print(note, markup=False)
    if made.unreadable:
        console.print(
            f"{len(made.unreadable):,} could not be read; the manifest lists all:",
            style="yellow",
            markup=False,
        )
        for entry in made.unreadable[:_UNREADABLE_SHOWN]:
            console.print(f"  {entry['sample_id']}: {entry['reason']}", markup=False)
    return outcome


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"
