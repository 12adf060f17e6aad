"""The Spark session: the cluster's own where there is one, else a local one with Delta."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from spark_jobs.class_archive import class_archive_option, has_own_configuration
from spark_jobs.delta_jars import (
    PACKAGES,
    class_path_settings,
    fetch,
    is_one_process,
    known_jars,
    may_be_on_class_path,
)
from spark_jobs.errors import WarehouseError
from spark_jobs.sections import SessionConfig, cache_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A local run is many small queries: compiling them to the last degree costs more than it gains
# (ingest, embed and statistics of 60 samples: 81 s with Java's defaults, 46 s so).
# With the first tier alone Java reserves 48 MB for machine code; once Spark's classes have filled them, a
# sweeper throws methods out as fast as they are compiled (15 % of a long session's CPU time).
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC"
_LOCAL_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    # First come, first served would let a chunk's commit wait until the next chunk's last task has begun.
    "spark.scheduler.mode": "FAIR",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Delta reads its log with 50 partitions by default: 50 tasks per commit on two cores. With one, a commit and a
    # read cost a sixth less than with two.
    "spark.databricks.delta.snapshotPartitions": "1",
    # Delta's vacuum lists a table's folders with 10,000 tasks by default: minutes on two cores for a few files.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "16",
    "spark.sql.legacy.createHiveTableByDefault": "false",
    # Every large tensor is otherwise given back to the system and faulted in again: 15 % of a text
    # spotter's time. Must be in the workers' environment before they start.
    "spark.executorEnv.MALLOC_MMAP_THRESHOLD_": "4294967296",
    "spark.executorEnv.MALLOC_TRIM_THRESHOLD_": "4294967296",
}


def on_cluster() -> bool:
    """Whether somebody else has set up Spark: Databricks, `spark-submit` (EMR), or a server of Spark Connect."""
    return any(
        name in os.environ for name in ("DATABRICKS_RUNTIME_VERSION", "PYSPARK_GATEWAY_PORT", "SPARK_REMOTE")
    )


def is_local(spark: SparkSession) -> bool:
    """Whether workers run on the driver's machine."""
    return str(spark.sparkContext.master).startswith("local")


def task_slots(spark: SparkSession) -> int:
    """Tasks that run at once; of a cluster that grows, those of now."""
    context = spark.sparkContext
    local = re.match(r"local\[(\d+|\*)", str(context.master))
    if local is None:
        return 1 if is_local(spark) else max(1, int(context.defaultParallelism))
    return (os.cpu_count() or 1) if local[1] == "*" else int(local[1])


def log_file() -> Path:
    """Where the local JVM's own output goes: it is not the user's."""
    return Path(tempfile.gettempdir()) / f"parrot-spark-{os.getuid()}.log"


def open_session(config: SessionConfig, *, runs_stages: bool = False) -> SparkSession:
    """Take the cluster's session, or start a local one with Delta.

    Args:
        config: Settings of a local one.
        runs_stages: Whether it loads most of the classes that any session needs, so that it may leave Java's
            archive of them for the next ones.

    Raises:
        WarehouseError: If a local session does not start (no Java, Delta's jars not to be had).
    """
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    if on_cluster():
        return SparkSession.builder.getOrCreate()
    return _local_session(config, runs_stages=runs_stages)


def _local_session(config: SessionConfig, *, runs_stages: bool) -> SparkSession:
    # PySpark turns timestamps into local time whatever the session's time zone is.
    os.environ["TZ"] = "UTC"
    time.tzset()
    # Workers would otherwise start the system's Python, which lacks our packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        session = _started(config, runs_stages=runs_stages)
    except Exception as error:
        raise WarehouseError(
            f"Spark did not start: {str(error).splitlines()[0]}\n"
            f"It needs Java 17 (JAVA_HOME or `java` on the PATH) and, at its first start, Maven Central for "
            f"Delta's jars. Its own output is in {log_file()}"
        ) from error
    session.sparkContext.setLogLevel("OFF")
    _leave_query_errors_to_us()
    return session


