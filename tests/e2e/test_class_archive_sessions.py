"""Sessions of two processes: one has Delta's jars fetched and leaves the archive of classes, the next takes it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from spark_jobs.class_archive import class_archive_option
from spark_jobs.delta_jars import known_jars

_SESSION = """
from spark_jobs.sections import SessionConfig
from spark_jobs.session import open_session

spark = open_session(SessionConfig(master="local[1]", driver_memory="1g"), runs_stages=True)
spark.range(3).write.format("delta").save({folder!r})
assert spark.read.format("delta").load({folder!r}).count() == 3
"""
_ARCHIVED = "shared objects file (top)"
_PATIENCE_SECONDS = 120


def classes_of_a_session(home):
    """The classes that a session below this home loads, as Java logs them."""
    logs = home / "logs"
    logs.mkdir(exist_ok=True)
    for log in logs.iterdir():
        log.unlink()
    environment = {
        **os.environ,
        "HOME": str(home),
        "JAVA_TOOL_OPTIONS": f"-Xlog:class+load=info:file={logs}/%p.log",
    }
    with tempfile.TemporaryDirectory(dir=home) as folder:
        session = _SESSION.format(folder=f"{folder}/table")
        subprocess.run([sys.executable, "-c", session], env=environment, check=True, timeout=300)
    return max((log.read_text().splitlines() for log in logs.iterdir()), key=len)


def archived(classes, package):
    """How many of these classes come from the archive."""
    return sum(_ARCHIVED in line and package in line for line in classes)


def test_the_second_session_takes_sparks_and_deltas_classes_from_the_archive(tmp_path, monkeypatch):
    for name in ("SPARK_CONF_DIR", "SPARK_HOME"):
        monkeypatch.delenv(name, raising=False)
    cache = tmp_path / ".cache" / "parrot"
    # Ivy's folder is found by Java's own idea of the home: the jars are there already, or fetched now.
    assert archived(classes_of_a_session(tmp_path), "") == 0
    jars = known_jars(cache)
    assert {jar.name.partition("_")[0] for jar in jars} == {"io.delta"}
    end = time.monotonic() + _PATIENCE_SECONDS
    while class_archive_option(cache, jars, may_write=False) is None:
        assert time.monotonic() < end, "Java wrote no archive"
        time.sleep(0.5)
    classes = classes_of_a_session(tmp_path)
    assert archived(classes, "") > 5_000
    assert archived(classes, " org.apache.spark.sql.delta.") > 300
