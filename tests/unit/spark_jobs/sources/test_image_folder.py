"""Kind `folder`: images with captions files."""

import hashlib
import json
import os
import uuid

import fsspec
import pytest

from spark_jobs.errors import SourceError
from spark_jobs.sources import SOURCES, SourceOptions
from tests.builders import damaged_images, image_bytes, write_captions, write_images

SOURCE = SOURCES["folder"]


def read(root, **options):
    chosen = SourceOptions(**options)
    return [record for shard in SOURCE.shards(str(root), chosen) for record in SOURCE.read(shard, chosen)]


def write_csv(tmp_path, text, name="captions.csv"):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize("name", ["captions.csv", "captions.tsv", "captions.jsonl"])
def test_rows_of_each_format(tmp_path, name):
    write_images(tmp_path, ["a.jpg", "sub dir/größe.png"])
    captions = ['A "quoted", long\r\ncaption\nof three lines', "zwei\tTabs, größer 😀"]
    write_captions(
        tmp_path / name,
        [
            {
                "file_name": "a.jpg",
                "Caption": captions[0],
                "id": 7,
                "url": "http://x",
                "width": 640,
                "similarity": 0.3,
            },
            {"file_name": "./sub dir//größe.png", "Caption": captions[1]},
        ],
    )
    first, second = read(tmp_path)
    assert [r.caption for r in (first, second)] == captions
    assert (first.file, first.key, first.source_id, first.url) == (name, "a.jpg", "7", "http://x")
    assert (first.width, first.similarity) == (640, 0.3)
    assert (second.source_id, second.width, second.image_error, second.sample_error) == (
        None,
        None,
        None,
        None,
    )
    data = (tmp_path / "sub dir" / "größe.png").read_bytes()
    assert second.image.uri == str(tmp_path / "sub dir" / "größe.png")
    assert (second.image.offset, second.image.length) == (None, None)
    assert (second.image.format, second.image.width, second.image.height) == ("PNG", 64, 48)
    assert second.image.sha256 == hashlib.sha256(data).hexdigest()


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    write_images(tmp_path, ["a.jpg"])
    write_csv(tmp_path, b"\xef\xbb\xbffile_name,caption\r\na.jpg,hello\r\n\r\n")
    (record,) = read(tmp_path)
    assert (record.key, record.caption, record.image_error) == ("a.jpg", "hello", None)


def test_empty_caption_and_missing_caption(tmp_path):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    write_captions(tmp_path / "c.jsonl", [{"file": "a.jpg", "text": ""}, {"file": "b.jpg"}])
    assert [r.caption for r in read(tmp_path)] == ["", None]


def test_shards_of_rows_in_file_order_and_unlisted_images(tmp_path):
    names = [f"{n}.jpg" for n in range(7)]
    write_images(tmp_path, names)
    write_captions(tmp_path / "captions.csv", [{"image": name, "text": name} for name in reversed(names[:5])])
    options = SourceOptions(shard_size=2)
    shards = SOURCE.shards(str(tmp_path), options)
    assert [(shard.shard_id, shard.samples) for shard in shards] == [
        ("captions.csv-00000", 2),
        ("captions.csv-00001", 2),
        ("captions.csv-00002", 1),
        ("unlisted-00000", 2),
    ]
    keys = [[r.key for r in SOURCE.read(shard, options)] for shard in shards]
    assert keys == [["4.jpg", "3.jpg"], ["2.jpg", "1.jpg"], ["0.jpg"], ["5.jpg", "6.jpg"]]
    (unlisted, _) = SOURCE.read(shards[3], options)
    assert (unlisted.caption, unlisted.image.uri) == (None, str(tmp_path / "5.jpg"))


def test_several_captions_files_and_shard_ids_of_odd_names(tmp_path):
    write_images(tmp_path, ["a.jpg"])
    for name in ["a b.csv", "a_b.csv", "größe.tsv"]:
        write_captions(tmp_path / name, [{"file": "a.jpg", "caption": name}])
    shards = SOURCE.shards(str(tmp_path), SourceOptions())
    ids = [shard.shard_id for shard in shards]
    assert len(set(ids)) == 3
    assert all(set(shard_id) <= set("abcdefghijklmnopqrstuvwxyz_.-0123456789") for shard_id in ids)
    assert sorted(r.caption for r in read(tmp_path)) == ["a b.csv", "a_b.csv", "größe.tsv"]
    assert len({r.sample_id() for r in read(tmp_path)}) == 3


