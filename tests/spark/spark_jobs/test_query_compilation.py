"""Queries over few samples are interpreted, those over many compiled; a session's own settings come back."""

from __future__ import annotations

import pytest

from schemas import samples
from spark_jobs import query_compilation
from spark_jobs.query_compilation import fitted_to_size
from spark_jobs.sections import SessionConfig
from spark_jobs.warehouse.tables import Tables
from tests.table_rows import filled, put_rows

_NAMES = ("spark.sql.codegen.wholeStage", "spark.sql.codegen.factoryMode")
INTERPRETED = ("false", "NO_CODEGEN")
COMPILED = ("true", "FALLBACK")


@pytest.fixture
def settings(spark, monkeypatch):
    """Reads the session's settings; before, they are those that nobody has changed."""
    monkeypatch.setattr(query_compilation, "FEW_SAMPLES", 3)
    before = [spark.conf.get(name) for name in _NAMES]
    for name, value in zip(_NAMES, COMPILED, strict=True):
        spark.conf.set(name, value)
    yield lambda: tuple(spark.conf.get(name) for name in _NAMES)
    for name, value in zip(_NAMES, before, strict=True):
        spark.conf.set(name, value)


def put_samples(tables, count, *, run_key="r"):
    put_rows(
        tables,
        samples.TABLE,
        [filled(samples.TABLE, sample_id=str(i), source_key=str(i), run_key=run_key) for i in range(count)],
    )


def test_more_samples_are_seen_when_asked_again_and_settings_come_back(spark, config, settings):
    tables = Tables(spark, config.warehouse)
    with fitted_to_size(tables, SessionConfig()) as fit_to_size:
        assert settings() == INTERPRETED
        put_samples(tables, 2)
        fit_to_size()
        assert settings() == INTERPRETED
        put_samples(tables, 3)
        fit_to_size()
        assert settings() == COMPILED
    assert settings() == COMPILED
    put_samples(tables, 1)
    with pytest.raises(KeyError), fitted_to_size(tables, SessionConfig()):
        assert settings() == INTERPRETED
        raise KeyError
    assert settings() == COMPILED


def test_interpreted_and_compiled_queries_have_the_same_rows(spark, config, settings):
    tables = Tables(spark, config.warehouse)
    put_samples(tables, 2)

    def found():
        return tables.read(samples.TABLE).groupBy("dataset", "status").count().collect()

    with fitted_to_size(tables, SessionConfig()):
        assert settings() == INTERPRETED
        interpreted = found()
    assert settings() == COMPILED
    assert interpreted == found() == [("test", "ok", 2)]


@pytest.mark.parametrize("name", _NAMES)
def test_what_the_user_has_set_stays(spark, config, settings, name):
    with fitted_to_size(Tables(spark, config.warehouse), SessionConfig(spark={name: "true"})):
        assert settings() == COMPILED


def test_a_clusters_session_is_left_alone(spark, config, settings, monkeypatch):
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    with fitted_to_size(Tables(spark, config.warehouse), SessionConfig()):
        assert settings() == COMPILED
