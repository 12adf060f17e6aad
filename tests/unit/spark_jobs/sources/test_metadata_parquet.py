"""Kind `metadata-parquet`: LAION's, DataComp's and COYO's tables of URLs."""

import math
import re

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError, SourceError
from spark_jobs.sources import SOURCES, SourceOptions, recognise

SOURCE = SOURCES["metadata-parquet"]
LAION = {
    "SAMPLE_ID": [1.0, 2.0],
    "URL": ["http://a.org/1.jpg", "http://a.org/2.jpg"],
    "TEXT": ["one", "two"],
    "HEIGHT": [30.0, None],
    "WIDTH": [40.0, None],
    "LICENSE": ["?", "?"],
    "NSFW": ["UNLIKELY", "UNSURE"],
    "similarity": [0.3, 0.4],
}


def write(path, columns, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path, **options)
    return path


def read(root, **options):
    chosen = SourceOptions(**options)
    return [r for shard in SOURCE.shards(str(root), chosen) for r in SOURCE.read(shard, chosen)]


def notes(root, **options):
    return list(dict.fromkeys(n for s in SOURCE.shards(str(root), SourceOptions(**options)) for n in s.notes))


def test_laion_rows_have_a_url_and_no_image_yet(tmp_path):
    first, second = read(write(tmp_path / "part-00000.parquet", LAION))
    assert first.has_only_url
    assert first.sample_error is None
    assert (first.file, first.key, first.source_id) == ("part-00000.parquet", "0", "1")
    assert (first.url, first.caption, first.nsfw) == ("http://a.org/1.jpg", "one", "UNLIKELY")
    assert (first.width, first.height, first.similarity) == (40, 30, 0.3)
    assert (second.width, second.height, second.dirt) == (None, None, ("null sizes",))
    assert first.sample_id() != second.sample_id()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"URL": "u", "TEXT": "t", "WIDTH": 5, "HEIGHT": 4, "similarity": 0.3, "hash": -(2**62),
             "punsafe": 0.1, "pwatermark": 0.2},
            {"source_id": str(-(2**62)), "width": 5, "punsafe": 0.1, "pwatermark": 0.2},
        ),
        ({"URL": "u", "TEXT": "t", "AESTHETIC_SCORE": 6.5, "hash": 7}, {"aesthetic": 6.5, "source_id": "7"}),
        ({"url": "u", "caption": "t", "aesthetic": 6.5}, {"aesthetic": 6.5}),
        ({"url": "u", "text": "t", "ase_scores": 6.5}, {"aesthetic": 6.5}),
        (
            {"uid": "0f", "url": "u", "text": "t", "original_width": 8, "original_height": 6,
             "clip_b32_similarity_score": 0.1, "clip_l14_similarity_score": 0.2, "sha256": "ff"},
            {"source_id": "0f", "width": 8, "height": 6, "similarity": 0.2},
        ),
        (
            {"id": 2**60 + 1, "url": "u", "text": "t", "width": 8, "height": 6, "image_phash": "x",
             "clip_similarity_vitb32": 0.25, "clip_similarity_vitl14": 0.2, "nsfw_score_opennsfw2": 0.01,
             "watermark_score": 0.3, "aesthetic_score_laion_v2": 4.5},
            {"source_id": str(2**60 + 1), "width": 8, "similarity": 0.25, "punsafe": 0.01,
             "pwatermark": 0.3, "aesthetic": 4.5},
        ),
    ],
    ids=["laion2b-joined", "aesthetics-v2", "relaion", "ase", "datacomp", "coyo"],
)  # fmt: skip
def test_spellings_of_the_releases(tmp_path, columns, expected):
    path = write(tmp_path / "a.parquet", {name: [value] for name, value in columns.items()})
    (record,) = read(path)
    assert (record.url, record.caption) == ("u", "t")
    assert {name: getattr(record, name) for name in expected} == expected


def test_another_column_can_be_the_caption(tmp_path):
    path = write(
        tmp_path / "coco.parquet", {"URL": ["http://a.org/x"], "TEXT": ["alt"], "top_caption": ["made"]}
    )
    assert [record.caption for record in read(path)] == ["alt"]
    assert [record.caption for record in read(path, caption_column="top_caption")] == ["made"]


def test_dirt_is_kept_and_named(tmp_path):
    columns = {
        "SAMPLE_ID": [2.0**60, math.nan, 3.0, 3.0, 4.0, 5.0],
        "URL": ["http://a.org/1", "http://a.org/2", "a.org/3.jpg", "http://a.org/4", None, "http://a.org/6"],
        "TEXT": [None, " ", "cafÃ©", "lost \ufffd", "no address", "sound, voilà…” É“"],
        "WIDTH": [0.0, -1.0, 5.0, 5.0, 5.0, 5.0],
        "NSFW": ["False", "NSFW", "UNSURE", None, "UNLIKELY", "UNLIKELY"],
        "similarity": [0.1, 0.1, None, 31.0, 0.3, 0.3],
    }
    records = read(write(tmp_path / "a.parquet", columns))
    assert [set(record.dirt) for record in records] == [
        {"inexact ids", "null captions", "non-positive sizes", "unknown NSFW labels"},
        {"null ids", "empty captions", "non-positive sizes"},
        {"malformed URLs", "mojibake captions", "null similarity"},
        {"repeated ids", "captions with lost characters", "similarity out of range"},
        {"null URLs"},
        set(),
    ]
    unusable = [record.sample_error for record in records if record.sample_error]
    assert unusable == ["no URL and no image (a.parquet row 4)"]
    assert records[1].caption == " "


