"""Listing, opening and fingerprinting files, local and remote."""

import os
import uuid

import fsspec
import pytest

from spark_jobs.errors import SourceError
from spark_jobs.sources import storage


@pytest.fixture
def memory_root():
    root = f"memory://{uuid.uuid4().hex}/data"
    yield root
    fsspec.filesystem("memory").rm(root.removesuffix("/data"), recursive=True)


def names(root):
    return [file.name for file in storage.list_files(root)]


def test_absolute_local_path_and_remote_uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("x/") == str(tmp_path / "x")
    assert storage.absolute(f"file://{tmp_path}/x") == str(tmp_path / "x")
    assert storage.absolute("s3://bucket/data/") == "s3://bucket/data"


def test_listing_is_sorted_recursive_and_without_hidden_files(tmp_path):
    for name in ["b.txt", "a b/ü::#?%.jpg", "a b/.hidden", ".git/x.jpg", "._c.tar"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"123")
    files = storage.list_files(str(tmp_path))
    assert [(file.name, file.size) for file in files] == [("a b/ü::#?%.jpg", 3), ("b.txt", 3)]
    for file in files:
        with storage.open_file(file.uri) as stream:
            assert stream.read() == b"123"


def test_linked_files_and_folders_are_listed_once_and_loops_end(tmp_path):
    (tmp_path / "store" / "deep").mkdir(parents=True)
    (tmp_path / "store" / "deep" / "x.jpg").write_bytes(b"12345")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "store")
    (root / "x.jpg").symlink_to(tmp_path / "store" / "deep" / "x.jpg")
    (root / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "store" / "back").symlink_to(root)
    assert [(f.name, f.size) for f in storage.list_files(str(root))] == [
        ("gone.jpg", 0),
        ("linked/deep/x.jpg", 5),
        ("x.jpg", 5),
    ]


def test_stamp_changes_when_a_file_is_written_again(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one")
    before = storage.list_files(str(tmp_path))[0]
    path.write_bytes(b"two")
    os.utime(path, ns=(0, 1_800_000_000_000_000_001))
    after = storage.list_files(str(tmp_path))[0]
    assert (before.size, after.size) == (3, 3)
    assert before.stamp != after.stamp


def test_file_name_that_is_not_utf8_is_refused(tmp_path):
    with open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", "wb"):
        pass
    with pytest.raises(SourceError, match=r"caf\\xe9.jpg' is not UTF-8.*rename"):
        storage.list_files(str(tmp_path))


def test_nothing_at_root(tmp_path, memory_root):
    assert storage.list_files(str(tmp_path / "none")) == []
    with fsspec.open(f"{memory_root}/x", "wb") as file:
        file.write(b"1")
    assert storage.list_files(f"{memory_root}/none") == []


def test_unknown_protocol_is_a_source_error():
    with pytest.raises(SourceError, match="nosuch"):
        storage.list_files("nosuch://x")


def test_remote_listing_keeps_the_protocol_and_bytes_come_back(memory_root):
    for name in ["a b/ü.jpg", "c.txt"]:
        with fsspec.open(f"{memory_root}/{name}", "wb") as file:
            file.write(name.encode())
    files = storage.list_files(memory_root)
    assert [file.uri for file in files] == [f"{memory_root}/a b/ü.jpg", f"{memory_root}/c.txt"]
    assert all(file.stamp for file in files)
    for file in files:
        with storage.open_file(file.uri) as stream:
            assert stream.read() == file.name.encode()
    assert storage.list_files(f"{memory_root}/c.txt")[0].uri == f"{memory_root}/c.txt"


def test_fingerprint_depends_on_every_fact():
    facts = [("a", 1, "x"), ("a", 2, "x"), ("a", 1, "y"), ("b", 1, "x")]
    assert (
        len({storage.fingerprint("v1", fact) for fact in facts} | {storage.fingerprint("v2", facts[0])}) == 5
    )
    assert storage.fingerprint("v1", facts[0]) == storage.fingerprint("v1", list(facts[0]))


def test_inside_a_run_a_root_is_listed_once(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with storage.listed_once():
        first = storage.list_files(str(tmp_path))
        first.clear()  # a caller's own list
        (tmp_path / "b.txt").write_text("b")
        assert names(str(tmp_path)) == ["a.txt"]
    assert names(str(tmp_path)) == ["a.txt", "b.txt"]
