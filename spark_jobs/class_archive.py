"""Java's archive of Spark's classes: with it a local session starts and answers in two thirds of the time.

Java looks up each class in some 300 jars, checks it and lays it out in memory, at every start again: of the 25 s
of a small `parrot sql` on a slow core 9 s. The first session that runs stages writes what it has loaded when it ends
(https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html); the next ones map it. Java itself passes by
an archive that is of another Java or of other jars.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from spark_jobs.warehouse.digest import digest

_MAGIC = (0xF00BABA8).to_bytes(4, "little")  # written last: a file without it is not whole
_KEPT = 2  # archives of other environments, 180 MB each


def java_command() -> str | None:
    """The Java that Spark starts: that of JAVA_HOME, else the PATH's; None where there is none."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else shutil.which("java")


def pyspark_home() -> Path:
    """PySpark's folder, which holds Spark's jars."""
    import pyspark

    return Path(pyspark.__file__).parent


def has_own_configuration() -> bool:
    """Whether the user has configured Spark outside of parrot, by files that may say something of the class path."""
    return (
        any(name in os.environ for name in ("SPARK_CONF_DIR", "SPARK_HOME"))
        or (pyspark_home() / "conf").exists()
    )


def class_archive_option(folder: Path, jars: tuple[Path, ...], *, may_write: bool) -> str | None:
    """Java's option that takes the archive, or that writes it at the session's end where there is none.

    Args:
        folder: Where archives lie.
        jars: What is on the class path besides Spark's own jars.
        may_write: Whether this session loads what others will need. An archive is written once: with that of one
            `parrot sql` a demo took 122 s, with a demo's own 107 s (two cores).

    Returns:
        None where there is none and none is written: not by this session, into no folder that cannot be written,
        and not where Spark's own configuration folder is on the class path, which then holds more than jars.
    """
    if has_own_configuration():
        return None
    archive = folder / f"spark-classes-{_environment(pyspark_home(), jars)}.jsa"
    if _is_whole(archive):
        return f"-XX:SharedArchiveFile={archive}"
    if not may_write:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    # A space would end the option.
    if not os.access(folder, os.W_OK) or " " in str(archive):
        return None
    _make_room(folder)
    return f"-XX:ArchiveClassesAtExit={archive}"


def _environment(home: Path, jars: tuple[Path, ...]) -> str:
    """What an archive fits: this Java and these jars."""
    parts = [Path(java_command() or "java").resolve(), home / "jars", *jars]
    return digest([[str(part), part.stat().st_mtime_ns if part.exists() else 0] for part in parts])


def _is_whole(archive: Path) -> bool:
    try:
        with archive.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _make_room(folder: Path) -> None:
    with contextlib.suppress(OSError):
        archives = sorted(folder.glob("spark-classes-*.jsa"), key=lambda path: path.stat().st_mtime)
        for archive in archives[:-_KEPT]:
            archive.unlink()
