"""`parrot export` resumed, with faults and full disks; `parrot verify`."""

from __future__ import annotations

import errno
import json
import subprocess
from pathlib import Path

import pytest

from spark_jobs.errors import ConfigError, ExportError
from spark_jobs.export import job
from spark_jobs.export.folder import Folder
from spark_jobs.export.job import run_export
from spark_jobs.export.manifest import JOURNAL, MANIFEST
from spark_jobs.export.verify import verify
from spark_jobs.warehouse.tables import Tables
from tests.exported import MEMBERS, build, drawn, exporter, failing_in, put_subset, put_table, wanted


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def manifest_of(folder):
    return json.loads((Path(folder) / MANIFEST).read_text())


@pytest.fixture(scope="module")
def built(_spark_session, tmp_path_factory):
    return build(_spark_session, tmp_path_factory.mktemp("export"))


@pytest.fixture
def export(spark, built):
    return exporter(spark, built)


# -- the same bytes, resumed or not


def test_a_rerun_writes_nothing_and_other_partitions_give_the_same_bytes(export, spark, built, tmp_path):
    first = export(tmp_path / "a", "webdataset", shard_size=4)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    again = export(tmp_path / "a", "webdataset", shard_size=4)
    assert (first.written, again.written) == (3, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()} == before
    spark.conf.set("spark.sql.shuffle.partitions", "5")
    try:
        export(tmp_path / "b", "webdataset", shard_size=4)
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "2")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