def test_several_captions_of_one_image(tmp_path):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    rows = [("a.jpg", "one"), ("b.jpg", "other"), ("a.jpg", "two"), ("a.jpg", "one")]
    write_captions(tmp_path / "c.csv", [{"file": name, "caption": caption} for name, caption in rows])
    for shard_size in (1, 1000):
        records = read(tmp_path, shard_size=shard_size)
        assert [(r.key, r.occurrence, r.caption) for r in records] == [
            ("a.jpg", 0, "one"),
            ("b.jpg", 0, "other"),
            ("a.jpg", 1, "two"),
            ("a.jpg", 2, "one"),
        ]
        assert all(r.sample_error is None and r.image_error is None for r in records)
        assert len({r.sample_id() for r in records}) == 4


def test_listed_but_missing_empty_and_damaged_images(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.jpg").write_bytes(damaged_images()["html_page"])
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    names = ["no.jpg", "empty.jpg", "page.jpg", "gone.jpg", ""]
    write_captions(tmp_path / "c.csv", [{"file": name, "caption": "x"} for name in names])
    missing, empty, page, gone, unnamed = read(tmp_path)
    assert missing.image_error == "file not found: no.jpg"
    assert empty.image_error == "empty.jpg is empty (0 bytes)"
    assert (page.image.format, page.image_error) == (None, None)
    assert gone.image_error == "file not found: gone.jpg"
    assert (unnamed.key, unnamed.image_error) == ("line 6", "the row names no image")
    assert all(r.sample_error is None for r in (missing, empty, page, gone, unnamed))


@pytest.mark.parametrize(
    "name",
    [
        "../secret.jpg",
        "sub/../../secret.jpg",
        "/etc/passwd",
        "{outside}",
        "..\\secret.jpg",
        "C:\\x.jpg",
        "http://x/a.jpg",
    ],
)
def test_paths_that_lead_out_of_the_folder_are_refused(tmp_path, name):
    (tmp_path / "secret.jpg").write_bytes(image_bytes())
    name = name.replace("{outside}", str(tmp_path / "secret.jpg"))
    write_images(tmp_path / "root", ["sub/a.jpg"])
    write_captions(tmp_path / "root" / "c.csv", [{"file": name, "caption": "x"}])
    record = read(tmp_path / "root")[0]
    assert record.image is None
    assert record.image_error == f"refused: {name} is not a path under the folder"


def test_lines_that_cannot_be_parsed_cost_only_themselves(tmp_path):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    write_csv(tmp_path, 'file,caption\na.jpg,sound\nx.jpg,one,too many\n"y.jpg" z,bad quote\nb.jpg,sound\n')
    records = read(tmp_path)
    assert [(r.key, r.sample_error) for r in records] == [
        ("a.jpg", None),
        ("line 3", "captions.csv line 3 has 3 fields where the header has 2"),
        ("line 4", "captions.csv line 4 cannot be parsed: ',' expected after '\"'"),
        ("b.jpg", None),
    ]
    assert records[1].image_error == "the row names no image"


def test_quote_that_is_never_closed_costs_one_line(tmp_path):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    write_csv(tmp_path, 'file,caption\na.jpg,"never closed\nb.jpg,sound\n')
    assert [(r.key, r.sample_error) for r in read(tmp_path) if r.file == "captions.csv"] == [
        ("line 2", "captions.csv line 2 cannot be parsed: unexpected end of data"),
        ("b.jpg", None),
    ]


def test_broken_json_lines(tmp_path):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    lines = [
        b'{"file": "a.jpg", "caption": "sound"}',
        b"{broken",
        b"[1]",
        b"",
        b'{"file": "b.jpg", "caption": "caf\xe9"}',
    ]
    (tmp_path / "c.jsonl").write_bytes(b"\n".join(lines))
    a, broken, array, latin = read(tmp_path)
    assert a.sample_error is None
    assert broken.sample_error.startswith("c.jsonl line 2 cannot be parsed: ")
    assert array.sample_error == "c.jsonl line 3 is no JSON object but a list"
    assert (latin.caption, latin.image_error) == ("caf\ufffd", None)
    position = lines[4].index(b"\xe9")
    assert latin.sample_error == f"c.jsonl line 5 is not UTF-8 (byte 0xE9 at position {position})"


def test_csv_caption_that_is_not_utf8(tmp_path):
    write_images(tmp_path, ["a.jpg"])
    write_csv(tmp_path, b"file,caption\na.jpg,un caf\xe9\n")
    (record,) = read(tmp_path)
    assert record.caption == "un caf\ufffd"
    assert record.sample_error == "caption is not UTF-8 (byte 0xE9 at position 6 of captions.csv line 2)"
    assert record.image is not None


def test_long_caption_is_kept(tmp_path):
    write_images(tmp_path, ["a.jpg"])
    text = "long, " * 60_000
    write_captions(tmp_path / "c.csv", [{"file": "a.jpg", "caption": text}])
    assert read(tmp_path)[0].caption == text


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "picture,caption",
            r"has no column one of file_name, .* \(columns: picture, caption\).*ingest.image_column",
        ),
        ("file,words", r"has no column one of caption, .* \(columns: file, words\).*ingest.caption_column"),
        ("file,path,caption", r"several columns of that kind: file, path \(columns: .*ingest.image_column"),
        ("file,Title,caption", r"several columns of that kind: Title, caption .*ingest.caption_column"),
    ],
)
def test_columns_that_cannot_be_told(tmp_path, header, message):
    write_images(tmp_path, ["a.jpg"])
    write_csv(tmp_path, f"{header}\n" + ",".join("a.jpg" for _ in header.split(",")) + "\n")
    with pytest.raises(SourceError, match=message):
        SOURCE.shards(str(tmp_path), SourceOptions())


