"""What the daemon of Python workers leaves on their path."""

from __future__ import annotations

from udfs import python_daemon
from udfs.python_daemon import leave_archives_out

SPARKS = [
    "/spark/python/lib/pyspark.zip",
    "/spark/python/lib/py4j-0.10.9.9-src.zip",
    "/spark/jars/spark-core.jar",
]
OTHERS = ["", "/home/user/my.zip.d", "/env/lib/python3.11/site-packages"]


def test_archives_and_what_python_knows_of_them_are_left_out():
    path = [OTHERS[0], *SPARKS, *OTHERS[1:]]
    importers = dict.fromkeys([*OTHERS, *SPARKS, f"{SPARKS[0]}/pyspark", f"{SPARKS[2]}/org"])
    leave_archives_out(path, importers)
    assert path == OTHERS
    assert list(importers) == OTHERS


def test_where_pyspark_is_in_an_archive_alone_it_stays(monkeypatch):
    monkeypatch.setattr(python_daemon, "find_spec", lambda name: None)
    path, importers = [*SPARKS], dict.fromkeys(SPARKS)
    leave_archives_out(path, importers)
    assert path == SPARKS
    assert list(importers) == SPARKS
