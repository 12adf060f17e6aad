"""What a Spark session can do: stages want one whose driver is this process, queries run on Spark Connect too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spark_jobs.errors import SessionError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONNECT = "Spark Connect"
SERVERLESS = "serverless compute (Spark Connect)"
STANDARD = "standard access mode, once called shared (Spark Connect)"


def is_remote(spark: SparkSession) -> bool:
    """Whether the session speaks to Spark through Spark Connect: this process has neither JVM nor sparkContext."""
    return access_mode(type(spark).__module__, {}) is not None


def access_mode(session_module: str, environment: Mapping[str, str]) -> str | None:
    """The access mode of a session that only takes queries; None of one whose driver is this process.

    Args:
        session_module: Module of the session's class.
        environment: Environment variables of this process.
    """
    if "connect" not in session_module.split("."):
        return None
    runtime = environment.get("DATABRICKS_RUNTIME_VERSION", "")
    # Serverless has versions of its client (client.4.9) in place of those of a runtime (17.3).
    if runtime.startswith("client") or environment.get("IS_SERVERLESS", "").lower() == "true":
        return SERVERLESS
    return STANDARD if runtime else CONNECT


def require_workers(spark: SparkSession, what: str) -> None:
    """Refuse what needs this process to be Spark's driver: models and packages on workers, sparkContext, Delta's log.

    Args:
        spark: The session.
        what: What was asked for, such as `stage embed`.

    Raises:
        SessionError: If the session takes only queries; names its access mode.
    """
    mode = access_mode(type(spark).__module__, os.environ)
    if mode is None:
        return
    instead = (
        "Start it with spark-submit, or where no SPARK_REMOTE is set"
        if mode == CONNECT
        else "Run it on a cluster in dedicated access mode (data_security_mode: SINGLE_USER), as the jobs of "
        "deploy/databricks do"
    )
    raise SessionError(
        f"{what} cannot run here: this session is of {mode}, where parrot can neither bring its models and packages "
        f"to the Python workers nor use the sparkContext. {instead}. What only asks works here: parrot sql, status "
        "and report"
    )