def test_a_caption_that_is_not_utf8_costs_its_own_row_only(tmp_path):
    latin = pa.array([b"caf\xe9", b"tea"], pa.binary()).view(pa.string())
    path = write(tmp_path / "a.parquet", {"url": ["http://a.org/1", "http://a.org/2"], "text": latin})
    bad, good = read(path)
    assert "caption is not UTF-8 (byte 0xE9" in bad.sample_error
    assert (good.caption, good.sample_error) == ("tea", None)


def test_files_are_cut_into_ranges_across_row_groups(tmp_path):
    columns = {"url": [f"http://a.org/{n}" for n in range(25)], "text": [f"t{n}" for n in range(25)]}
    write(tmp_path / "in put" / "a.parquet", columns, row_group_size=4)
    shards = SOURCE.shards(str(tmp_path), SourceOptions(shard_size=10))
    assert [shard.samples for shard in shards] == [10, 10, 5]
    assert len({shard.shard_id for shard in shards}) == 3
    ranges = [[int(r.key) for r in SOURCE.read(shard, SourceOptions())] for shard in shards]
    assert ranges == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert [r.caption for r in read(tmp_path, shard_size=10)] == columns["text"]


def test_only_row_groups_of_the_range_are_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", {"url": [f"http://a.org/{n}" for n in range(40)]}, row_group_size=5)
    asked = []
    real = parquet.ParquetFile.iter_batches
    monkeypatch.setattr(
        parquet.ParquetFile, "iter_batches", lambda *a, **k: asked.append(k["row_groups"]) or real(*a, **k)
    )
    shard = SOURCE.shards(str(path), SourceOptions(shard_size=10))[1]
    assert [record.key for record in SOURCE.read(shard, SourceOptions())] == [str(n) for n in range(10, 20)]
    assert asked == [[2, 3]]


def sized(count, *, swapped, step=1):
    rows = [(300 + n * step, 200) for n in range(count)]
    return {
        "URL": [f"http://a.org/{w}x{h}.jpg" for w, h in rows],
        "TEXT": ["x"] * count,
        "WIDTH": [h if swapped else w for w, h in rows],
        "HEIGHT": [w if swapped else h for w, h in rows],
    }


def test_swapped_sizes_are_told_file_by_file(tmp_path):
    write(tmp_path / "swapped.parquet", sized(12, swapped=True))
    write(tmp_path / "written.parquet", sized(12, swapped=False))
    sizes = {(record.width, record.height) for record in read(tmp_path)}
    assert sizes == {(300 + n, 200) for n in range(12)}
    found = notes(tmp_path)
    assert (
        "swapped.parquet: width and height exchanged (12 URLs state a size that says swapped, 0 as written)"
        in found
    )
    assert any(note.startswith("written.parquet: width and height taken as written (0 ") for note in found)


def test_too_few_votes_leave_sizes_as_written_and_say_so(tmp_path):
    path = write(tmp_path / "a.parquet", sized(2, swapped=True))
    assert read(path)[0].width == 200
    assert "too little to tell; --set ingest.swap_sizes=yes or no decides" in notes(path)[0]
    assert read(path, swap_sizes="yes")[0].width == 300


def test_swapping_can_be_forced_and_changes_the_fingerprint(tmp_path):
    path = write(tmp_path / "a.parquet", sized(12, swapped=True))
    prints = {
        wish: SOURCE.shards(str(path), SourceOptions(swap_sizes=wish))[0].fingerprint
        for wish in ("auto", "yes", "no")
    }
    assert prints["auto"] == prints["yes"] != prints["no"]
    assert read(path, swap_sizes="no")[0].width == 200


@pytest.mark.parametrize(("text", "value"), [("yes", "yes"), ("no", "no"), ("true", "yes"), ("auto", "auto")])
def test_yes_and_no_survive_yaml(text, value):
    assert load_config(overrides=(f"ingest.swap_sizes={text}",)).ingest.swap_sizes == value
    with pytest.raises(ConfigError, match="swap_sizes"):
        load_config(overrides=("ingest.swap_sizes=perhaps",))


def test_measured_sizes_are_never_exchanged(tmp_path):
    columns = sized(12, swapped=True)
    columns["original_width"], columns["original_height"] = columns.pop("WIDTH"), columns.pop("HEIGHT")
    path = write(tmp_path / "datacomp.parquet", columns)
    assert read(path)[0].width == 200
    assert notes(path) == []


