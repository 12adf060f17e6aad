"""Kind `webdataset`: all that can be wrong with a shard."""

import io
import tarfile

import pyarrow as pa
import pytest
from pyarrow import parquet

from spark_jobs.sources import parquet_file, tar_samples
from tests.builders import Pair, damaged_images, image_bytes, sound_pairs, tar_bytes, write_shard
from tests.webdataset_reading import JPEG, read, read_tar, stored_bytes


def test_row_whose_image_is_not_in_the_tar(tmp_path):
    tar = write_shard(tmp_path, sound_pairs(2))
    tar.write_bytes(tar_bytes(sound_pairs(1)[0].members()))
    assert [(r.key, r.image_error) for r in read(tmp_path)] == [
        ("00000000", None),
        ("00000001", "image of key 00000001 is not in 00000.tar"),
    ]


def test_cut_tar_gives_the_samples_before_and_reasons_behind(tmp_path):
    tar = write_shard(tmp_path, sound_pairs(3))
    with tarfile.open(tar) as archive:
        end = archive.getmember("00000001.jpg").offset_data + 10
    tar.write_bytes(tar.read_bytes()[:end])
    assert [(r.key, r.image_error) for r in read(tmp_path)] == [
        ("00000000", None),
        ("00000001", f"00000001.jpg is cut: the tar ends at byte {end}"),
        (
            "00000002",
            f"image of key 00000002 is not in 00000.tar, which ends early at byte {end}, inside 00000001.jpg",
        ),
    ]


def test_cut_tar_without_a_table_has_a_record_of_its_own(tmp_path):
    tar = write_shard(tmp_path, sound_pairs(3))
    (tmp_path / "00000.parquet").unlink()
    tar.write_bytes(tar.read_bytes()[:5000])
    last = read(tmp_path)[-1]
    assert last.key == last.file == "00000.tar"
    assert last.sample_error.startswith("00000.tar ends early at byte 5000")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty (0 bytes)"),
        (b"\x1f\x8b" + bytes(600), "is compressed (gzip)"),
        (b"garbage " * 100, "is no tar"),
        (None, "is missing"),
    ],
)
def test_tar_that_cannot_be_read(tmp_path, data, reason):
    tar = write_shard(tmp_path, sound_pairs(2))
    tar.unlink() if data is None else tar.write_bytes(data)
    records = read(tmp_path)
    assert [r.key for r in records] == ["00000000", "00000001"]
    for record in records:
        assert record.image_error.startswith(f"image of key {record.key} is not in 00000.tar, which {reason}")
        assert record.sample_error is None
    if data is not None:
        (tmp_path / "00000.parquet").unlink()
        (record,) = read(tmp_path)
        assert record.key == "00000.tar"
        assert record.sample_error == record.image_error
        assert record.sample_error.startswith(f"00000.tar {reason}")


def test_tar_without_members_and_without_table_is_not_lost(tmp_path):
    (record,) = read_tar(tmp_path, [])
    assert (record.key, record.sample_error) == ("00000.tar", "00000.tar holds no samples")


def test_member_that_comes_too_late_is_neither_lost_nor_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(tar_samples, "OPEN_SAMPLES", 2)
    members = [("a.jpg", JPEG), ("b.jpg", JPEG), ("c.jpg", JPEG), ("a.txt", b"late")]
    records = read_tar(tmp_path, members)
    assert sorted((r.key, r.occurrence, r.sample_error is None) for r in records) == [
        ("a", 0, True),
        ("a", 1, False),
        ("b", 0, True),
        ("c", 0, True),
    ]