def test_columns_that_the_user_names(tmp_path):
    write_images(tmp_path, ["a.jpg"])
    write_csv(tmp_path, "Picture,file,caption,Words\na.jpg,x,no,yes\n")
    (record,) = read(tmp_path, image_column="picture", caption_column="words")
    assert (record.caption, record.image_error) == ("yes", None)
    with pytest.raises(SourceError, match="has no column nosuch"):
        read(tmp_path, image_column="nosuch", caption_column="words")


def test_captions_file_without_rows_leaves_the_images_unlisted(tmp_path):
    write_images(tmp_path, ["a.jpg"])
    write_csv(tmp_path, "file,caption\n")
    (tmp_path / "none.jsonl").write_bytes(b"")
    assert [(r.key, r.caption) for r in read(tmp_path)] == [("a.jpg", None)]


def test_nothing_to_read(tmp_path):
    with pytest.raises(
        SourceError, match=r"no captions file: expected a .csv, .tsv or .jsonl file at its root"
    ):
        SOURCE.shards(str(tmp_path), SourceOptions())
    write_csv(tmp_path, "file,caption\n")
    with pytest.raises(SourceError, match=r"no image and no caption: captions.csv have no rows"):
        SOURCE.shards(str(tmp_path), SourceOptions())
    write_csv(tmp_path, "")
    with pytest.raises(SourceError, match=r"captions.csv has no header line"):
        SOURCE.shards(str(tmp_path), SourceOptions())


def test_fingerprint_follows_rows_and_images_of_its_own_shard(tmp_path):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    rows = [{"file": "a.jpg", "caption": "A"}, {"file": "b.jpg", "caption": "B"}]

    def fingerprints():
        return [s.fingerprint for s in SOURCE.shards(str(tmp_path), SourceOptions(shard_size=1))]

    write_captions(tmp_path / "c.csv", rows)
    before = fingerprints()
    write_captions(tmp_path / "c.csv", rows)
    assert fingerprints() == before
    os.utime(tmp_path / "b.jpg", (1, 1))
    touched = fingerprints()
    assert (touched[0], touched[1] != before[1]) == (before[0], True)
    write_captions(tmp_path / "c.csv", [{**rows[0], "caption": "other"}, rows[1]])
    changed = fingerprints()
    assert (changed[0] != touched[0], changed[1]) == (True, touched[1])


def test_payload_survives_json(tmp_path):
    write_images(tmp_path, ["a.jpg"])
    write_csv(tmp_path, b"file,caption\na.jpg,caf\xe9\n")
    (shard,) = SOURCE.shards(str(tmp_path), SourceOptions())
    assert json.loads(json.dumps(shard.payload)) == shard.payload


def test_through_a_remote_file_system(tmp_path):
    write_images(tmp_path, ["a b.jpg", "c.png"])
    write_captions(
        tmp_path / "captions.csv", [{"file": "a b.jpg", "caption": "A"}, {"file": "no.jpg", "caption": "N"}]
    )
    memory = fsspec.filesystem("memory")
    root = f"memory://{uuid.uuid4().hex}/data"
    for path in tmp_path.iterdir():
        memory.pipe_file(f"{root}/{path.name}", path.read_bytes())
    try:
        first, missing, unlisted = read(f"{root}/")
        assert first.image.uri == f"{root}/a b.jpg"
        assert memory.cat_file(first.image.uri) == (tmp_path / "a b.jpg").read_bytes()
        assert missing.image_error == "file not found: no.jpg"
        assert unlisted.image.uri == f"{root}/c.png"
        assert [r.sample_id() for r in read(tmp_path)] == [r.sample_id() for r in (first, missing, unlisted)]
    finally:
        memory.rm(root, recursive=True)
