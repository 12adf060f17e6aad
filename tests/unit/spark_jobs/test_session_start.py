"""Local sessions: how they start, and what they leave behind."""

from __future__ import annotations

import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import delta
import pytest
from pyspark.sql import SparkSession

from spark_jobs.sections import SessionConfig
from spark_jobs.session import open_session


@pytest.fixture(autouse=True)
def no_jars_known(tmp_path, monkeypatch):
    """Sessions that fetch Delta."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SPARK_CONF_DIR", "SPARK_HOME"):
        monkeypatch.delenv(name, raising=False)


def session_with(jars=""):
    """A session whose `spark.jars` are these."""
    conf = SimpleNamespace(get=lambda name, default: {"spark.jars": jars}.get(name, default))
    context = SimpleNamespace(setLogLevel=lambda level: None, getConf=lambda: conf)
    return SimpleNamespace(sparkContext=context)


@pytest.fixture
def started(monkeypatch):
    """What the sessions of a test were started with: one entry each, of Spark's settings and further packages."""
    starts = []
    jars = []

    class Builder(SparkSession.Builder):
        def getOrCreate(self):
            starts.append((dict(self._options), None))
            return session_with()

    def fetching(builder, extra_packages):
        def get():
            starts.append((dict(builder._options), extra_packages))
            return session_with(",".join(jars))

        return SimpleNamespace(getOrCreate=get)

    monkeypatch.setattr(delta, "configure_spark_with_delta_pip", fetching)
    monkeypatch.setattr(SparkSession, "builder", Builder())
    # Another test's session may run in this process: it would be taken instead of one started.
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    return SimpleNamespace(starts=starts, jars=jars)


def test_sessions_start_one_after_the_other(monkeypatch):
    """Spark fetches Delta's jars without a lock: two first starts at once spoil each other's download."""
    running, most = [], []

    class Session:
        def getOrCreate(self):
            running.append(threading.get_ident())
            most.append(len(running))
            time.sleep(0.1)
            running.pop()
            return session_with()

    monkeypatch.setattr(delta, "configure_spark_with_delta_pip", lambda builder, extra_packages: Session())
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(open_session, [SessionConfig()] * 3))
    assert most == [1, 1, 1]


@pytest.mark.parametrize(
    ("spark", "keeps"),
    [
        ({}, False),
        ({"spark.sql.warehouse.dir": "mine"}, True),
        ({"spark.sql.catalogImplementation": "hive"}, True),
    ],
)
def test_sparks_own_tables_do_not_lie_in_the_working_directory(spark, keeps, started):
    """Of a catalog that outlives the session they stay where they are."""
    open_session(SessionConfig(spark=spark))
    ((found, _),) = started.starts
    folder = found.get("spark.sql.warehouse.dir")
    if keeps:
        assert folder == spark.get("spark.sql.warehouse.dir")
    else:
        assert Path(folder).parent == Path(tempfile.gettempdir())


def test_delta_is_fetched_once_and_then_on_the_class_path(started, tmp_path):
    jar = tmp_path / "io.delta_delta-spark.jar"
    jar.touch()
    started.jars.append(jar.as_uri())
    for _ in range(2):
        SparkSession.builder._options.clear()
        open_session(SessionConfig())
    (first, packages), (second, fetched) = started.starts
    assert "spark.driver.extraClassPath" not in first
    assert packages == []
    assert second["spark.driver.extraClassPath"] == str(jar)
    assert fetched is None


def test_the_users_packages_are_fetched_beside_delta(started):
    open_session(SessionConfig(spark={"spark.jars.packages": "org.apache.hadoop:hadoop-aws:3.4.1, a:b:1"}))
    ((_, packages),) = started.starts
    assert packages == ["org.apache.hadoop:hadoop-aws:3.4.1", "a:b:1"]