def test_duplicate_key_in_the_tar(tmp_path):
    other = image_bytes(color=(0, 0, 0))
    members = [("a.jpg", JPEG), ("a.txt", b"one"), ("b.jpg", JPEG), ("a.jpg", other), ("a.txt", b"two")]
    records = read_tar(tmp_path, members)
    first = next(r for r in records if (r.key, r.occurrence) == ("a", 0))
    second = next(r for r in records if (r.key, r.occurrence) == ("a", 1))
    assert len(records) == 3
    assert (first.caption, first.sample_error) == ("one", None)
    assert second.caption == "two"
    assert second.sample_error == f"duplicate key a: first at byte {first.image.offset}"
    assert stored_bytes(second.image) == other
    assert len({r.sample_id() for r in records}) == 3


def test_duplicate_key_in_the_table(tmp_path):
    write_shard(tmp_path, [Pair("0", JPEG, "one"), Pair("0", None, "two")])
    first, second = read(tmp_path)
    assert (first.caption, first.sample_error, first.image_error) == ("one", None, None)
    assert (second.caption, second.occurrence) == ("two", 1)
    assert second.sample_error == "duplicate key 0 at 00000.parquet row 1"
    assert second.image_error == "image of key 0 is not in 00000.tar"


def test_damaged_images_are_references_for_the_decoder_to_judge(tmp_path):
    damaged = damaged_images()
    records = {
        r.key: r for r in read_tar(tmp_path, [(f"{name}.jpg", data) for name, data in damaged.items()])
    }
    assert records.keys() == damaged.keys()
    assert records["empty"].image_error == "empty.jpg is empty (0 bytes)"
    for name in damaged.keys() - {"empty"}:
        assert stored_bytes(records[name].image) == damaged[name]
    assert records["html_page"].image.format is None
    assert records["jpeg_cut_in_half"].image.width == 200


def test_caption_that_is_not_utf8(tmp_path):
    (record,) = read_tar(tmp_path, [("a.jpg", JPEG), ("a.txt", b"un caf\xe9")])
    assert record.caption == "un caf\ufffd"
    assert record.sample_error == "caption is not UTF-8 (byte 0xE9 at position 6 of a.txt)"
    assert record.image is not None


@pytest.mark.parametrize(
    ("data", "reason"), [(b"{broken", "a.json is no JSON: "), (b"[1]", "a.json is no JSON object but a list")]
)
def test_broken_json(tmp_path, data, reason):
    (record,) = read_tar(tmp_path, [("a.jpg", JPEG), ("a.json", data), ("a.txt", b"still here")])
    assert record.sample_error.startswith(reason)
    assert (record.caption, record.image_error) == ("still here", None)


def test_table_text_that_is_not_utf8_costs_one_row(tmp_path):
    write_shard(tmp_path, sound_pairs(2))
    captions = pa.array([b"caf\xe9", b"sound"]).view(pa.string())
    table = pa.table({"key": ["00000000", "00000001"], "caption": captions})
    parquet.write_table(table, tmp_path / "00000.parquet")
    first, second = read(tmp_path)
    assert first.caption == "caf\ufffd"
    assert first.sample_error == "caption is not UTF-8 (byte 0xE9 at position 3 of 00000.parquet row 0)"
    assert (second.caption, second.sample_error) == ("sound", None)


@pytest.mark.parametrize("data", [b"", b"no parquet at all", b"PAR1" + bytes(100) + b"PAR1"])
def test_corrupt_table_is_a_record_beside_those_of_the_tar(tmp_path, data):
    write_shard(tmp_path, sound_pairs(2))
    (tmp_path / "00000.parquet").write_bytes(data)
    *sound, fault = read(tmp_path)
    assert [(r.key, r.caption, r.sample_error) for r in sound] == [
        ("00000000", "picture no 0", None),
        ("00000001", "picture no 1", None),
    ]
    assert fault.key == fault.file == "00000.parquet"
    assert fault.sample_error.startswith("00000.parquet cannot be read: ")


def damage_row_of_table(path, row):
    rows = parquet.read_table(path)
    parquet.write_table(rows, path, row_group_size=1, use_dictionary=False)
    group = parquet.ParquetFile(path).metadata.row_group(row)
    data = bytearray(path.read_bytes())
    for index in range(group.num_columns):
        start = group.column(index).data_page_offset
        data[start : start + 12] = b"\xff" * 12
    path.write_bytes(data)


