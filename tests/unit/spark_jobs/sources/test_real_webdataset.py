"""Kind `webdataset` on shards that img2dataset really wrote, against `tarfile` and pyarrow as oracles."""

import hashlib
import tarfile
from pathlib import Path

import pytest
from pyarrow import parquet

from spark_jobs.sources import SourceOptions, recognise

ROOT = Path(__file__).parents[4].parent / "shared" / "data" / "laion_like" / "webdataset"
OPTIONS = SourceOptions()

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=f"needs the real shards in {ROOT}")


@pytest.fixture(scope="module")
def shards():
    return recognise(str(ROOT), None).shards(str(ROOT), OPTIONS)


@pytest.fixture(scope="module")
def records(shards):
    source = recognise(str(ROOT), "auto")
    return [record for shard in shards for record in source.read(shard, OPTIONS)]


@pytest.fixture(scope="module")
def rows():
    tables = sorted(ROOT.glob("*.parquet"))
    assert len(tables) == 4
    return {row["key"]: row for table in tables for row in parquet.read_table(table).to_pylist()}


def test_every_row_is_a_record(shards, records, rows):
    assert [shard.shard_id for shard in shards] == ["00000", "00001", "00002", "00003"]
    assert len(records) == 775
    assert {record.key for record in records} == rows.keys()
    assert len({record.sample_id() for record in records}) == 775


def test_records_say_what_the_rows_say(records, rows):
    for record in records:
        row = rows[record.key]
        assert (record.caption, record.url, record.nsfw) == (row["caption"], row["url"], row["NSFW"])
        assert record.source_id == str(row["SAMPLE_ID"])
        assert (record.width, record.height) == (row["original_width"], row["original_height"])
        assert record.sample_error is None


def test_failed_rows_carry_img2datasets_messages(records, rows):
    failed = {key: row for key, row in rows.items() if row["status"] != "success"}
    errors = {record.key: record.image_error for record in records if record.image_error}
    assert len(failed) == 5
    assert errors == {k: f"{r['status']}: {r['error_message']}".strip() for k, r in failed.items()}
    assert all(record.image is None for record in records if record.image_error)


def test_byte_ranges_give_what_tarfile_extracts(records):
    by_tar = {}
    for record in records:
        if record.image:
            by_tar.setdefault(record.image.uri, []).append(record)
    assert len(by_tar) == 4
    for uri, found in by_tar.items():
        data = Path(uri).read_bytes()
        with tarfile.open(uri) as archive:
            jpegs = {
                m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.name.endswith(".jpg")
            }
        assert len(jpegs) == len(found)
        for record in found:
            image, expected = record.image, jpegs[f"{record.key}.jpg"]
            assert data[image.offset : image.offset + image.length] == expected
            assert image.sha256 == hashlib.sha256(expected).hexdigest()
            assert image.format == "JPEG"


def test_tars_alone_give_the_same_pairs(tmp_path, records):
    for tar in ROOT.glob("*.tar"):
        (tmp_path / tar.name).symlink_to(tar)
    source = recognise(str(tmp_path), None)
    alone = [r for shard in source.shards(str(tmp_path), OPTIONS) for r in source.read(shard, OPTIONS)]
    with_table = [record for record in records if record.image]
    assert len(alone) == 770
    for a, b in zip(alone, with_table, strict=True):
        assert (a.sample_id(), a.caption, a.source_id, a.url, a.width, a.height) == (
            b.sample_id(), b.caption, b.source_id, b.url, b.width, b.height,
        )  # fmt: skip
        assert (a.image.offset, a.image.length, a.image.sha256) == (
            b.image.offset,
            b.image.length,
            b.image.sha256,
        )
