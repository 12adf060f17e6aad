"""`parrot athena`: register a warehouse on S3 in the Glue catalog, so that Athena knows its tables and views."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_jobs.errors import ConfigError, ParrotError
from spark_jobs.runner.progress import console
from spark_jobs.warehouse.addresses import is_catalog
from spark_jobs.warehouse.athena import Registered, statements
from spark_jobs.warehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig

_SECONDS_BETWEEN_LOOKS = 0.5


class AthenaError(ParrotError):
    """Raised when AWS cannot be asked, or Athena refuses a statement."""


@dataclass(frozen=True)
class Athena:
    """Where to register.

    Attributes:
        database: Glue database; made where it is not there.
        workgroup: Athena workgroup.
        output_location: Folder on S3 for Athena's results; None: that of the workgroup.
    """

    database: str
    workgroup: str = "primary"
    output_location: str | None = None


def check(warehouse: str, target: Athena) -> None:
    """Refuse, before Spark starts, what Athena cannot read.

    Raises:
        ConfigError: If the warehouse is not a folder on S3, or the database has no name that needs no quotes.
    """
    if is_catalog(warehouse):
        raise ConfigError(
            f"{warehouse} is a catalog's schema, in which each run publishes its views by itself. "
            "Give a warehouse on S3: --warehouse s3://BUCKET/FOLDER"
        )
    if not re.match(r"s3[an]?://", warehouse):
        raise ConfigError(
            f"Athena reads from S3 alone, and the warehouse is {warehouse}: --warehouse s3://BUCKET/FOLDER"
        )
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", target.database):
        raise ConfigError(
            f"cannot call a database {target.database}: small letters, digits and _, not a digit first"
        )


def print_statements(spark: SparkSession, config: RunConfig, target: Athena) -> None:
    """Print the statements, for whoever gives them to Athena; AWS is not asked anything."""
    from typer import echo

    for statement in _statements(Tables(spark, config.warehouse), target, registered={}):
        echo(f"{statement};\n")


def register(spark: SparkSession, config: RunConfig, target: Athena) -> None:
    """Give the statements to Athena, one after the other.

    Raises:
        AthenaError: If AWS cannot be asked, or a statement fails.
        WarehouseError: If a table of the database has its name from another warehouse.
    """
    with _aws_errors():
        registered = registered_tables(_client("glue"), target.database)
        wanted = _statements(Tables(spark, config.warehouse), target, registered=registered)
        athena = _client("athena")
        for statement in wanted:
            console.print(statement.splitlines()[0].removesuffix(" AS"), markup=False, highlight=False)
            run_statement(athena, statement, target)


def registered_tables(glue: Any, database: str) -> dict[str, Registered]:
    """The tables of a Glue database, by name; of views only the name counts. Empty where there is no such database."""
    found = {}
    try:
        for page in glue.get_paginator("get_tables").paginate(DatabaseName=database):
            for table in page["TableList"]:
                storage = table.get("StorageDescriptor", {})
                columns = [*storage.get("Columns", []), *table.get("PartitionKeys", [])]
                found[table["Name"]] = Registered(
                    storage.get("Location", ""), frozenset(column["Name"] for column in columns)
                )
    except glue.exceptions.EntityNotFoundException:
        return {}
    return found


def run_statement(athena: Any, statement: str, target: Athena) -> None:
    """Run one statement to its end.

    Raises:
        AthenaError: If it fails; says what Athena says.
    """
    options: dict[str, Any] = {"QueryString": statement, "WorkGroup": target.workgroup}
    if target.output_location is not None:
        options["ResultConfiguration"] = {"OutputLocation": target.output_location}
    query = athena.start_query_execution(**options)["QueryExecutionId"]
    while True:
        status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
        if status["State"] == "SUCCEEDED":
            return
        if status["State"] in ("FAILED", "CANCELLED"):
            raise AthenaError(
                f"Athena {status['State'].lower()} query {query}: "
                f"{status.get('StateChangeReason', 'no reason given')}\n"
                f"{statement.splitlines()[0]}\nThe same command may be given again: what is there already is no fault"
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _statements(tables: Tables, target: Athena, *, registered: Mapping[str, Registered]) -> list[str]:
    """All of them, before the first is run: a fault is found while nothing has been done."""
    location = re.sub("^s3[an]://", "s3://", tables.warehouse)
    return list(statements(tables, target.database, location=location, registered=registered))


def _client(service: str) -> Any:
    try:
        import boto3
    except ImportError as error:
        raise ConfigError(
            "boto3, by which Athena is asked, is not installed: pip install 'parrot-captions[athena]'. Without it, "
            "leave out --yes and give the statements to Athena yourself"
        ) from error
    return boto3.client(service)


@contextlib.contextmanager
def _aws_errors() -> Iterator[None]:
    """What AWS refuses is the user's to solve: credentials, region, rights."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        yield  # _client says it
        return
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise AthenaError(
            f"AWS cannot be asked: {error}\nCredentials and region are those of the AWS command line (AWS_PROFILE, "
            "AWS_REGION); needed are rights on Athena, Glue, the warehouse and the output location"
        ) from error
