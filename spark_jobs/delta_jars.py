"""Delta's jars at a local session's start: fetched by Spark the first time, on Java's class path from then on.

`spark.jars.packages` looks the packages up at every start again (Ivy, some 2 s of a core) and loads them by a class
loader of their own, which Java's archive of classes leaves out.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlparse

from spark_jobs.class_archive import has_own_configuration, pyspark_home
from spark_jobs.warehouse.digest import digest

PACKAGES = "spark.jars.packages"
_CLASS_PATH = "spark.driver.extraClassPath"
# With any of them Spark resolves jars, or orders the class path, in a way that is the user's.
_OF_THE_USER = (PACKAGES, _CLASS_PATH, "spark.jars", "spark.jars.ivy", "spark.jars.ivySettings")


def class_path_settings(jars: Sequence[Path]) -> dict[str, str]:
    """Spark's settings that put `jars` on the class path of the driver, which a local session's tasks share."""
    return {_CLASS_PATH: os.pathsep.join(map(str, jars))}


def may_be_on_class_path(master: str, settings: Mapping[str, str]) -> bool:
    """Whether one Java process does everything, and the user's `settings` leave jars to us.

    A Spark cluster's workers, `local-cluster` among them, get jars from the driver only as packages.
    """
    one_process = master == "local" or master.startswith("local[")
    return one_process and not has_own_configuration() and not any(name in settings for name in _OF_THE_USER)


def known_jars(folder: Path) -> tuple[Path, ...]:
    """The jars that an earlier session of this Delta and Spark fetched; empty where none did, or one of them is gone.

    Args:
        folder: Where `remember` left its list.
    """
    try:
        jars = tuple(Path(line) for line in _list(folder).read_text(encoding="utf-8").splitlines())
    except OSError:
        return ()
    return jars if all(jar.is_file() for jar in jars) else ()


def remember(folder: Path, spark_jars: str) -> None:
    """Leave the jars of a session that fetched them for the next ones.

    Args:
        folder: Where the list goes; nothing is left where it cannot be written.
        spark_jars: The session's `spark.jars`, URIs parted by commas.
    """
    uris = [urlparse(uri) for uri in spark_jars.split(",") if uri]
    jars = [unquote(uri.path) for uri in uris if uri.scheme == "file"]
    # A colon or a star would mean something else on a class path; a jar that Spark has itself is on it already.
    usable = [jar for jar in jars if not _is_sparks_own(Path(jar).name)]
    if not usable or len(jars) != len(uris) or any(set(jar) & {os.pathsep, "*", "\n"} for jar in usable):
        return
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        path = _list(folder)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text("\n".join(usable), encoding="utf-8")
        fresh.replace(path)


def _is_sparks_own(name: str) -> bool:
    """Whether Spark's folder has this jar; Ivy's name for it begins with its organisation."""
    return (pyspark_home() / "jars" / name.partition("_")[2]).is_file()


def _list(folder: Path) -> Path:
    versions = [importlib.metadata.version(name) for name in ("delta-spark", "pyspark")]
    return folder / f"delta-jars-{digest([str(pyspark_home()), *versions])}.txt"
