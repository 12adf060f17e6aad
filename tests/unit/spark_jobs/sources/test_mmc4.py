"""Kind `mmc4`: images of documents, with the sentence assigned to each."""

import gzip
import json
import zipfile

import pytest

from spark_jobs.errors import SourceError
from spark_jobs.sources import SOURCES, SourceOptions, recognise

SOURCE = SOURCES["mmc4"]


def image(name, index, sim=0.29):
    return {
        "image_name": name,
        "raw_url": f"http://a.org/{name}",
        "matched_text_index": index,
        "matched_sim": sim,
        "face_detections": None,
    }


DOCUMENTS = [
    {
        "text_list": ["zero", "one", "two"],
        "url": "http://a.org",
        "image_info": [image("a.png", 2), image("b.jpg", 0)],
    },
    {"text_list": ["nothing to see"], "url": "http://b.org", "image_info": []},
    {"text_list": ["same name"], "url": "http://c.org", "image_info": [image("a.png", 0), image("a.png", 0)]},
]
TEXT = "".join(json.dumps(document) + "\n" for document in DOCUMENTS).encode()


def read(root):
    options = SourceOptions()
    return [record for shard in SOURCE.shards(str(root), options) for record in SOURCE.read(shard, options)]


def write_plain(folder):
    (folder / "docs_shard_0_v2.jsonl").write_bytes(TEXT)


def write_gzip(folder):
    (folder / "docs_shard_0_v2.jsonl.gz").write_bytes(gzip.compress(TEXT))


def write_zip(folder):
    with zipfile.ZipFile(folder / "docs_shard_0_v2.jsonl.zip", "w") as archive:
        archive.writestr("docs_shard_0_v2.jsonl", TEXT)


@pytest.mark.parametrize("write", [write_plain, write_gzip, write_zip])
def test_an_image_has_its_assigned_sentence(tmp_path, write):
    write(tmp_path)
    assert recognise(str(tmp_path), None) is SOURCE
    records = read(tmp_path)
    assert [(record.key, record.occurrence, record.caption) for record in records] == [
        ("1/a.png", 0, "two"),
        ("1/b.jpg", 0, "zero"),
        ("3/a.png", 0, "same name"),
        ("3/a.png", 1, "same name"),
    ]
    assert records[0].url == "http://a.org/a.png"
    assert records[0].similarity == 0.29
    assert all(record.has_only_url and record.sample_error is None for record in records)
    assert len({record.sample_id() for record in records}) == 4


def test_faults_of_lines_and_images(tmp_path):
    document = {
        "text_list": ["a"],
        "image_info": [image("far.png", 7), "no object", {"matched_text_index": 0}],
    }
    lines = [b"{broken", b'{"text_list": []}', json.dumps(document).encode(), b"", TEXT.splitlines()[0]]
    (tmp_path / "x.jsonl").write_bytes(b"\n".join(lines))
    records = {record.key: record for record in read(tmp_path)}
    assert list(records) == ["line 1", "line 2", "3/far.png", "3/image 1", "3/image 2", "5/a.png", "5/b.jpg"]
    assert "is no JSON" in records["line 1"].sample_error
    assert "no list image_info" in records["line 2"].sample_error
    assert records["3/far.png"].sample_error is None
    assert records["3/far.png"].caption is None
    assert "sentence indices that point nowhere" in records["3/far.png"].dirt
    assert records["3/image 1"].sample_error.startswith("no URL and no image")
    assert records["3/image 2"].caption == "a"
    assert records["5/a.png"].sample_error is None


def test_a_cut_archive_gives_what_is_before_the_cut(tmp_path):
    documents = [{"text_list": [f"sentence {n}"], "image_info": [image(f"{n}.png", 0)]} for n in range(2000)]
    data = gzip.compress("".join(json.dumps(document) + "\n" for document in documents).encode())
    (tmp_path / "x.jsonl.gz").write_bytes(data[: len(data) * 3 // 4])
    records = read(tmp_path)
    assert records[0].caption == "sentence 0"
    assert 100 < len(records) < 2000
    assert records[-1].sample_error.startswith("x.jsonl.gz cannot be read after line ")
    (tmp_path / "x.jsonl.gz").unlink()
    (tmp_path / "x.jsonl.zip").write_bytes(b"no zip")
    (record,) = read(tmp_path)
    assert "cannot be read after line 0" in record.sample_error
    assert not record.has_only_url


def test_documents_without_images_are_a_record_too(tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps(DOCUMENTS[1]))
    (record,) = read(tmp_path)
    assert record.sample_error == "x.jsonl holds no document with images"


def test_no_documents(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(SourceError, match="holds no MMC4 documents"):
        SOURCE.shards(str(tmp_path), SourceOptions())