def _started(config: SessionConfig, *, runs_stages: bool) -> SparkSession:
    from pyspark.sql import SparkSession

    jars = _delta_jars(config)
    settings = {
        **_LOCAL_SETTINGS,
        **class_path_settings(jars),
        "spark.driver.extraJavaOptions": _java_options(jars, may_write_archive=runs_stages),
        **_workers(config),
        **_catalog_folder(config),
        "spark.driver.memory": config.driver_memory,
        "spark.sql.shuffle.partitions": str(config.shuffle_partitions),
        "spark.default.parallelism": str(config.shuffle_partitions),
        **config.spark,
    }
    builder = SparkSession.builder.appName("parrot").master(config.master)
    for key, value in settings.items():
        builder = builder.config(key, value)
    with _one_start_at_a_time(), _quiet_jvm():
        return (builder if jars else _with_delta_fetched(builder, config)).getOrCreate()


def _leave_query_errors_to_us() -> None:
    """Spark 4 writes a faulty query with two stack traces to standard error, and then raises it all the same."""
    with contextlib.suppress(ImportError):  # Spark 3.5 does not
        from pyspark.logger import PySparkLogger

        for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
            PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)


def _workers(config: SessionConfig) -> dict[str, str]:
    """Workers of PySpark as it is installed here, where it is this Python that they run.

    A cluster's workers may get our packages with a task only, after their daemon has started.
    """
    is_here = is_one_process(config.master) and os.environ["PYSPARK_PYTHON"] == sys.executable
    return (
        {"spark.python.daemon.module": "udfs.python_daemon"}
        if is_here and not has_own_configuration()
        else {}
    )


def _delta_jars(config: SessionConfig) -> tuple[Path, ...]:
    """What the session has on its class path; empty where Spark has to fetch Delta for it."""
    if not may_be_on_class_path(config.master, config.spark):
        return ()
    with _one_start_at_a_time():
        known = known_jars(cache_folder())
        if known:
            return known
        with log_file().open("ab") as log:
            return fetch(cache_folder(), log=log)


def _with_delta_fetched(builder: SparkSession.Builder, config: SessionConfig) -> SparkSession.Builder:
    """Have Spark fetch Delta's jars and those of the user's own packages."""
    from delta import configure_spark_with_delta_pip

    others = [name.strip() for name in config.spark.get(PACKAGES, "").split(",") if name.strip()]
    fetching: SparkSession.Builder = configure_spark_with_delta_pip(builder, extra_packages=others)
    return fetching


def _java_options(jars: tuple[Path, ...], *, may_write_archive: bool) -> str:
    archive = class_archive_option(cache_folder(), jars, may_write=may_write_archive)
    return f"{_JAVA_OPTIONS} {archive}" if archive else _JAVA_OPTIONS


def _catalog_folder(config: SessionConfig) -> dict[str, str]:
    """A folder for the tables of Spark's own catalog, which Spark otherwise makes in the working directory.

    That catalog ends with the session, and so may its tables; one of Hive's does not, and keeps its place.
    """
    if config.spark.get("spark.sql.catalogImplementation") == "hive":
        return {}
    folder = tempfile.mkdtemp(prefix="parrot-spark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return {"spark.sql.warehouse.dir": folder}


@contextlib.contextmanager
def _one_start_at_a_time() -> Iterator[None]:
    """Wait for sessions that other processes of this user are just starting.

    At the first start Spark fetches Delta's jars into one folder without a lock: of two that start together, one
    finds half of them and fails ("unresolved dependency").
    """
    path = Path(tempfile.gettempdir()) / f"parrot-spark-start-{os.getuid()}.lock"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _quiet_jvm() -> Iterator[None]:
    """Start the JVM with its output in a file: it inherits the process's streams for its whole life.

    Python workers are the JVM's children, so what libraries print there goes to the file too.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with log_file().open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        os.close(saved[0])
        os.close(saved[1])
