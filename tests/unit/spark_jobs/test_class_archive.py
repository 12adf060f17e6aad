"""Java's archive of Spark's classes: when it is taken, written, or left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pyspark
import pytest

from spark_jobs.class_archive import class_archive_option

_WHOLE = bytes.fromhex("a8ab0bf0")


@pytest.fixture(autouse=True)
def pysparks_own_settings(monkeypatch):
    for name in ("SPARK_CONF_DIR", "SPARK_HOME"):
        monkeypatch.delenv(name, raising=False)


def option_of(folder, jars=(), **kwargs):
    return class_archive_option(folder, tuple(jars), **{"may_write": True, **kwargs})


def archive_in(option):
    name, _, path = option.partition("=")
    return name, Path(path)


def test_the_first_session_writes_it_and_the_next_take_it(tmp_path):
    folder = tmp_path / "new" / "cache"
    name, archive = archive_in(option_of(folder))
    assert (name, archive.parent, archive.suffix) == ("-XX:ArchiveClassesAtExit", folder, ".jsa")
    archive.write_bytes(_WHOLE + b"classes")
    assert archive_in(option_of(folder)) == ("-XX:SharedArchiveFile", archive)


@pytest.mark.parametrize("found", [b"", b"\0\0\0\0 killed while it was written"])
def test_what_is_not_whole_is_written_anew(tmp_path, found):
    _, archive = archive_in(option_of(tmp_path))
    archive.write_bytes(found)
    assert archive_in(option_of(tmp_path)) == ("-XX:ArchiveClassesAtExit", archive)


def test_other_jars_have_another_archive(tmp_path, monkeypatch):
    _, here = archive_in(option_of(tmp_path / "cache"))
    elsewhere = tmp_path / "pyspark" / "__init__.py"
    (elsewhere.parent / "jars").mkdir(parents=True)
    monkeypatch.setattr(pyspark, "__file__", str(elsewhere))
    _, there = archive_in(option_of(tmp_path / "cache"))
    assert here != there
    os.utime(elsewhere.parent / "jars", ns=(1, 1))
    _, changed = archive_in(option_of(tmp_path / "cache"))
    assert changed not in (here, there)


@pytest.mark.parametrize("name", ["SPARK_CONF_DIR", "SPARK_HOME"])
def test_a_spark_of_the_users_own_is_left_alone(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, str(tmp_path))
    assert option_of(tmp_path) is None


def test_without_a_place_there_is_none(tmp_path):
    (tmp_path / "a file").touch()
    assert option_of(tmp_path / "a file" / "cache") is None
    assert option_of(tmp_path / "with a space") is None


def test_archives_of_former_environments_do_not_pile_up(tmp_path):
    for age, name in enumerate("edcba"):
        archive = tmp_path / f"spark-classes-{name}.jsa"
        archive.write_bytes(_WHOLE)
        os.utime(archive, (age, age))
    option_of(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spark-classes-a.jsa", "spark-classes-b.jsa"]


def test_a_session_that_runs_no_stage_takes_an_archive_and_leaves_none(tmp_path):
    assert option_of(tmp_path / "cache", may_write=False) is None
    assert not (tmp_path / "cache").exists()
    _, archive = archive_in(option_of(tmp_path / "cache"))
    archive.write_bytes(_WHOLE)
    assert archive_in(option_of(tmp_path / "cache", may_write=False)) == ("-XX:SharedArchiveFile", archive)


def test_another_delta_on_the_class_path_has_another_archive(tmp_path):
    jar = tmp_path / "delta.jar"
    jar.touch()
    without, of_it = (archive_in(option_of(tmp_path, jars))[1] for jars in ([], [jar]))
    os.utime(jar, ns=(1, 1))
    assert len({without, of_it, archive_in(option_of(tmp_path, [jar]))[1]}) == 3
