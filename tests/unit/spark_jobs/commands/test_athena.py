"""What `parrot athena` asks AWS for: an account of moto's, and Athena's answers played by hand."""

from __future__ import annotations

import pytest

pytest.importorskip("moto", reason="extra dev brings moto, and boto3 with it")
import boto3
from moto import mock_aws

from spark_jobs.commands import athena as command
from spark_jobs.commands.athena import Athena, AthenaError, check, registered_tables, run_statement
from spark_jobs.errors import ConfigError
from spark_jobs.warehouse.athena import Registered
from tests.e2e.cli import parrot_here

TARGET = Athena("parrot", output_location="s3://bucket/results/")


@pytest.fixture
def account(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield


def test_a_statement_is_run_in_the_workgroup_with_its_results_where_they_are_wanted(account):
    client = boto3.client("athena")
    client.create_work_group(Name="team")
    run_statement(
        client, "CREATE DATABASE IF NOT EXISTS `parrot`", Athena("parrot", "team", "s3://bucket/out/")
    )
    run_statement(client, "SELECT 1", TARGET)
    (in_team,) = client.list_query_executions(WorkGroup="team")["QueryExecutionIds"]
    found = client.get_query_execution(QueryExecutionId=in_team)["QueryExecution"]
    assert found["Query"] == "CREATE DATABASE IF NOT EXISTS `parrot`"
    assert found["ResultConfiguration"]["OutputLocation"].startswith("s3://bucket/out/")
    assert len(client.list_query_executions(WorkGroup="primary")["QueryExecutionIds"]) == 1


class Answering:
    """An Athena that answers with given states, one after the other."""

    def __init__(self, *states):
        self.states = list(states)
        self.asked = {}

    def start_query_execution(self, **options):
        self.asked = options
        return {"QueryExecutionId": "q1"}

    def get_query_execution(self, **_):
        return {"QueryExecution": {"Status": self.states.pop(0)}}


def test_a_statement_is_waited_for(monkeypatch):
    waits = []
    monkeypatch.setattr(command.time, "sleep", waits.append)
    client = Answering({"State": "QUEUED"}, {"State": "RUNNING"}, {"State": "SUCCEEDED"})
    run_statement(client, "SELECT 1", Athena("parrot"))
    assert len(waits) == 2
    assert not client.states
    assert client.asked == {"QueryString": "SELECT 1", "WorkGroup": "primary"}


def test_a_statement_that_fails_says_what_athena_says():
    client = Answering({"State": "FAILED", "StateChangeReason": "FAILED: ParseException line 1:8"})
    with pytest.raises(
        AthenaError, match=r"failed query q1: FAILED: ParseException line 1:8\nCREATE VIEW a AS\n"
    ):
        run_statement(client, "CREATE VIEW a AS\nSELECT 1", TARGET)


def test_tables_that_glue_knows_with_place_and_columns(account):
    glue = boto3.client("glue")
    assert registered_tables(glue, "parrot") == {}
    glue.create_database(DatabaseInput={"Name": "parrot"})
    storage = {"Location": "s3://bucket/w/samples/", "Columns": [{"Name": "caption", "Type": "string"}]}
    glue.create_table(
        DatabaseName="parrot",
        TableInput={
            "Name": "samples_all",
            "StorageDescriptor": storage,
            "PartitionKeys": [{"Name": "dataset", "Type": "string"}],
        },
    )
    glue.create_table(DatabaseName="parrot", TableInput={"Name": "samples", "TableType": "VIRTUAL_VIEW"})
    assert registered_tables(glue, "parrot") == {
        "samples_all": Registered("s3://bucket/w/samples/", frozenset({"caption", "dataset"})),
        "samples": Registered("", frozenset()),
    }


@pytest.mark.parametrize(
    ("warehouse", "database", "words"),
    [
        ("main.parrot", "parrot", "each run publishes its views by itself"),
        ("demo/warehouse", "parrot", "Athena reads from S3 alone, and the warehouse is demo/warehouse"),
        ("s3://bucket/warehouse", "my-parrot", "cannot call a database my-parrot"),
    ],
)
def test_what_athena_cannot_read_is_refused_before_spark_starts(warehouse, database, words):
    with pytest.raises(ConfigError, match=words):
        check(warehouse, Athena(database))
    result = parrot_here("athena", "--warehouse", warehouse, "--database", database)
    assert result.returncode == 1
    assert words in result.stderr


@pytest.fixture
def two_statements(monkeypatch):
    """Two statements in place of those of a warehouse, and no session."""
    seen = []

    def made(tables, database, *, location, registered):
        seen.append((database, location, dict(registered)))
        return iter(
            ["CREATE DATABASE IF NOT EXISTS `parrot`", "CREATE OR REPLACE VIEW parrot.a AS\nSELECT 1"]
        )

    monkeypatch.setattr(command, "statements", made)
    monkeypatch.setattr("spark_jobs.session.open_session", lambda config: None)
    return seen


def test_without_yes_statements_are_printed_and_aws_is_not_asked(two_statements, monkeypatch):
    monkeypatch.setattr(command, "_client", lambda service: pytest.fail("AWS was asked"))
    result = parrot_here("athena", "--warehouse", "s3a://bucket/warehouse/")
    assert result.returncode == 0
    assert result.stdout == (
        "CREATE DATABASE IF NOT EXISTS `parrot`;\n\nCREATE OR REPLACE VIEW parrot.a AS\nSELECT 1;\n\n"
    )
    assert two_statements == [("parrot", "s3://bucket/warehouse", {})]


def test_with_yes_they_are_run_in_order(two_statements, account):
    arguments = [
        "athena",
        "--warehouse",
        "s3://bucket/warehouse",
        "--output-location",
        "s3://bucket/out/",
        "--yes",
    ]
    result = parrot_here(*arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    client = boto3.client("athena")
    ids = client.list_query_executions(WorkGroup="primary")["QueryExecutionIds"]
    run = [client.get_query_execution(QueryExecutionId=each)["QueryExecution"]["Query"] for each in ids]
    assert sorted(run) == [
        "CREATE DATABASE IF NOT EXISTS `parrot`",
        "CREATE OR REPLACE VIEW parrot.a AS\nSELECT 1",
    ]


def test_what_aws_refuses_is_told_in_words(two_statements, monkeypatch):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    result = parrot_here("athena", "--warehouse", "s3://bucket/warehouse", "--yes")
    assert result.returncode == 1
    assert "AWS cannot be asked: You must specify a region" in result.stderr
