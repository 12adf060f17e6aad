"""Sessions of two processes: the first leaves Java's archive of Spark's classes, the second takes them from it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from spark_jobs.class_archive import class_archive_option

_SESSION = """
from spark_jobs.sections import SessionConfig
from spark_jobs.session import open_session

spark = open_session(SessionConfig(master="local[1]", driver_memory="1g"))
assert spark.range(3).count() == 3
"""
_PATIENCE_SECONDS = 120


def classes_from_the_archive(home):
    """How many classes a session takes from the archive below this home."""
    logs = home / "logs"
    logs.mkdir(exist_ok=True)
    for log in logs.iterdir():
        log.unlink()
    environment = {
        **os.environ,
        "HOME": str(home),
        "JAVA_TOOL_OPTIONS": f"-Xlog:class+load=info:file={logs}/%p.log",
    }
    subprocess.run([sys.executable, "-c", _SESSION], env=environment, check=True, timeout=300)
    return max(log.read_text().count("shared objects file (top)") for log in logs.iterdir())


def test_the_second_session_takes_sparks_classes_from_the_archive(tmp_path, monkeypatch):
    for name in ("SPARK_CONF_DIR", "SPARK_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert classes_from_the_archive(tmp_path) == 0
    end = time.monotonic() + _PATIENCE_SECONDS
    while not str(class_archive_option(tmp_path / ".cache" / "parrot")).startswith("-XX:SharedArchiveFile"):
        assert time.monotonic() < end, "Java wrote no archive"
        time.sleep(0.5)
    assert classes_from_the_archive(tmp_path) > 5_000
