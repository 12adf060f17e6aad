"""Delta's jars: when a session may have them on its class path, and which ones it remembers."""

from __future__ import annotations

import subprocess

import pyspark
import pytest

from spark_jobs import delta_jars
from spark_jobs.delta_jars import class_path_settings, fetch, known_jars, may_be_on_class_path, usable_jars


@pytest.fixture(autouse=True)
def pysparks_own_settings(monkeypatch):
    for name in ("SPARK_CONF_DIR", "SPARK_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ivy(tmp_path, monkeypatch):
    """Jars as Ivy names them; Spark has one of them itself."""
    spark = tmp_path / "pyspark" / "__init__.py"
    (spark.parent / "jars").mkdir(parents=True)
    (spark.parent / "jars" / "antlr4-runtime-4.13.1.jar").touch()
    monkeypatch.setattr(pyspark, "__file__", str(spark))
    folder = tmp_path / "ivy jars"
    folder.mkdir()
    names = (
        "io.delta_delta-spark_2.13-4.0.1.jar",
        "io.delta_delta-storage-4.0.1.jar",
        "org.antlr_antlr4-runtime-4.13.1.jar",
    )
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def uris(jars):
    return ",".join(jar.as_uri() for jar in jars)


@pytest.fixture
def fetched(monkeypatch):
    """Has the other process say what it is given, after Spark's own output."""

    def answering(said, code=0):
        def run(command, **kwargs):
            return subprocess.CompletedProcess(command, code, stdout=f"Ivy says\n{said}\n")

        monkeypatch.setattr(delta_jars.subprocess, "run", run)

    return answering


def test_what_was_fetched_is_known_to_the_next_session_without_what_spark_has_itself(tmp_path, ivy, fetched):
    cache = tmp_path / "new" / "cache"
    fetched(uris(ivy))
    assert known_jars(cache) == ()
    assert fetch(cache, log=None) == tuple(ivy[:2])
    assert known_jars(cache) == tuple(ivy[:2])
    assert class_path_settings(ivy[:2]) == {"spark.driver.extraClassPath": f"{ivy[0]}:{ivy[1]}"}


def test_a_jar_that_is_gone_is_fetched_again(tmp_path, ivy, fetched):
    fetched(uris(ivy))
    fetch(tmp_path / "cache", log=None)
    ivy[1].unlink()
    assert known_jars(tmp_path / "cache") == ()


def test_of_another_delta_nothing_is_known(tmp_path, ivy, fetched, monkeypatch):
    fetched(uris(ivy))
    fetch(tmp_path / "cache", log=None)
    monkeypatch.setattr(delta_jars.importlib.metadata, "version", lambda name: "99.0")
    assert known_jars(tmp_path / "cache") == ()


@pytest.mark.parametrize("code", [0, 1])
def test_a_session_that_fetches_nothing_leaves_nothing(tmp_path, ivy, fetched, code):
    fetched(uris(ivy) if code else "", code)
    assert fetch(tmp_path / "cache", log=None) == ()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "jars", ["", "s3://bucket/io.delta_delta-spark.jar", "file:/ivy/a:b.jar", "file:/ivy/*.jar"]
)
def test_what_cannot_be_on_a_class_path(ivy, jars):
    assert usable_jars(jars) == ()


def test_without_a_place_they_are_taken_all_the_same(tmp_path, ivy, fetched):
    (tmp_path / "a file").touch()
    fetched(uris(ivy))
    assert fetch(tmp_path / "a file" / "cache", log=None) == tuple(ivy[:2])
    assert known_jars(tmp_path / "a file" / "cache") == ()


@pytest.mark.parametrize(
    ("master", "settings", "may"),
    [
        ("local[*,2]", {}, True),
        ("local", {"spark.sql.ansi.enabled": "true"}, True),
        ("local-cluster[2,1,1024]", {}, False),
        ("spark://host:7077", {}, False),
        ("local[2]", {"spark.jars.packages": "org.apache.hadoop:hadoop-aws:3.4.1"}, False),
        ("local[2]", {"spark.driver.extraClassPath": "/mine.jar"}, False),
        ("local[2]", {"spark.jars": "/mine.jar"}, False),
        ("local[2]", {"spark.jars.ivySettings": "/mirror.xml"}, False),
    ],
)
def test_who_has_them_on_the_class_path(master, settings, may):
    assert may_be_on_class_path(master, settings) is may


def test_a_class_path_of_the_users_own_files_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert not may_be_on_class_path("local[2]", {})