FULL = OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_nothing_that_looks_whole_and_the_rest_follows(export, tmp_path, monkeypatch):
    export(tmp_path / "whole", "webdataset", shard_size=4)
    with monkeypatch.context() as patched:
        patched.setattr(job, "FileTask", failing_in([1], FULL))
        with pytest.raises(ExportError, match=r"no manifest: 00001\.tar: No space left on device"):
            export(tmp_path / "cut", "webdataset", shard_size=4)
    names = set(contents(tmp_path / "cut"))
    assert "00000.tar" in names
    assert not names & {"00001.tar", MANIFEST, "sizes.json"}
    assert not [name for name in names if name.endswith(".partial")]
    with pytest.raises(ExportError, match="not complete"):
        verify(str(tmp_path / "cut"))
    kept = (tmp_path / "cut/00000.tar").stat().st_mtime_ns
    (tmp_path / "cut/00002.tar.0123.partial").write_bytes(b"of a run that was killed")
    outcome = export(tmp_path / "cut", "webdataset", shard_size=4)
    assert outcome.written < 3
    assert (tmp_path / "cut/00000.tar").stat().st_mtime_ns == kept
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 20 kB; call it with another size to enlarge it."""
    place = tmp_path / "small"
    place.mkdir()

    def mount(size, *options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join((f"size={size}", *options)), "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    made = mount("20k")
    if made.returncode:
        pytest.skip(f"a file system can be mounted by root alone: {made.stderr.strip()}")
    try:
        yield place, lambda size: mount(size, "remount")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_really_full(export, tmp_path, small_disk):
    place, enlarge = small_disk
    export(tmp_path / "whole", "webdataset", shard_size=4)
    assert sum(map(len, contents(tmp_path / "whole").values())) > 30_000
    with pytest.raises(ExportError, match=r"no manifest: 0000\d\.tar: No space left on device"):
        export(place, "webdataset", shard_size=4)
    names = set(contents(place))
    assert MANIFEST not in names
    assert not [name for name in names if name.endswith(".partial")]
    tars = {name: path for name in names if (path := place / name).suffix == ".tar"}
    assert all(path.read_bytes() == (tmp_path / "whole" / name).read_bytes() for name, path in tars.items())
    with pytest.raises(ExportError, match="not complete"):
        verify(str(place))
    assert enlarge("1m").returncode == 0
    journaled = {name for name in names if name.startswith(JOURNAL) and name.endswith(".tar.json")}
    assert export(place, "webdataset", shard_size=4).written == 3 - len(journaled)
    assert contents(place) == contents(tmp_path / "whole")


def test_a_file_that_was_altered_while_the_export_was_incomplete_is_written_again(
    export, tmp_path, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(job, "FileTask", failing_in([2], FULL))
        with pytest.raises(ExportError, match="No space left"):
            export(tmp_path / "cut", "ids", shard_size=4)
    file = tmp_path / "cut/ids-00000.csv"
    sound = file.read_bytes()
    file.write_bytes(sound.replace(b"test", b"tset", 1))
    assert export(tmp_path / "cut", "ids", shard_size=4).written == 2
    assert file.read_bytes() == sound


def test_another_export_or_foreign_files_are_left_alone(export, tmp_path):
    export(tmp_path / "a", "ids")
    with pytest.raises(ExportError, match=r"holds another export .*format: there ids, asked for parquet"):
        export(tmp_path / "a", "parquet")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match=r"not empty and holds no export \(thesis\.tex"):
        export(tmp_path / "b", "ids")
    assert (tmp_path / "b/thesis.tex").read_text() == "years of work"


def test_a_remote_folder_takes_whole_objects(export, tmp_path):
    import fsspec

    export(tmp_path, "img2dataset-urls", shard_size=6)
    export("memory://exports/urls", "img2dataset-urls", shard_size=6)
    stored = fsspec.filesystem("memory")
    try:
        # Spark's workers are other processes, and so is their memory: the driver's own files are what is here.
        assert stored.exists("/exports/urls/" + MANIFEST)
    finally:
        stored.rm("/exports", recursive=True)


# -- faults


def test_images_that_cannot_be_read_are_listed(spark, tmp_path):
    frame = drawn(tmp_path / "source", count=6)
    frame.loc[0, "uri"] = str(tmp_path / "source/moved.tar")
    frame.loc[1, "status"] = "failed"
    frame.loc[2, "sha256"] = "0" * 64
    put_subset(spark, tmp_path / "w", frame, members=6)
    tables = Tables(spark, str(tmp_path / "w"))
    expected = {
        frame.sample_id[0]: "cannot read",
        frame.sample_id[1]: "image: gone",
        frame.sample_id[2]: "has changed",
    }
    for form, rows in (("webdataset", 3), ("parquet", 6)):
        options = {"with_images": True} if form == "parquet" else {}
        outcome = run_export(tables, wanted(tmp_path / form, form, shard_size=4, **options))
        told = manifest_of(tmp_path / form)
        assert told["counts"]["unreadable"] == len(outcome.manifest.unreadable) == 3
        assert told["counts"]["rows"] == rows
        found = {
            entry["sample_id"]: entry["reason"] for file in told["files"] for entry in file["unreadable"]
        }
        assert found.keys() == expected.keys()
        assert all(reason in found[name] for name, reason in expected.items())
        assert verify(str(tmp_path / form))[1] == []
    frame["status"] = "failed"
    put_table(spark, tmp_path / "w", frame, "images")
    with pytest.raises(ExportError, match=r"none of the 6 members .* image: gone"):
        run_export(tables, wanted(tmp_path / "none", "webdataset"))
    assert not (tmp_path / "none" / MANIFEST).exists()
    # The tables have changed: so would the files that were made from them.
    frame["status"] = "ok"
    put_table(spark, tmp_path / "w", frame, "images")
    assert run_export(tables, wanted(tmp_path / "webdataset", "webdataset", shard_size=4)).written == 1
    assert manifest_of(tmp_path / "webdataset")["counts"]["unreadable"] == 2


def test_what_cannot_be_exported_is_told(export, spark, tmp_path):
    with pytest.raises(ExportError, match=r"subset othr .* is not built .* Built: some of test"):
        export(tmp_path, "ids", subset="othr")
    frame = drawn(tmp_path / "source", count=3)
    frame.loc[1, "source_id"] = "12345"
    frame.loc[2, "url"] = None
    put_subset(spark, tmp_path / "w", frame, members=3)
    tables = Tables(spark, str(tmp_path / "w"))
    with pytest.raises(ExportError, match=r"1 members of some have none: sample \w{32} has source_id 12345"):
        run_export(tables, wanted(tmp_path / "npy", "datacomp-npy"))
    assert not (tmp_path / "npy").exists()
    told = run_export(tables, wanted(tmp_path / "urls", "img2dataset-urls")).manifest
    assert [entry["reason"] for entry in told.unreadable] == ["no URL"]
    assert told.rows == 2


def test_options_are_checked_before_anything_starts():
    with pytest.raises(ConfigError, match=r"unknown format webdatset\. Did you mean webdataset"):
        wanted("x", "webdatset")
    with pytest.raises(ConfigError, match="--with-images goes with"):
        wanted("x", "ids", with_images=True)
    for place in ("dbfs:/Volumes/main/x", "s3:/bucket/x"):
        with pytest.raises(ConfigError, match=f"--to {place} is neither a folder nor a URI"):
            wanted(place, "ids")
    with pytest.raises(ConfigError, match="--shard-size does not go with"):
        wanted("x", "datacomp-npy", shard_size=4)


# -- parrot verify


def test_verify_finds_a_flipped_byte_a_missing_and_an_extra_file(export, tmp_path):
    export(tmp_path, "webdataset", shard_size=4)
    assert verify(str(tmp_path))[1] == []
    tar = tmp_path / "00001.tar"
    data = bytearray(tar.read_bytes())
    data[len(data) // 3] ^= 1
    tar.write_bytes(data)
    (tmp_path / "00002.tar").unlink()
    (tmp_path / "00003.tar").write_bytes(b"not mine")
    found = {difference.name: difference.kind for difference in verify(str(tmp_path))[1]}
    assert found == {"00001.tar": "altered", "00002.tar": "missing", "00003.tar": "extra"}
    # The same export makes whole what is missing; what is altered or foreign is for `verify` to find.
    assert export(tmp_path, "webdataset", shard_size=4).written == 2
    assert {one.name: one.kind for one in verify(str(tmp_path))[1]} == {"00003.tar": "extra"}


def test_verify_counts_samples(export, tmp_path):
    for form in ("parquet", "ids", "img2dataset-urls", "datacomp-npy"):
        export(tmp_path / form, form)
        assert verify(str(tmp_path / form))[1] == []
        told = manifest_of(tmp_path / form)
        told["files"][0]["rows"] += 1
        (tmp_path / form / MANIFEST).write_text(json.dumps(told))
        (difference,) = verify(str(tmp_path / form))[1]
        assert difference.detail == f"{MEMBERS:,} samples, the manifest says {MEMBERS + 1:,}"


def test_verify_says_what_is_no_export(tmp_path):
    with pytest.raises(ExportError, match="no export in"):
        verify(str(tmp_path))
    Folder(str(tmp_path)).put_bytes(f"{JOURNAL}/plan.json", b"{}")
    with pytest.raises(ExportError, match="not complete"):
        verify(str(tmp_path))
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(ExportError, match="damaged"):
        verify(str(tmp_path))
