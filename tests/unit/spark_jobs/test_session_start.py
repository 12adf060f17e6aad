"""Local sessions: how they start, and what they leave behind."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import delta
import pytest
from pyspark.sql import SparkSession

from spark_jobs.errors import WarehouseError
from spark_jobs.sections import SessionConfig
from spark_jobs.session import open_session


@pytest.fixture(autouse=True)
def no_jars_known(tmp_path, monkeypatch):
    """Sessions that have Delta fetched themselves: no other process did."""
    monkeypatch.setattr("spark_jobs.session.fetch", lambda folder, *, log: ())
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SPARK_CONF_DIR", "SPARK_HOME"):
        monkeypatch.delenv(name, raising=False)


def session():
    return SimpleNamespace(sparkContext=SimpleNamespace(setLogLevel=lambda level: None))


@pytest.fixture
def started(monkeypatch):
    """What the sessions of a test were started with: of each, Spark's settings and the packages fetched with Delta."""
    starts = []

    class Builder(SparkSession.Builder):
        def getOrCreate(self):
            starts.append((dict(self._options), None))
            return session()

    def fetching(builder, extra_packages):
        def get():
            starts.append((dict(builder._options), extra_packages))
            return session()

        return SimpleNamespace(getOrCreate=get)

    monkeypatch.setattr(delta, "configure_spark_with_delta_pip", fetching)
    monkeypatch.setattr(SparkSession, "builder", Builder())
    # Another test's session may run in this process: it would be taken instead of one started.
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    return starts


def test_sessions_start_one_after_the_other(monkeypatch):
    """Spark fetches Delta's jars without a lock: two first starts at once spoil each other's download."""
    running, most = [], []

    class Session:
        def getOrCreate(self):
            running.append(threading.get_ident())
            most.append(len(running))
            time.sleep(0.1)
            running.pop()
            return session()

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
    ((found, _),) = started
    folder = found.get("spark.sql.warehouse.dir")
    if keeps:
        assert folder == spark.get("spark.sql.warehouse.dir")
    else:
        assert Path(folder).parent == Path(tempfile.gettempdir())


@pytest.mark.parametrize("known", [True, False])
def test_delta_is_on_the_class_path_where_another_process_fetched_it(known, started, monkeypatch):
    where = "spark_jobs.session.known_jars" if known else "spark_jobs.session.fetch"
    monkeypatch.setattr(where, lambda folder, **of: (Path("/ivy/delta.jar"),))
    open_session(SessionConfig())
    ((settings, packages),) = started
    assert settings["spark.driver.extraClassPath"] == "/ivy/delta.jar"
    assert packages is None


@pytest.mark.parametrize("fetched", ["", "org.apache.hadoop:hadoop-aws:3.4.1, a:b:1"])
def test_otherwise_it_is_fetched_beside_the_users_packages(fetched, started):
    open_session(SessionConfig(spark={"spark.jars.packages": fetched} if fetched else {}))
    ((settings, packages),) = started
    assert packages == (["org.apache.hadoop:hadoop-aws:3.4.1", "a:b:1"] if fetched else [])
    assert "spark.driver.extraClassPath" not in settings


@pytest.mark.parametrize(("master", "is_ours"), [("local[2,2]", True), ("local-cluster[1,1,1024]", False)])
def test_workers_of_other_machines_start_as_spark_has_them(master, is_ours, started, monkeypatch):
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    open_session(SessionConfig(master=master))
    ((settings, _),) = started
    assert ("spark.python.daemon.module" in settings) is is_ours


def test_without_delta_the_user_hears_of_it(monkeypatch):
    def not_installed(folder):
        raise ModuleNotFoundError("No package metadata was found for delta-spark")

    monkeypatch.setattr("spark_jobs.session.known_jars", not_installed)
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    with pytest.raises(WarehouseError, match="did not start: No package metadata was found for delta-spark"):
        open_session(SessionConfig())
