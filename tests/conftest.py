"""Fixtures: one local Spark with real Delta for the whole run, cleaned after each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_jobs.config import RunConfig, load_config
from spark_jobs.sections import SessionConfig
from spark_jobs.session import open_session

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
_CODE = "spark.sql.codegen.factoryMode"
SEED = int(os.environ.get("PARROT_TEST_SEED", "0"))


def pytest_report_header() -> str:
    """The seed stands at the head of every run."""
    return f"drawn values: PARROT_TEST_SEED={SEED}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """A test that failed on drawn values says which."""
    report = yield
    if report.failed and "any_seed" in getattr(item, "fixturenames", ()):
        report.sections.append(("drawn values", f"the same ones again: PARROT_TEST_SEED={SEED}"))
    return report


@pytest.fixture
def any_seed() -> int:
    """Seed of values that a test draws to find what nobody thought of: any must do (PARROT_TEST_SEED)."""
    return SEED


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images and metadata beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real data is not beside this checkout (../shared/data)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def train_python() -> Path:
    """Python of the environment in which petastorm is the feed (TRAIN_PYTHON names another than .venv-train's)."""
    python = Path(os.environ.get("TRAIN_PYTHON", REPOSITORY / ".venv-train" / "bin" / "python"))
    if not python.exists():
        pytest.skip(f"petastorm has an environment of its own, and {python} is not there: make train-env")
    return python


@pytest.fixture(scope="session")
def _spark_session(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("spark")
    os.environ["MLFLOW_TRACKING_URI"] = ""
    session = open_session(
        SessionConfig(
            master="local[2,2]",
            driver_memory="1g",
            shuffle_partitions=2,
            spark={
                "spark.sql.warehouse.dir": str(folder / "catalog"),
                "spark.sql.catalogImplementation": "in-memory",
                # Queries over a dozen rows: to plan and compile them takes longer than to interpret them. A table that
                # is made, filled, replaced in part and read costs 2.2 s of CPU so, with Spark's defaults 3.6 s.
                "spark.sql.codegen.wholeStage": "false",
                _CODE: "NO_CODEGEN",
                "spark.sql.adaptive.enabled": "false",
                "spark.databricks.delta.writeChecksumFile.enabled": "false",
            },
        )
    )
    yield session
    session.stop()


@pytest.fixture
def spark(_spark_session) -> Iterator[object]:
    """The session; views and caches of a test do not reach the next one."""
    yield _spark_session
    # Spark's own list of views has no interpreted form.
    _spark_session.conf.set(_CODE, "FALLBACK")
    for table in _spark_session.catalog.listTables():
        if table.isTemporary:
            _spark_session.catalog.dropTempView(table.name)
    _spark_session.conf.set(_CODE, "NO_CODEGEN")
    _spark_session.catalog.clearCache()


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """A configuration for a fresh local warehouse, without MLflow."""
    return load_config(
        options={"warehouse": str(tmp_path / "warehouse"), "dataset": "test"},
        overrides=("tracking.enabled=false",),
    )
