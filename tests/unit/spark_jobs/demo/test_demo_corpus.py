from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from spark_jobs.demo.comparison import TruthRow
from spark_jobs.demo.corpus import read_truth, write_corpus
from spark_jobs.demo.examples import make_example
from spark_jobs.errors import ConfigError, SourceError

SMALL = {"samples": 48, "shards": 2, "size": 224}
REAL_SHARD = Path(__file__).parents[5] / "shared/data/laion_like/webdataset/00000.parquet"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    write_corpus(folder, **SMALL)
    return folder


@pytest.fixture
def truth(corpus: Path) -> dict[str, TruthRow]:
    return {row.key: row for row in read_truth(corpus / "truth.jsonl")}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def parquet_rows(folder: Path) -> list[dict[str, object]]:
    paths = sorted(folder.glob("webdataset/*.parquet"))
    assert paths
    return [row for path in paths for row in pq.read_table(str(path)).to_pylist()]


def members(folder: Path) -> dict[str, bytes]:
    found = {}
    paths = sorted(folder.glob("webdataset/*.tar"))
    assert paths
    for path in paths:
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
    return found


def test_equal_arguments_give_equal_bytes(corpus: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "again", **SMALL)
    assert contents(tmp_path / "again") == contents(corpus)


def test_another_seed_gives_other_images(corpus: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "other", **SMALL, seed=1)
    one, other = members(corpus), members(tmp_path / "other")
    shared = [name for name in one.keys() & other.keys() if name.endswith(".jpg")]
    assert len(shared) > 40
    assert not [name for name in shared if one[name] == other[name]]


def test_the_folder_holds_what_img2dataset_writes_and_the_truth_beside_it(corpus: Path) -> None:
    assert sorted(contents(corpus)) == [
        "manifest.json",
        "truth.jsonl",
        *(
            f"webdataset/{shard}{end}"
            for shard in ("00000", "00001")
            for end in (".parquet", ".tar", "_stats.json")
        ),
    ]


def test_relations_have_their_shares(corpus: Path) -> None:
    summary = write_corpus(corpus, **SMALL)
    assert summary.relations == {"no_text": 17, "unrelated": 10, "partial": 10, "full": 11}
    assert Counter(row.relation for row in read_truth(summary.truth)) == summary.relations
    assert (summary.samples, summary.images, summary.shards) == (48, 46, 2)


def test_the_webdataset_library_reads_the_tars(corpus: Path, truth: dict[str, TruthRow]) -> None:
    webdataset = pytest.importorskip("webdataset")
    shards = sorted(str(path) for path in corpus.glob("webdataset/*.tar"))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [
        key for key, row in truth.items() if row.fault != "failed_download"
    ]
    for sample in samples:
        assert sample["txt"].decode() == truth[sample["__key__"]].caption
        assert json.loads(sample["json"])["key"] == sample["__key__"]


def test_parquet_has_the_columns_of_a_real_img2dataset_run(corpus: Path) -> None:
    if not REAL_SHARD.is_file():
        pytest.skip(f"the real img2dataset shard is not there: {REAL_SHARD}")
    written = pq.read_schema(str(corpus / "webdataset/00000.parquet"))
    assert written.equals(pq.read_schema(str(REAL_SHARD)))


def test_parquet_lists_every_row_and_the_json_member_agrees(corpus: Path, truth: dict[str, TruthRow]) -> None:
    rows, files = parquet_rows(corpus), members(corpus)
    assert [row["key"] for row in rows] == list(truth)
    assert {"SAMPLE_ID", "url", "caption", "key", "status", "error_message", "sha256"} <= rows[0].keys()
    for row in rows:
        if row["status"] == "success":
            assert json.loads(files[f"{row['key']}.json"]) == row


def test_failed_downloads_stand_in_the_parquet_only(corpus: Path, truth: dict[str, TruthRow]) -> None:
    failed = [row for row in parquet_rows(corpus) if row["status"] != "success"]
    assert [row["status"] for row in failed] == ["failed_to_download"] * 2
    files = members(corpus)
    for row in failed:
        assert row["error_message"]
        assert row["sha256"] is None and row["width"] is None
        assert f"{row['key']}.jpg" not in files
        planted = truth[str(row["key"])]
        assert (planted.fault, planted.image_type, planted.cotr, planted.words) == (
            "failed_download",
            None,
            None,
            (),
        )


def test_one_jpeg_is_truncated_and_all_others_decode(corpus: Path, truth: dict[str, TruthRow]) -> None:
    broken = []
    for name, data in members(corpus).items():
        if name.endswith(".jpg"):
            image = Image.open(io.BytesIO(data))
            assert (image.format, image.size) == ("JPEG", (224, 224))
            try:
                image.load()
            except OSError:
                broken.append(name.removesuffix(".jpg"))
    assert [truth[key].fault for key in broken] == ["truncated_jpeg"]
    assert truth[broken[0]].image_type is None


def test_one_caption_is_empty(corpus: Path, truth: dict[str, TruthRow]) -> None:
    empty = [row for row in truth.values() if not row.caption]
    assert [(row.fault, row.cotr, row.image_type) for row in empty] == [("empty_caption", None, "no_text")]
    assert members(corpus)[f"{empty[0].key}.txt"] == b""


