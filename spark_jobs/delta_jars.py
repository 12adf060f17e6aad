"""Delta's jars at a local session's start: fetched by Spark once, and on Java's class path in every session.

`spark.jars.packages` looks the packages up at every start again and loads them by a class loader of their own, which
Java's archive of classes leaves out: 8.5 s for a small `parrot sql`, with the jars on the class path 7.9 s.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlparse

from spark_jobs.class_archive import has_own_configuration, pyspark_home
from spark_jobs.warehouse.digest import digest

PACKAGES = "spark.jars.packages"
_CLASS_PATH = "spark.driver.extraClassPath"
# With any of them Spark resolves jars, or orders the class path, in a way that is the user's.
_OF_THE_USER = (PACKAGES, _CLASS_PATH, "spark.jars", "spark.jars.ivy", "spark.jars.ivySettings")
_FETCHING = """
from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
print(configure_spark_with_delta_pip(builder).getOrCreate().sparkContext.getConf().get("spark.jars"))
"""


def class_path_settings(jars: Sequence[Path]) -> dict[str, str]:
    """Spark's settings that put `jars` on the class path of the driver, which a local session's tasks share."""
    return {_CLASS_PATH: os.pathsep.join(map(str, jars))} if jars else {}


def is_one_process(master: str) -> bool:
    """Whether driver and tasks share a Java process: not so on a cluster, `local-cluster` among them."""
    return master == "local" or master.startswith("local[")


def may_be_on_class_path(master: str, settings: Mapping[str, str]) -> bool:
    """Whether one Java process does everything, and the user's `settings` leave jars to us.

    A cluster's workers get jars from the driver only as packages.
    """
    is_ours = is_one_process(master) and not has_own_configuration()
    return is_ours and not any(name in settings for name in _OF_THE_USER)


def known_jars(folder: Path) -> tuple[Path, ...]:
    """The jars that an earlier session of this Delta and Spark fetched; empty where none did, or one of them is gone.

    Args:
        folder: Where `fetch` left its list.
    """
    try:
        jars = tuple(Path(line) for line in _list(folder).read_text(encoding="utf-8").splitlines())
    except OSError:
        return ()
    return jars if all(jar.is_file() for jar in jars) else ()


def fetch(folder: Path, *, log: IO[bytes]) -> tuple[Path, ...]:
    """Have a session of another process fetch the jars, and remember them for the next ones.

    A session that fetches them has them in a class loader of their own, so it is not the caller's.

    Args:
        folder: Where the list of them goes; where it cannot be written, they are looked up at each start.
        log: Where that process writes what it says.

    Returns:
        The jars; empty where that session did not start, or where one of them cannot be on a class path.
    """
    with tempfile.TemporaryDirectory(prefix="parrot-spark-") as cwd:  # for what Spark leaves in its own
        done = subprocess.run(
            [sys.executable, "-c", _FETCHING],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=cwd,
            text=True,
            check=False,
        )
    lines = done.stdout.splitlines()
    jars = usable_jars(lines[-1]) if done.returncode == 0 and lines else ()
    if jars:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            path = _list(folder)
            fresh = path.with_suffix(f".{os.getpid()}")
            fresh.write_text("\n".join(map(str, jars)), encoding="utf-8")
            fresh.replace(path)
    return jars


def usable_jars(spark_jars: str) -> tuple[Path, ...]:
    """What must be on a class path besides Spark's own jars; empty where one of them cannot be.

    Args:
        spark_jars: A session's `spark.jars`, URIs parted by commas.
    """
    uris = [urlparse(uri) for uri in spark_jars.split(",") if uri]
    jars = [Path(unquote(uri.path)) for uri in uris if uri.scheme == "file"]
    others = tuple(jar for jar in jars if not _is_sparks_own(jar.name))
    # They would mean something else on a class path, or in the list.
    has_marks = any(set(str(jar)) & {os.pathsep, "*", "\n"} for jar in others)
    return () if len(jars) != len(uris) or has_marks else others


def _is_sparks_own(name: str) -> bool:
    """Whether Spark's folder has this jar; Ivy's name for it begins with its organisation."""
    return (pyspark_home() / "jars" / name.partition("_")[2]).is_file()


def _list(folder: Path) -> Path:
    versions = [importlib.metadata.version(name) for name in ("delta-spark", "pyspark")]
    return folder / f"delta-jars-{digest([str(pyspark_home()), *versions])}.txt"
