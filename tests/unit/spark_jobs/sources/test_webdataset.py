"""Kind `webdataset`: shards as img2dataset writes them, read as they are meant."""

import io
import json
import os
import tarfile
import uuid

import fsspec
import pytest

from spark_jobs.errors import SourceError
from spark_jobs.sources import storage, tar_samples
from tests.builders import Pair, image_bytes, sound_pairs, tar_bytes, write_shard
from tests.webdataset_reading import JPEG, OPTIONS, SOURCE, read, read_tar, stored_bytes


def test_rows_of_the_table_are_joined_to_images_by_key(tmp_path):
    columns = {
        "SAMPLE_ID": 17.0,
        "similarity": 0.3,
        "NSFW": "UNSURE",
        "original_width": 640,
        "original_height": 480,
    }
    pairs = [*sound_pairs(2), Pair("00000002", JPEG, "third", columns=columns)]
    write_shard(tmp_path, pairs)
    records = read(tmp_path)
    assert [(r.file, r.key, r.caption, r.sample_error, r.image_error) for r in records] == [
        ("00000.tar", "00000000", "picture no 0", None, None),
        ("00000.tar", "00000001", "picture no 1", None, None),
        ("00000.tar", "00000002", "third", None, None),
    ]
    assert [stored_bytes(r.image) for r in records] == [pair.image for pair in pairs]
    third = records[2]
    assert (third.source_id, third.similarity, third.nsfw, third.width, third.height) == (
        "17",
        0.3,
        "UNSURE",
        640,
        480,
    )
    assert (third.image.format, third.image.width, third.image.height) == ("JPEG", 64, 48)


def test_failed_rows_are_records_with_img2datasets_message(tmp_path):
    failed = [
        Pair("00000001", None, "gone", "failed_to_download", "HTTP Error 404: Not Found\n"),
        Pair("00000002", None, "bad", "failed_to_resize", None),
    ]
    write_shard(tmp_path, [*sound_pairs(1), *failed])
    records = read(tmp_path)
    assert [(r.key, r.caption, r.image, r.image_error) for r in records[1:]] == [
        ("00000001", "gone", None, "failed_to_download: HTTP Error 404: Not Found"),
        ("00000002", "bad", None, "failed_to_resize"),
    ]
    assert all(r.sample_error is None for r in records)


def test_a_shard_whose_downloads_all_failed_gives_its_rows(tmp_path):
    write_shard(tmp_path, [Pair("00000000", None, "x", "failed_to_download", "timeout")])
    assert [r.image_error for r in read(tmp_path)] == ["failed_to_download: timeout"]


def test_tar_alone_is_described_by_its_json_else_its_txt(tmp_path):
    row = {
        "caption": "from json",
        "url": "http://x",
        "uid": "u1",
        "original_width": 9,
        "clip_l14_similarity_score": 0.2,
    }
    members = [("a.jpg", JPEG), ("a.json", json.dumps(row).encode()), ("a.txt", b"from txt")]
    members += [("b.jpg", JPEG), ("b.txt", b"only txt"), ("c.jpg", JPEG), ("d.jpg", JPEG), ("d.txt", b"")]
    a, b, c, d = read_tar(tmp_path, members)
    assert (a.caption, a.url, a.source_id, a.width, a.similarity) == ("from json", "http://x", "u1", 9, 0.2)
    assert [r.caption for r in (b, c, d)] == ["only txt", None, ""]


def test_null_caption_of_the_table_is_not_filled_from_the_empty_txt(tmp_path):
    write_shard(tmp_path, [Pair("0", JPEG, None), Pair("1", JPEG, "x")])
    assert [r.caption for r in read(tmp_path)] == [None, "x"]


def test_members_that_the_table_does_not_list_are_records_too(tmp_path):
    tar = write_shard(tmp_path, sound_pairs(1))
    tar.write_bytes(tar_bytes([*sound_pairs(1)[0].members(), ("extra.jpg", JPEG), ("extra.txt", b"more")]))
    assert [(r.key, r.caption, r.image_error) for r in read(tmp_path)] == [
        ("00000000", "picture no 0", None),
        ("extra", "more", None),
    ]


def test_members_of_a_key_need_not_be_neighbours(tmp_path):
    members = [("a.jpg", JPEG), ("b.jpg", JPEG), ("b.txt", b"B"), ("a.txt", b"A")]
    assert [(r.key, r.caption, r.sample_error) for r in read_tar(tmp_path, members)] == [
        ("a", "A", None),
        ("b", "B", None),
    ]


def test_the_first_image_of_a_sample_wins_and_other_extensions_are_none(tmp_path):
    png = image_bytes("PNG", size=(10, 20))
    members = [
        ("a.npy", b"123"),
        ("a.PNG", png),
        ("a.jpg", JPEG),
        ("b.mp4", b"film"),
        ("b.txt", b"no picture"),
    ]
    a, b = read_tar(tmp_path, members)
    assert (a.image.format, a.image.width, a.image.height, a.image_error) == ("PNG", 10, 20, None)
    assert (b.image, b.image_error) == (None, "image of key b is not in 00000.tar")


def test_turned_image_has_its_upright_size(tmp_path):
    (record,) = read_tar(tmp_path, [("a.jpg", image_bytes(size=(64, 48), orientation=6))])
    assert (record.image.width, record.image.height) == (48, 64)


