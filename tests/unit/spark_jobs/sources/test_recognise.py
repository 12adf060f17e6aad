"""Finding the kind of a source, and what is said where it cannot be found."""

import pyarrow as pa
import pytest
from pyarrow import parquet

from spark_jobs.errors import SourceError
from spark_jobs.sources import SOURCES, recognise, storage
from tests.builders import sound_pairs, write_captions, write_images, write_shard


def write_folder(root):
    write_images(root, ["a.jpg"])
    write_captions(root / "captions.csv", [{"file_name": "a.jpg", "caption": "A"}])


@pytest.mark.parametrize("kind", [None, "auto"])
def test_kind_is_recognised(tmp_path, kind):
    write_shard(tmp_path / "wds", sound_pairs(1))
    write_folder(tmp_path / "folder")
    assert recognise(str(tmp_path / "wds"), kind) is SOURCES["webdataset"]
    assert recognise(str(tmp_path / "folder"), kind) is SOURCES["folder"]


def write_table(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({name: [value] for name, value in columns.items()}), path)


URLS = {"URL": "http://a.org/1", "TEXT": "x"}
IMAGES = {"key": "0", "url": "http://a.org/1", "caption": "x", "jpg": b"x"}


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("metadata-parquet", {"part-0.parquet": URLS}),
        ("img2dataset-parquet", {"00000.parquet": IMAGES, "00000_stats.json": None}),
        ("img2dataset-parquet", {"00000.parquet": {**IMAGES, "jpg": None, "webp": b"x"}}),
        ("img2dataset-files", {"00000.parquet": URLS, "00000/000000000.jpg": None}),
        ("img2dataset-files", {"deep/00000/000000000.webp": None, "deep/00000/000000000.json": None}),
        ("webdataset", {"00000.parquet": URLS, "00000.tar": None}),
        ("cc-tsv", {"cc12m.tsv": None}),
        ("folder", {"captions.tsv": None, "a.jpg": None}),
        ("mmc4", {"docs_shard_1_v2.jsonl.zip": None}),
        ("folder", {"captions.jsonl": None, "images/a.jpg": None}),
    ],
)
def test_kinds_by_names_and_columns(tmp_path, kind, files):
    for name, columns in files.items():
        if columns is None:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        else:
            write_table(tmp_path / name, {key: value for key, value in columns.items() if value is not None})
    assert recognise(str(tmp_path), None) is SOURCES[kind]
    if len(files) == 1:
        assert recognise(str(tmp_path / next(iter(files))), None) is SOURCES[kind]


def test_a_table_of_neither_urls_nor_images_is_no_kind(tmp_path):
    write_table(tmp_path / "a.parquet", {"text": "x"})
    with pytest.raises(SourceError, match="fits no kind"):
        recognise(str(tmp_path), None)


def test_only_one_file_is_opened(tmp_path, monkeypatch):
    for number in range(20):
        write_table(tmp_path / f"{number:02d}.parquet", URLS)
    opened = []
    real = storage.open_file
    monkeypatch.setattr(storage, "open_file", lambda uri: opened.append(uri) or real(uri))
    recognise(str(tmp_path), None)
    assert {uri.rpartition("/")[2] for uri in opened} == {"00.parquet"}


def test_metadata_and_captions_in_one_folder_are_ambiguous(tmp_path):
    write_table(tmp_path / "a.parquet", URLS)
    (tmp_path / "b.tsv").write_bytes(b"")
    with pytest.raises(
        SourceError,
        match=r"fits several kinds: metadata-parquet = [^;]*; [^;]*; cc-tsv = .*--set ingest.kind=",
    ):
        recognise(str(tmp_path), None)
    assert recognise(str(tmp_path), "cc-tsv") is SOURCES["cc-tsv"]


def test_every_source_is_entered_under_its_kind():
    assert {"webdataset", "folder"} <= SOURCES.keys()
    assert all(source.kind == kind and source.meaning for kind, source in SOURCES.items())


def test_named_kind_is_taken(tmp_path):
    write_shard(tmp_path, sound_pairs(1))
    write_folder(tmp_path)
    assert recognise(str(tmp_path), "folder") is SOURCES["folder"]
    assert recognise(str(tmp_path), "webdataset") is SOURCES["webdataset"]
    with pytest.raises(
        SourceError, match=r"fits several kinds: webdataset = [^=]*; folder = .*--set ingest.kind="
    ):
        recognise(str(tmp_path), None)


def test_unknown_kind(tmp_path):
    with pytest.raises(
        SourceError,
        match=r"unknown kind of source 'tarball': valid kinds are auto, webdataset, img2dataset-parquet",
    ):
        recognise(str(tmp_path), "tarball")


@pytest.mark.parametrize("kind", [None, "folder", "webdataset"])
def test_missing_root_and_empty_folder(tmp_path, kind):
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(
            SourceError, match=f"no files at {root}: check the path; expected one of: webdataset = "
        ):
            recognise(str(root), kind)


def test_content_of_no_kind_names_what_was_found(tmp_path):
    for number in range(8):
        (tmp_path / f"notes{number}.md").write_text("x")
    with pytest.raises(SourceError) as caught:
        recognise(str(tmp_path), None)
    message = str(caught.value)
    assert "fits no kind" in message
    assert "found notes0.md, notes1.md, notes2.md, notes3.md, notes4.md and 3 more" in message
    assert "--set ingest.kind=KIND, one of webdataset, img2dataset-parquet, " in message
    assert "\n" not in message


def test_images_without_captions_are_no_kind(tmp_path):
    write_images(tmp_path, ["a.jpg"])
    with pytest.raises(SourceError, match=r"fits no kind.*found a.jpg"):
        recognise(str(tmp_path), None)
