"""Local sessions that start at the same time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import delta

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
