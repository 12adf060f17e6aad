from __future__ import annotations

import random

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from udfs import image_refs
from udfs.image_refs import ImageRef, UnreadableImage, read_images

DATA = bytes(random.Random(1).randbytes(3_000_000))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "part 1 ü.tar"
    path.write_bytes(DATA)
    return str(path)


def test_ranges_come_back_in_the_order_asked_for(file, any_seed):
    draw = random.Random(any_seed)
    places = [(draw.randrange(0, 2_900_000), draw.randrange(0, 90_000)) for _ in range(60)]
    refs = [ImageRef(file, offset, length) for offset, length in places]
    assert read_images(refs, max_bytes=10**6) == [DATA[offset : offset + length] for offset, length in places]


def test_close_ranges_are_read_in_one_request(file, monkeypatch):
    opened = []
    unwrapped = image_refs._open
    monkeypatch.setattr(image_refs, "_open", lambda uri: opened.append(uri) or unwrapped(uri))
    refs = [ImageRef(file, offset, 5000) for offset in range(0, 500_000, 6000)]
    assert len(read_images(refs, max_bytes=10**6)) == len(refs)
    assert len(opened) == 1


def test_whole_files_and_ranges_mix(file, tmp_path):
    (tmp_path / "whole.jpg").write_bytes(b"whole")
    refs = [ImageRef(file, 10, 5), ImageRef(str(tmp_path / "whole.jpg")), ImageRef(file, 0, 3)]
    assert read_images(refs, max_bytes=10**6) == [DATA[10:15], b"whole", DATA[:3]]


def test_what_cannot_be_read_is_an_error_in_its_place(file, tmp_path):
    refs = [
        ImageRef(file, 0, 4),
        ImageRef(str(tmp_path / "gone.jpg")),
        ImageRef(file, len(DATA) - 2, 100),
        ImageRef(file, 0, 2_000_000),
        ImageRef(str(tmp_path / "gone.tar"), 0, 10),
    ]
    good, gone, cut, large, gone_range = read_images(refs, max_bytes=10**6)
    assert good == DATA[:4]
    assert all(isinstance(fault, UnreadableImage) for fault in (gone, cut, large, gone_range))
    assert "No such file" in str(gone)
    assert "ends before byte" in str(cut)
    assert "exceeds the limit of 1000000 bytes" in str(large)
    assert "gone.tar" in str(gone_range)


def test_remote_files_are_read_too():
    with fsspec.open("memory://bucket/shard.tar", "wb") as target:
        target.write(DATA[:1000])
    refs = [ImageRef("memory://bucket/shard.tar", 100, 50), ImageRef("memory://bucket/shard.tar")]
    assert read_images(refs, max_bytes=10**6) == [DATA[100:150], DATA[:1000]]


@pytest.fixture
def table(tmp_path):
    """100 images in row groups of 30; row 42 has none."""
    images = [None if row == 42 else bytes([row]) * (500 + row) for row in range(100)]
    path = tmp_path / "00000.parquet"
    columns = {"key": [str(row) for row in range(100)], "jpg": pa.array(images, pa.binary())}
    parquet.write_table(pa.table(columns), path, row_group_size=30)
    return str(path), images


def test_rows_of_a_parquet_file_come_back_in_the_order_asked_for(table):
    path, images = table
    rows = random.Random(3).sample([row for row in range(100) if row != 42], 60)
    rows += [rows[0]]
    assert read_images([ImageRef(path, row=row) for row in rows], max_bytes=10**6) == [
        images[row] for row in rows
    ]


def test_each_row_group_is_read_once_and_of_it_one_column(table, monkeypatch):
    path, images = table
    asked = []
    real = parquet.ParquetFile.iter_batches

    def watched(self, *args, **options):
        asked.append((options["row_groups"], options["columns"]))
        return real(self, *args, **options)

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", watched)
    refs = [ImageRef(path, row=row) for row in (95, 3, 94, 29, 0)]
    assert read_images(refs, max_bytes=10**6) == [images[row] for row in (95, 3, 94, 29, 0)]
    assert asked == [([0], ["jpg"]), ([3], ["jpg"])]


def test_rows_that_cannot_be_read_are_errors_in_their_place(table, tmp_path):
    path, images = table
    parquet.write_table(pa.table({"jpg": ["text"]}), tmp_path / "text.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    refs = [
        ImageRef(path, row=7),
        ImageRef(path, row=42),
        ImageRef(path, row=100),
        ImageRef(path, row=99),
        ImageRef(str(tmp_path / "text.parquet"), row=0),
        ImageRef(str(tmp_path / "broken.parquet"), row=0),
        ImageRef(str(tmp_path / "gone.parquet"), row=0),
    ]
    good, *faults = read_images(refs, max_bytes=550)
    assert good == images[7]
    assert all(isinstance(fault, UnreadableImage) for fault in faults)
    words = [
        "no image",
        "has no row 100",
        "599 bytes exceeds",
        "no column with image bytes",
        "broken",
        "No such file",
    ]
    for fault, expected in zip(faults, words, strict=True):
        assert expected in str(fault)


def test_remote_rows_are_read_too(table):
    path, images = table
    with open(path, "rb") as source, fsspec.open("memory://bucket/00000.parquet", "wb") as target:
        target.write(source.read())
    refs = [ImageRef("memory://bucket/00000.parquet", row=row) for row in (61, 5)]
    assert read_images(refs, max_bytes=10**6) == [images[61], images[5]]