def test_long_caption_and_odd_characters_are_kept(tmp_path):
    odd = json.dumps({"caption": "nul \0 and \ud800 alone"}).encode()
    long, other = read_tar(tmp_path, [("a.txt", b"w " * 50_000), ("b.json", odd)])
    assert long.caption == "w " * 50_000
    assert other.caption == "nul \0 and \ufffd alone"
    assert other.sample_error is None


def test_subfolders_spaces_and_other_letters_in_names(tmp_path):
    write_shard(tmp_path / "part-1", sound_pairs(1))
    write_shard(tmp_path / "teil 2 größe", sound_pairs(1))
    shards = SOURCE.shards(str(tmp_path), OPTIONS)
    assert [shard.shard_id for shard in shards] == ["part-1/00000", "teil 2 größe/00000"]
    records = read(tmp_path)
    assert [(r.file, r.image_error) for r in records] == [
        ("part-1/00000.tar", None),
        ("teil 2 größe/00000.tar", None),
    ]
    assert all(stored_bytes(r.image) == sound_pairs(1)[0].image for r in records)
    assert len({r.sample_id() for r in records}) == 2


def test_keys_within_folders_of_the_tar_as_webdataset_makes_them(tmp_path):
    names = ["./a.jpg", "x.y/a.b.jpg", "x.y/a.txt", "ü 1.jpg", "noextension", "x/.hidden.jpg", "z.json"]
    members = [(name, b"{}" if name.endswith("json") else JPEG) for name in names]
    assert [r.key for r in read_tar(tmp_path, members)] == ["a", "x.y/a", "ü 1", "z"]


def test_split_name_agrees_with_the_webdataset_library():
    library = pytest.importorskip("webdataset.tariterators")
    for name in ["a.jpg", "d/a.jpg", "d.e/a.seg.PNG", "a", "d/b", "a.", "00000004.json", "x y/ü.webp"]:
        key, suffix = library.base_plus_ext(name)
        expected = None if key is None else (key, suffix.lower())
        assert tar_samples.split_name(name) == expected


def test_a_single_tar_is_a_source_with_the_same_ids(tmp_path):
    write_shard(tmp_path, sound_pairs(1), name="00000")
    tar = write_shard(tmp_path, sound_pairs(1, first=1), name="00001")
    ids = {r.sample_id() for r in read(tmp_path) if r.file == "00001.tar"}
    assert SOURCE.recognises(storage.list_files(str(tar)))
    assert {r.sample_id() for r in read(tar)} == ids
    assert [r.source_id for r in read(tar)] == ["1001"]


def test_fingerprint_follows_tar_and_table(tmp_path):
    tar = write_shard(tmp_path, sound_pairs(1))

    def fingerprint():
        return SOURCE.shards(str(tmp_path), OPTIONS)[0].fingerprint

    seen = [fingerprint(), fingerprint()]
    assert seen[0] == seen[1]
    os.utime(tar, (1, 1))
    seen.append(fingerprint())
    os.utime(tmp_path / "00000.parquet", (1, 1))
    seen.append(fingerprint())
    (tmp_path / "00000.parquet").unlink()
    seen.append(fingerprint())
    assert len(set(seen)) == 4


def test_shards_without_any(tmp_path):
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(SourceError, match=r"no webdataset shards: expected NAME.tar .* found readme.md"):
        SOURCE.shards(str(tmp_path), OPTIONS)


def test_compressed_tars_are_refused_before_any_work(tmp_path):
    (tmp_path / "00000.tar.gz").write_bytes(b"x")
    assert SOURCE.recognises(storage.list_files(str(tmp_path)))
    with pytest.raises(SourceError, match=r"compressed tars \(00000.tar.gz\).*unpack"):
        SOURCE.shards(str(tmp_path), OPTIONS)


def test_payload_survives_json(tmp_path):
    write_shard(tmp_path, sound_pairs(1))
    (shard,) = SOURCE.shards(str(tmp_path), OPTIONS)
    assert json.loads(json.dumps(shard.payload)) == shard.payload


def test_through_a_remote_file_system(tmp_path):
    pairs = [*sound_pairs(3), Pair("00000003", None, "gone", "failed_to_download", "timeout")]
    write_shard(tmp_path, pairs)
    memory = fsspec.filesystem("memory")
    root = f"memory://{uuid.uuid4().hex}/my data"
    for path in tmp_path.iterdir():
        memory.pipe_file(f"{root}/part/{path.name}", path.read_bytes())
    try:
        remote, local = read(root), read(tmp_path)
        assert [r.image.uri for r in remote[:3]] == [f"{root}/part/00000.tar"] * 3
        assert [stored_bytes(r.image) for r in remote[:3]] == [pair.image for pair in pairs[:3]]
        assert [(r.key, r.caption, r.image_error) for r in remote] == [
            (r.key, r.caption, r.image_error) for r in local
        ]
        assert remote[3].image_error == "failed_to_download: timeout"
    finally:
        memory.rm(root, recursive=True)


def test_members_written_by_another_tool_format(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        header = tarfile.TarInfo("folder.jpg")
        header.type = tarfile.DIRTYPE
        archive.addfile(header)
        link = tarfile.TarInfo("folder.jpg/a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "b.jpg"
        archive.addfile(link)
    (tmp_path / "00000.tar").write_bytes(buffer.getvalue())
    (record,) = read(tmp_path)
    assert record.key == "folder.jpg/a"
    assert record.image_error == "folder.jpg/a.jpg is a link, not a file"
