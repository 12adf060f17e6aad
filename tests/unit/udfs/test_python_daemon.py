"""What the daemon of Python workers leaves on their path."""

from __future__ import annotations

import pytest

from udfs.python_daemon import leave_archives_out


@pytest.fixture
def others(tmp_path):
    """A path with PySpark installed in its last folder, and an archive of the user's."""
    packages = tmp_path / "site-packages"
    (packages / "pyspark").mkdir(parents=True)
    (packages / "pyspark" / "__init__.py").touch()
    return ["", "/home/user/my.zip.d", "/home/user/spotter.zip", str(packages)]


@pytest.fixture
def sparks(others):
    """Spark's archives, below PySpark's folder."""
    home = f"{others[-1]}/pyspark"
    return [
        f"{home}/python/lib/pyspark.zip",
        f"{home}/python/lib/py4j-src.zip",
        f"{home}/jars/spark-core.jar",
    ]


def test_archives_and_what_python_knows_of_them_are_left_out(others, sparks):
    path = [others[0], *sparks, *others[1:]]
    importers = dict.fromkeys([*others, *sparks, f"{sparks[0]}/pyspark", f"{sparks[2]}/org"])
    leave_archives_out(path, importers)
    assert path == others
    assert list(importers) == others


def test_where_pyspark_is_in_an_archive_alone_it_stays(sparks):
    path, importers = [*sparks], dict.fromkeys(sparks)
    leave_archives_out(path, importers)
    assert path == sparks
    assert list(importers) == sparks
