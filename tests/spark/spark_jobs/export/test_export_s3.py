"""`parrot export` to object storage, of images that lie there too; `parrot verify` of what is there."""

from __future__ import annotations

import io
import json
import tarfile

import fsspec
import pytest

from spark_jobs.errors import ExportError
from spark_jobs.export import folder, job
from spark_jobs.export.job import run_export
from spark_jobs.export.manifest import JOURNAL, MANIFEST
from spark_jobs.export.verify import verify
from spark_jobs.warehouse.tables import Tables
from tests.exported import MEMBERS, drawn, failing_in, put_subset, wanted
from tests.object_store import s3_store

pytest.importorskip("moto.server", reason="the extra `dev` is not installed")
pytest.importorskip("s3fs", reason="the extra `s3` is not installed")


@pytest.fixture
def bucket(monkeypatch, spark):
    with s3_store(monkeypatch, spark) as uri:
        yield uri


def objects(place):
    """Content of every object by name, and what tells one that was put again."""
    store = fsspec.filesystem("s3")
    store.invalidate_cache()
    base = place.removeprefix("s3://")
    found = store.find(base, detail=True)
    return {
        path.removeprefix(base).strip("/"): (store.cat_file(path), facts["LastModified"])
        for path, facts in found.items()
    }


def test_an_export_to_object_storage_is_whole_or_goes_on(bucket, spark, tmp_path, monkeypatch):
    frame = drawn(tmp_path / "source")
    store = fsspec.filesystem("s3")
    store.put(str(tmp_path / "source"), "exports/source", recursive=True)
    local = tmp_path / "source"
    frame["uri"] = [uri.replace(str(local), f"{bucket}/source") for uri in frame.uri]
    members = put_subset(spark, tmp_path / "w", frame)
    tables, place = Tables(spark, str(tmp_path / "w")), f"{bucket}/some folder/tars"
    export = wanted(place, "webdataset", shard_size=4)

    with monkeypatch.context() as patched:
        patched.setattr(job, "FileTask", failing_in([1], OSError("the machine is gone")))
        with pytest.raises(ExportError, match=r"no manifest: 00001\.tar: the machine is gone"):
            run_export(tables, export)
    begun = objects(place)
    assert not set(begun) & {"00001.tar", MANIFEST, "sizes.json"}
    finished = {name for name in begun if name.endswith(".tar")}
    assert finished == {name.removeprefix(f"{JOURNAL}/").removesuffix(".json") for name in begun} & finished
    with pytest.raises(ExportError, match="not complete"):
        verify(place)

    assert run_export(tables, export).written == 3 - len(finished)
    whole = objects(place)
    assert set(whole) == {"00000.tar", "00001.tar", "00002.tar", "sizes.json", MANIFEST}
    assert {name: whole[name] for name in finished} == {name: begun[name] for name in finished}
    assert verify(place)[1] == []
    images = {}
    for name in sorted(set(whole) - {"sizes.json", MANIFEST}):
        with tarfile.open(fileobj=io.BytesIO(whole[name][0])) as archive:
            for member in archive:
                key, _, extension = member.name.partition(".")
                if extension not in ("json", "txt"):
                    images[key] = archive.extractfile(member).read()
    assert images == dict(zip(members.sample_id, members.data, strict=True))
    assert run_export(tables, export).written == 0
    # The same bytes as on a disk.
    run_export(tables, wanted(tmp_path / "tars", "webdataset", shard_size=4))
    assert {name: data for name, (data, _) in whole.items()} == {
        path.name: path.read_bytes() for path in (tmp_path / "tars").iterdir()
    }

    store.pipe_file(f"{place}/00000.tar", whole["00000.tar"][0].replace(b"ustar", b"vstar", 1))
    store.rm_file(f"{place}/00001.tar")
    store.pipe_file(f"{place}/notes.txt", b"mine")
    found = {difference.name: difference.kind for difference in verify(place)[1]}
    assert found == {"00000.tar": "altered", "00001.tar": "missing", "notes.txt": "extra"}
    assert json.loads(whole[MANIFEST][0])["counts"]["rows"] == MEMBERS


def test_a_store_that_takes_nothing_is_told_in_one_line(bucket, spark, tmp_path, monkeypatch):
    put_subset(spark, tmp_path / "w", drawn(tmp_path / "source", count=3), members=3)
    tables = Tables(spark, str(tmp_path / "w"))
    with pytest.raises(ExportError, match=r"s3://nowhere/x.*(NoSuchBucket|bucket)"):
        run_export(tables, wanted("s3://nowhere/x", "ids"))

    def refuse(*_):
        raise ConnectionAbortedError("no connection")

    with monkeypatch.context() as patched:
        patched.setattr(folder.Folder, "_upload", refuse)
        with pytest.raises(ExportError, match=r"not complete and has no manifest: no connection"):
            run_export(tables, wanted(f"{bucket}/ids", "ids"))
    assert objects(f"{bucket}/ids") == {}