def test_table_with_a_damaged_page_gives_the_rows_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_file, "BATCH_ROWS", 1)
    failed = [Pair(key, None, "x", "failed_to_download", "timeout") for key in ("1", "2")]
    write_shard(tmp_path, [*sound_pairs(1), *failed])
    damage_row_of_table(tmp_path / "00000.parquet", 2)
    sound, gone, fault = read(tmp_path)
    assert (sound.caption, gone.image_error) == ("picture no 0", "failed_to_download: timeout")
    assert (fault.key, fault.sample_error[:30]) == ("00000.parquet", "00000.parquet cannot be read: ")


def test_table_without_keys_is_reported(tmp_path):
    write_shard(tmp_path, sound_pairs(1))
    parquet.write_table(pa.table({"URL": ["u"], "TEXT": ["t"]}), tmp_path / "00000.parquet")
    sound, fault = read(tmp_path)
    assert (sound.key, sound.caption) == ("00000000", "picture no 0")
    assert fault.sample_error == (
        "00000.parquet cannot be read: no column `key`, which img2dataset writes (columns: URL, TEXT)"
    )


def test_row_without_key(tmp_path):
    write_shard(tmp_path, sound_pairs(1))
    parquet.write_table(pa.table({"key": ["00000000", None]}), tmp_path / "00000.parquet")
    assert [(r.key, r.sample_error) for r in read(tmp_path)] == [
        ("00000000", None),
        ("row 1", "00000.parquet row 1 has no key"),
    ]


def test_the_first_image_is_judged_even_where_it_is_empty(tmp_path):
    (record,) = read_tar(tmp_path, [("a.jpg", b""), ("a.png", image_bytes("PNG"))])
    assert (record.image, record.image_error) == (None, "a.jpg is empty (0 bytes)")


def test_failed_row_has_no_image_even_where_the_tar_has_one(tmp_path):
    tar = write_shard(tmp_path, [Pair("0", None, "x", "failed_to_download", "timeout")])
    tar.write_bytes(tar_bytes([("0.jpg", JPEG)]))
    assert [(r.image, r.image_error) for r in read(tmp_path)] == [(None, "failed_to_download: timeout")]


def test_json_and_txt_are_not_judged_where_the_table_tells_the_caption(tmp_path):
    tar = write_shard(tmp_path, sound_pairs(1))
    tar.write_bytes(
        tar_bytes([("00000000.jpg", JPEG), ("00000000.json", b"{broken"), ("00000000.txt", b"\xff")])
    )
    assert [(r.caption, r.sample_error) for r in read(tmp_path)] == [("picture no 0", None)]


def test_cut_tar_beside_a_damaged_table_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_file, "BATCH_ROWS", 1)
    tar = write_shard(tmp_path, sound_pairs(3))
    tar.write_bytes(tar.read_bytes()[:5000])
    damage_row_of_table(tmp_path / "00000.parquet", 2)
    assert [r.key for r in read(tmp_path)] == ["00000000", "00000001", "00000.parquet", "00000.tar"]


@pytest.mark.parametrize("broken", [".tar", ".parquet"])
def test_storage_that_fails_is_no_fault_of_the_data(tmp_path, monkeypatch, broken):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise TimeoutError("storage is gone")

    def open_file(uri):
        return Broken(b"x" * 1000) if uri.endswith(broken) else open(uri, "rb")

    write_shard(tmp_path, sound_pairs(1))
    monkeypatch.setattr("spark_jobs.sources.storage.open_file", open_file)
    monkeypatch.setattr("spark_jobs.sources.tar_index.open_file", open_file)
    with pytest.raises(TimeoutError, match="storage is gone"):
        read(tmp_path)
