"""Bring model files where workers can read them: once, by the driver, never by download races."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from spark_jobs.session import is_local

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from udfs.weights import WeightFile

# Databricks' own. /mnt is a disk of each node on EMR, and what is mounted elsewhere is not known here: it is shipped.
_SHARED_ROOTS = ("/Volumes/", "/dbfs/")


def ship_files(spark: SparkSession, files: Iterable[WeightFile]) -> None:
    """Ship files to every executor, unless workers see the driver's disk or a shared one.

    Workers look for the path first, then for the file's staged name among Spark's files.
    """
    if is_local(spark):
        return
    for file in files:
        if not is_on_every_node(file.path):
            ship_file(spark, file)


def is_on_every_node(path: Path) -> bool:
    """Whether a cluster's nodes are known to see the same file at this path."""
    return str(path).startswith(_SHARED_ROOTS)


def ship_file(spark: SparkSession, file: WeightFile) -> None:
    """Give a file to Spark under its staged name.

    A copy, not the file itself: `addFile` resolves links (a hub's cache is made of them) and ships what they
    point to under that name, and it refuses two files of one name.
    """
    folder = Path(tempfile.mkdtemp(prefix="parrot-weights-"))
    copy = folder / file.staged_name
    shutil.copyfile(file.path, copy)
    spark.sparkContext.addFile(str(copy))