def test_files_of_a_folder_that_differ_are_named(tmp_path):
    for number in range(3):
        write(tmp_path / f"part-{number}.parquet", LAION)
    lacking = {name: values for name, values in LAION.items() if name != "similarity"}
    write(tmp_path / "part-3.parquet", {**lacking, "LANGUAGE": ["en", "en"]})
    renamed = {**LAION, "url": LAION["URL"], "SAMPLE_ID": [1, 2]}
    del renamed["URL"]
    write(tmp_path / "part-4.parquet", renamed)
    drift = [note for note in notes(tmp_path) if "differs" in note]
    assert drift == [
        "part-3.parquet differs from most files here: lacks similarity; also has LANGUAGE",
        "part-4.parquet differs from most files here: url (string) instead of URL (string); "
        "SAMPLE_ID is int64 instead of double",
    ]
    records = read(tmp_path)
    assert len(records) == 10
    assert all(record.url and record.sample_error is None for record in records)


def test_a_corrupt_file_is_a_record_and_a_note(tmp_path):
    write(tmp_path / "a.parquet", LAION)
    (tmp_path / "b.parquet").write_bytes(b"<html>sorry</html>")
    bad = [record for record in read(tmp_path) if record.sample_error]
    assert [record.key for record in bad] == ["b.parquet"]
    assert not bad[0].has_only_url
    assert any(note.startswith("b.parquet cannot be read: ") for note in notes(tmp_path))


def test_a_damaged_page_gives_the_rows_before_it(tmp_path):
    columns = {
        "url": [f"http://a.org/{n}" for n in range(3000)],
        "text": [f"caption {n}" for n in range(3000)],
    }
    path = write(
        tmp_path / "a.parquet", columns, row_group_size=1000, compression="gzip", use_dictionary=False
    )
    column = parquet.ParquetFile(path).metadata.row_group(1).column(1)
    data = bytearray(path.read_bytes())
    begin = column.data_page_offset
    data[begin + 40 : begin + column.total_compressed_size - 10] = bytes(column.total_compressed_size - 50)
    path.write_bytes(data)
    records = read(path, shard_size=3000)
    assert [record.key for record in records[:1000]] == [str(n) for n in range(1000)]
    assert records[-1].key == "rows 1000 to 2999"
    assert "cannot be read" in records[-1].sample_error


def test_tables_without_urls_or_rows_are_refused(tmp_path):
    write(tmp_path / "a" / "x.parquet", {"text": ["x"]})
    with pytest.raises(SourceError, match=r"no table with a URL column.*x.parquet has text"):
        SOURCE.shards(str(tmp_path / "a"), SourceOptions())
    write(tmp_path / "c" / "x.parquet", {"url": ["http://a.org/1"], "text": ["x"]})
    with pytest.raises(
        SourceError, match=r"no table with a column alt \(ingest.caption_column\).*has url, text"
    ):
        SOURCE.shards(str(tmp_path / "c"), SourceOptions(caption_column="alt"))
    write(tmp_path / "b" / "x.parquet", {"url": pa.array([], pa.string())})
    with pytest.raises(SourceError, match="holds no rows"):
        SOURCE.shards(str(tmp_path / "b"), SourceOptions())


def test_remote_tables_are_read_in_place(tmp_path):
    path = write(tmp_path / "a.parquet", sized(12, swapped=True))
    with fsspec.open("memory://laion/part/a.parquet", "wb") as target:
        target.write(path.read_bytes())
    assert recognise("memory://laion/part", None) is SOURCE
    remote = read("memory://laion/part", shard_size=5)
    assert remote == read(path, shard_size=5)
    assert len(remote) == 12


def test_large_row_groups_are_said_to_be_costly(tmp_path):
    path = write(tmp_path / "a.parquet", {"url": [f"http://a.org/{n}" for n in range(300)]})
    assert "ingest.shard_size" in notes(path, shard_size=10)[-1]
    assert notes(path, shard_size=100) == []


@pytest.mark.parametrize("name", ["laion2b-en-10K", "laion2b-en-1K-experts-large"])
def test_real_laion_sizes_agree_with_what_urls_state(shared_data, name):
    path = shared_data / "laion_metadata" / f"{name}.parquet"
    assert recognise(str(path), None) is SOURCE
    records = read(path)
    assert len(records) == parquet.ParquetFile(path).metadata.num_rows
    # An oracle of its own: the thumbnail sizes of WordPress and Shopify, `NAME-300x200.jpg`.
    agree = differ = 0
    for record in records:
        found = re.search(r"[-_](\d{2,4})x(\d{2,4})\.(?:jpe?g|png)", record.url)
        if found and found[1] != found[2] and record.width:
            agree += (int(found[1]), int(found[2])) == (record.width, record.height)
            differ += (int(found[2]), int(found[1])) == (record.width, record.height)
    assert agree > 30
    assert differ < 0.02 * agree


def test_dirt_of_real_laion_rows(shared_data):
    records = read(shared_data / "laion_metadata" / "laion2b-en-10K.parquet")
    counts = {}
    for kind in (kind for record in records for kind in record.dirt):
        counts[kind] = counts.get(kind, 0) + 1
    # Eight rows were torn apart at a quote: sizes and similarity are gone, a hash stands for a label.
    assert counts["null sizes"] == counts["null similarity"] == 8
    assert counts["unknown NSFW labels"] == 6
    assert not any(record.sample_error for record in records)
