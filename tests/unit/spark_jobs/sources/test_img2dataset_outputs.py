"""Kinds `img2dataset-parquet` and `img2dataset-files`: the other two outputs of img2dataset."""

import hashlib
import io
import json

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from spark_jobs.errors import SourceError
from spark_jobs.sources import SOURCES, SourceOptions, recognise
from tests.builders import Pair, image_bytes, sound_pairs
from udfs.image_refs import ImageRef, read_images

IN_TABLES = SOURCES["img2dataset-parquet"]
IN_FILES = SOURCES["img2dataset-files"]
FAILED = Pair("00000009", None, "gone", status="failed_to_download", error_message="HTTP Error 404")


def write_table(folder, pairs, *, name="00000", column="jpg", **options):
    rows = [pair.row() for pair in pairs]
    table = {key: [row.get(key) for row in rows] for key in dict.fromkeys(key for row in rows for key in row)}
    if column:
        table[column] = pa.array([pair.image for pair in pairs], pa.binary())
    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(table), folder / f"{name}.parquet", **options)
    return folder / f"{name}.parquet"


def write_files(folder, pairs, *, name="00000", table=True):
    for pair in pairs:
        for file, data in pair.members():
            (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / file).write_bytes(data)
    if table:
        write_table(folder, pairs, name=name, column=None)
    (folder / f"{name}_stats.json").write_text("{}")


def read(source, root):
    options = SourceOptions()
    return [record for shard in source.shards(str(root), options) for record in source.read(shard, options)]


def stored_bytes(record):
    image = record.image
    (data,) = read_images([ImageRef(image.uri, image.offset, image.length, image.row)], max_bytes=10**7)
    return data


@pytest.mark.parametrize("column", ["jpg", "png", "webp"])
def test_images_in_a_table_are_referenced_by_row(tmp_path, column):
    pairs = [*sound_pairs(5), FAILED]
    path = write_table(tmp_path, pairs, column=column, row_group_size=2)
    assert recognise(str(path), None) is IN_TABLES
    records = read(IN_TABLES, tmp_path)
    assert [record.key for record in records] == [pair.key for pair in pairs]
    for row, (record, pair) in enumerate(zip(records[:5], pairs, strict=False)):
        assert (record.caption, record.image.row, record.image.offset) == (pair.caption, row, None)
        assert record.image.sha256 == hashlib.sha256(pair.image).hexdigest()
        assert stored_bytes(record) == pair.image
    assert records[5].image_error == "failed_to_download: HTTP Error 404"
    assert not records[5].has_only_url


def test_faults_of_tables_with_images(tmp_path):
    twice = [*sound_pairs(2), Pair("00000000", image_bytes(), "again"), Pair("00000007", None, "lost")]
    write_table(tmp_path, twice)
    write_table(tmp_path, [Pair("1", image_bytes())], name="00001", column=None)
    (tmp_path / "00002.parquet").write_bytes(b"no table")
    records = read(IN_TABLES, tmp_path)
    assert "duplicate key 00000000" in records[2].sample_error
    assert records[3].image_error == "image of key 00000007 is not in 00000.parquet"
    assert "no column of image bytes" in records[4].sample_error
    assert "00002.parquet cannot be read" in records[5].sample_error
    with pytest.raises(SourceError, match=r"no .parquet file"):
        IN_TABLES.shards(str(tmp_path / "nothing"), SourceOptions())


def test_images_in_folders(tmp_path):
    pairs = [*sound_pairs(3), FAILED]
    write_files(tmp_path, pairs)
    write_files(tmp_path, sound_pairs(1, first=10000), name="00001")
    assert recognise(str(tmp_path), None) is IN_FILES
    assert [shard.shard_id for shard in IN_FILES.shards(str(tmp_path), SourceOptions())] == ["00000", "00001"]
    records = read(IN_FILES, tmp_path)
    assert [record.key for record in records] == [*(pair.key for pair in pairs), "00010000"]
    assert [stored_bytes(record) for record in records[:3]] == [pair.image for pair in pairs[:3]]
    assert records[0].source_id == "1000"
    assert records[0].image.uri == str(tmp_path / "00000" / "00000000.jpg")
    assert records[3].image_error == "failed_to_download: HTTP Error 404"


def test_folders_without_their_table_are_described_by_json_and_txt(tmp_path):
    write_files(tmp_path, sound_pairs(2), table=False)
    (tmp_path / "00000" / "00000001.json").unlink()
    first, second = read(IN_FILES, tmp_path)
    assert (first.caption, first.source_id) == ("picture no 0", "1000")
    assert (second.caption, second.source_id) == ("picture no 1", None)
    assert stored_bytes(second) == sound_pairs(2)[1].image


def test_faults_of_folders(tmp_path):
    pairs = sound_pairs(4)
    write_files(tmp_path, pairs)
    (tmp_path / "00000" / "00000000.jpg").unlink()
    (tmp_path / "00000" / "00000001.jpg").write_bytes(b"")
    (tmp_path / "00000" / "extra.jpg").write_bytes(image_bytes())
    (tmp_path / "00001.parquet").write_bytes(b"no table")
    records = {record.key: record for record in read(IN_FILES, tmp_path)}
    assert records["00000000"].image_error == "image of key 00000000 is not in 00000/"
    assert records["00000001"].image_error == "00000001.jpg is empty (0 bytes)"
    assert records["00000002"].image_error is None
    assert records["extra"].image is not None
    assert "cannot be read" in records["00001.parquet"].sample_error


def test_a_changed_image_changes_the_fingerprint_of_its_folder(tmp_path):
    write_files(tmp_path, sound_pairs(1))
    write_files(tmp_path, sound_pairs(1), name="00001")
    before = [shard.fingerprint for shard in IN_FILES.shards(str(tmp_path), SourceOptions())]
    (tmp_path / "00001" / "00000000.jpg").write_bytes(image_bytes(size=(99, 9)))
    after = [shard.fingerprint for shard in IN_FILES.shards(str(tmp_path), SourceOptions())]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_real_table_holds_the_images_of_the_real_tar(shared_data):
    path = shared_data / "laion_like" / "parquet" / "00000.parquet"
    stats = json.loads(path.with_name("00000_stats.json").read_text())
    records = read(IN_TABLES, path)
    good = [record for record in records if record.image_error is None]
    assert (len(records), len(good)) == (stats["count"], stats["successes"])
    for record in good[::20]:
        data = stored_bytes(record)
        assert hashlib.sha256(data).hexdigest() == record.image.sha256
        assert Image.open(io.BytesIO(data)).size == (record.image.width, record.image.height)
    # The same run's other output, read by another reader.
    tars = read(SOURCES["webdataset"], shared_data / "laion_like" / "webdataset" / "00000.tar")
    assert {(r.key, r.caption, r.image.sha256) for r in good} == {
        (r.key, r.caption, r.image.sha256) for r in tars if r.image
    }
