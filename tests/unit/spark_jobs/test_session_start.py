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


def test_sessions_start_one_after_the_other(monkeypatch):
    """Spark fetches Delta's jars without a lock: two first starts at once spoil each other's download."""
    running, most = [], []

    class Session:
        def getOrCreate(self):
            running.append(threading.get_ident())
            most.append(len(running))
            time.sleep(0.1)
            running.pop()
            return SimpleNamespace(sparkContext=SimpleNamespace(setLogLevel=lambda level: None))

    monkeypatch.setattr(delta, "configure_spark_with_delta_pip", lambda builder: Session())
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
def test_sparks_own_tables_do_not_lie_in_the_working_directory(spark, keeps, monkeypatch):
    """Of a catalog that outlives the session they stay where they are."""
    found = {}

    def started(builder):
        found.update(builder._options)
        session = SimpleNamespace(sparkContext=SimpleNamespace(setLogLevel=lambda level: None))
        return SimpleNamespace(getOrCreate=lambda: session)

    monkeypatch.setattr(delta, "configure_spark_with_delta_pip", started)
    monkeypatch.setattr(SparkSession, "builder", SparkSession.Builder())
    # Another test's session may run in this process: it would be taken instead of one started.
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    open_session(SessionConfig(spark=spark))
    folder = found.get("spark.sql.warehouse.dir")
    if keeps:
        assert folder == spark.get("spark.sql.warehouse.dir")
    else:
        assert Path(folder).parent == Path(tempfile.gettempdir())