def test_planted_rates_and_types_follow_from_the_caption_and_the_words(truth: dict[str, TruthRow]) -> None:
    checked = 0
    for row in truth.values():
        if row.fault:
            continue
        checked += 1
        caption = {token for token in re.split(r"\W+", row.caption.lower()) if token}
        shared = caption & {word.lower() for word in row.words}
        assert row.cotr == pytest.approx(len(shared) / len(caption))
        expected = "concurrent" if shared else "text_not_concurrent" if row.words else "no_text"
        assert row.image_type == expected
    assert checked == 44


def test_polygons_lie_in_the_image_and_show_contrast(corpus: Path, truth: dict[str, TruthRow]) -> None:
    files = members(corpus)
    words = 0
    for row in truth.values():
        if row.fault:
            continue
        grey = np.asarray(Image.open(io.BytesIO(files[f"{row.key}.jpg"])).convert("L"), dtype=np.int64)
        assert len(row.words) == len(row.polygons)
        for polygon in row.polygons:
            words += 1
            xs, ys = np.array(polygon).T
            assert 0 <= xs.min() < xs.max() <= 224
            assert 0 <= ys.min() < ys.max() <= 224
            part = grey[int(ys.min()) : int(ys.max()) + 1, int(xs.min()) : int(xs.max()) + 1]
            assert part.max() - part.min() > 50
    assert words > 40


def test_stored_hashes_and_stats_are_true(corpus: Path, truth: dict[str, TruthRow]) -> None:
    files = members(corpus)
    for row in parquet_rows(corpus):
        if row["status"] == "success" and truth[str(row["key"])].fault != "truncated_jpeg":
            assert hashlib.sha256(files[f"{row['key']}.jpg"]).hexdigest() == row["sha256"]
    stats = [json.loads(path.read_text()) for path in sorted(corpus.glob("webdataset/*_stats.json"))]
    assert sum(part["count"] for part in stats) == 48
    assert sum(part["successes"] for part in stats) == 46
    assert sum(part["failed_to_download"] for part in stats) == 2


def test_a_complete_corpus_is_left_as_it_is(tmp_path: Path) -> None:
    assert write_corpus(tmp_path, **SMALL).written
    for path in tmp_path.rglob("*"):
        os.utime(path, (1, 1))
    assert not write_corpus(tmp_path, **SMALL).written
    assert {path.stat().st_mtime for path in tmp_path.rglob("*")} == {1}


def test_a_damaged_corpus_is_repaired_and_whole_files_are_left(tmp_path: Path, corpus: Path) -> None:
    write_corpus(tmp_path, **SMALL)
    (tmp_path / "webdataset/00001.tar").write_bytes(b"half")
    os.utime(tmp_path / "webdataset/00000.tar", (1, 1))
    assert write_corpus(tmp_path, **SMALL).written
    assert contents(tmp_path) == contents(corpus)
    assert (tmp_path / "webdataset/00000.tar").stat().st_mtime == 1


def test_a_run_that_was_killed_before_its_manifest_is_completed(tmp_path: Path, corpus: Path) -> None:
    write_corpus(tmp_path, **SMALL)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "webdataset/00001.tar").unlink()
    assert write_corpus(tmp_path, **SMALL).written
    assert contents(tmp_path) == contents(corpus)


def test_other_arguments_replace_the_corpus_and_nothing_else(tmp_path: Path) -> None:
    write_corpus(tmp_path, samples=48, shards=4, size=224)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "webdataset/notes.txt").write_text("mine too")
    write_corpus(tmp_path, **SMALL)
    names = set(contents(tmp_path))
    assert "webdataset/00001.tar" in names
    assert not [name for name in names if "00002" in name or "00003" in name]
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "webdataset/notes.txt").read_text() == "mine too"


@pytest.mark.parametrize("name", ["webdataset/00000.tar", "webdataset/00007.parquet", "manifest.json"])
def test_files_of_someone_else_are_neither_overwritten_nor_mixed_in(tmp_path: Path, name: str) -> None:
    (tmp_path / "webdataset").mkdir()
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(SourceError, match=re.escape(Path(name).name)):
        write_corpus(tmp_path, **SMALL)
    assert contents(tmp_path) == {name: b"{}"}


def test_a_manifest_cannot_name_files_outside_the_corpus_for_removal(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    manifest = {
        "generator_version": 0,
        "arguments": {},
        "files": {"../precious.txt": "", "webdataset/../../precious.txt": ""},
    }
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/manifest.json").write_text(json.dumps(manifest))
    write_corpus(tmp_path / "corpus", **SMALL)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_arguments_out_of_range_are_all_named() -> None:
    with pytest.raises(
        ConfigError, match=r"at least 16 samples.*found 8.*shards.*found 5.*at least 224 px.*found 9"
    ):
        write_corpus("nowhere", samples=8, shards=5, size=9)
    assert not Path("nowhere").exists()


def test_a_bad_truth_file_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"truth\.jsonl; write the corpus first"):
        read_truth(tmp_path / "truth.jsonl")
    (tmp_path / "truth.jsonl").write_text('{"key": "1"}\n')
    with pytest.raises(SourceError, match=r"line 1 of .*truth\.jsonl"):
        read_truth(tmp_path / "truth.jsonl")


def test_an_example_is_reproducible_and_fits_its_relation() -> None:
    one = make_example("full", rng=random.Random(4), size=224)
    other = make_example("full", rng=random.Random(4), size=224)
    assert one.image.tobytes() == other.image.tobytes()
    assert (one.caption, one.words, one.polygons) == (other.caption, other.words, other.polygons)
    assert one.caption.lower() == " ".join(one.words).lower()
    assert make_example("no_text", rng=random.Random(4), size=224).words == ()
