"""Which sessions run stages, and what the others say."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from spark_jobs import session
from spark_jobs.access_mode import CONNECT, SERVERLESS, STANDARD, access_mode, is_remote, require_workers
from spark_jobs.commands.export import export_subset
from spark_jobs.commands.run import run_stages
from spark_jobs.config import load_config
from spark_jobs.errors import SessionError
from spark_jobs.pipeline import STAGES, select
from spark_jobs.warehouse.tables import Tables

CLASSIC_MODULE = "pyspark.sql.session"
CONNECT_MODULE = "pyspark.sql.connect.session"
OF_PARROT = ("DATABRICKS_RUNTIME_VERSION", "IS_SERVERLESS", "PYSPARK_GATEWAY_PORT", "SPARK_REMOTE")


def session_of(module: str) -> object:
    """A session whose class has this module, and that has nothing else."""
    return type("SparkSession", (), {"__module__": module})()


@pytest.fixture(autouse=True)
def no_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OF_PARROT:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("module", "environment", "expected"),
    [
        (CLASSIC_MODULE, {}, None),
        (CLASSIC_MODULE, {"DATABRICKS_RUNTIME_VERSION": "17.3"}, None),  # dedicated access mode
        ("connectors.session", {}, None),
        (CONNECT_MODULE, {}, CONNECT),
        ("databricks.connect.session", {}, CONNECT),
        (CONNECT_MODULE, {"DATABRICKS_RUNTIME_VERSION": "17.3"}, STANDARD),
        (CONNECT_MODULE, {"DATABRICKS_RUNTIME_VERSION": "client.4.9"}, SERVERLESS),
        (CONNECT_MODULE, {"DATABRICKS_RUNTIME_VERSION": "17.3", "IS_SERVERLESS": "TRUE"}, SERVERLESS),
    ],
)
def test_the_access_mode_follows_from_the_session_and_the_environment(module, environment, expected):
    assert access_mode(module, environment) == expected
    assert is_remote(session_of(module)) == (expected is not None)


@pytest.mark.parametrize(
    ("runtime", "named", "advice"),
    [
        ("17.3", "standard access mode, once called shared", "data_security_mode: SINGLE_USER"),
        ("client.4.9", "serverless compute", "dedicated access mode"),
        (None, "Spark Connect", "spark-submit"),
    ],
)
@pytest.mark.parametrize("name", [stage.name for stage in STAGES if stage.writes])
def test_a_stage_names_the_access_mode_and_what_to_do(name, runtime, named, advice, monkeypatch, tmp_path):
    if runtime:
        monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", runtime)
    config = load_config(options={"warehouse": str(tmp_path), "dataset": "d"})
    with pytest.raises(SessionError, match=f"stage {name} cannot run here") as caught:
        run_stages(session_of(CONNECT_MODULE), config, select([name]))
    for words in (named, advice, "parrot sql, status and report"):
        assert words in str(caught.value)


def test_an_export_is_refused_too(tmp_path):
    config = load_config(options={"warehouse": str(tmp_path)})
    with pytest.raises(SessionError, match="parrot export cannot run here"):
        export_subset(session_of(CONNECT_MODULE), config, SimpleNamespace())


def test_a_session_of_this_process_is_let_be():
    require_workers(session_of(CLASSIC_MODULE), "stage embed")


def test_tables_ask_a_remote_session_by_queries_alone():
    """It has no JVM to ask for Delta's log; a stand-in without any attribute but `sql` would show it."""
    asked = []

    def sql(query):
        asked.append(query)
        return SimpleNamespace(collect=lambda: [{"version": 7}])

    remote = session_of(CONNECT_MODULE)
    type(remote).sql = staticmethod(sql)
    from schemas import samples

    tables = Tables(remote, "s3://bucket/warehouse")
    assert tables.exists(samples.TABLE)
    assert tables.version(samples.TABLE) == 7
    assert asked == [
        "DESCRIBE DETAIL delta.`s3://bucket/warehouse/samples`",
        "DESCRIBE HISTORY delta.`s3://bucket/warehouse/samples` LIMIT 1",
    ]


def test_a_server_of_spark_connect_is_somebody_elses_spark(monkeypatch):
    assert not session.on_cluster()
    monkeypatch.setenv("SPARK_REMOTE", "sc://host")
    assert session.on_cluster()
