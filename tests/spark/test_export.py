"""`parrot export`, each format read back by the tool it is for; resuming, faults, `parrot verify`."""

from __future__ import annotations

import csv
import errno
import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pyarrow import dataset as arrow_dataset
from pyarrow import parquet

from spark_jobs.commands.export import ExportOptions, order
from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError, ExportError
from spark_jobs.export import job
from spark_jobs.export.folder import Folder
from spark_jobs.export.job import run_export
from spark_jobs.export.manifest import JOURNAL, MANIFEST
from spark_jobs.export.verify import verify
from spark_jobs.tables import Tables
from tests.exported import MEMBERS, drawn, put_subset, put_table


def wanted(to, form, *, warehouse="w", subset="some", **options):
    config = load_config(options={"warehouse": str(warehouse), "dataset": "test"})
    return order(config, subset, ExportOptions(str(to), form, **options))


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def manifest_of(folder):
    return json.loads((Path(folder) / MANIFEST).read_text())


@pytest.fixture(scope="module")
def built(_spark_session, tmp_path_factory):
    """A warehouse with the subset `some`, and its members."""
    root = tmp_path_factory.mktemp("export")
    frame = drawn(root / "source")
    members = put_subset(_spark_session, root / "warehouse", frame)
    ordered = members.sort_values(["shard_id", "sample_id"]).reset_index(drop=True)
    return SimpleNamespace(warehouse=root / "warehouse", frame=frame, members=ordered, root=root)


@pytest.fixture
def export(spark, built):
    def run(to, form, **options):
        return run_export(Tables(spark, str(built.warehouse)), wanted(to, form, **options))

    return run


def in_files(members, size):
    """The members as they are dealt out: consecutive ones to a file, by sample id inside it."""
    for first in range(0, len(members), size):
        yield members[first : first + size].sort_values("sample_id")


# -- formats


def test_parquet_holds_ids_captions_and_measures(export, built, tmp_path):
    outcome = export(tmp_path, "parquet", shard_size=4)
    files = sorted(path.name for path in tmp_path.glob("*.parquet"))
    assert files == [f"part-{number:05d}.parquet" for number in range(3)]
    assert [parquet.ParquetFile(tmp_path / name).metadata.num_rows for name in files] == [4, 4, 3]
    table = arrow_dataset.dataset(tmp_path, format="parquet").to_table().to_pandas()
    expected = pd.concat(in_files(built.members, 4))
    assert list(table.sample_id) == list(expected.sample_id)
    assert [caption or None for caption in table.caption] == list(expected.caption)
    assert np.allclose(table.clip_score, expected.clip_score, equal_nan=True)
    assert list(table.image_sha256) == list(expected.sha256)
    assert set(table.image_type) == {"no_text"}
    assert "image" not in table
    assert "image_uri" not in table
    assert outcome.manifest.rows == MEMBERS


def test_parquet_holds_image_bytes_in_row_groups_of_a_fixed_size(export, built, tmp_path, spark):
    export(tmp_path, "parquet", shard_size=6, with_images=True)
    table = arrow_dataset.dataset(tmp_path, format="parquet").to_table().to_pandas()
    by_id = dict(zip(built.members.sample_id, built.members.data, strict=True))
    assert dict(zip(table.sample_id, table.image, strict=True)) == by_id


def test_row_groups_end_at_a_number_of_bytes(built, monkeypatch):
    import pyarrow as pa

    from spark_jobs.export import parquet as form

    monkeypatch.setattr(form, "GROUP_BYTES", 2500)
    rows = [
        {
            "shard_id": row.shard_id,
            "sample_id": row.sample_id,
            "image_uri": row.uri,
            "image_offset": row.offset,
            "image_length": row.length,
            "image_row": row.row,
            "image_sha256": row.sha256,
            "image_fault": "",
        }
        for row in built.members.itertuples()
    ]
    settings = job.Settings(10, True, 10**6, ("sample_id",))
    batches = pa.Table.from_pylist(rows).to_batches()
    path = built.root / "groups.parquet"
    with path.open("wb") as stream:
        form.write(stream, iter(batches), settings)
    file = parquet.ParquetFile(path)
    sizes = [len(row.data) for row in built.members.itertuples()]
    groups, held = [], []
    for size in sizes:
        held.append(size)
        if sum(held) >= 2500:
            groups.append(len(held))
            held = []
    groups += [len(held)] if held else []
    assert len(groups) > 2
    assert [file.metadata.row_group(place).num_rows for place in range(file.num_row_groups)] == groups
    assert file.read()["image"].to_pylist() == list(built.members.data)


def test_petastorm_reads_the_parquet_export(export, built, tmp_path):
    petastorm = pytest.importorskip("petastorm", reason="petastorm comes with the extra `train`")
    export(tmp_path, "parquet", shard_size=4, with_images=True)
    with petastorm.make_batch_reader(
        f"file://{tmp_path}", reader_pool_type="dummy", num_epochs=1, shuffle_row_groups=False
    ) as reader:
        found = {
            name: data for batch in reader for name, data in zip(batch.sample_id, batch.image, strict=True)
        }
    assert found == dict(zip(built.members.sample_id, built.members.data, strict=True))


def test_webdataset_reads_the_tars(export, built, tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="webdataset comes with the extra `train`")
    export(tmp_path, "webdataset", shard_size=4)
    tars = sorted(str(path) for path in tmp_path.glob("*.tar"))
    assert [Path(tar).name for tar in tars] == ["00000.tar", "00001.tar", "00002.tar"]
    found = list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False))
    expected = pd.concat(in_files(built.members, 4))
    assert [sample["__key__"] for sample in found] == list(expected.sample_id)
    for sample, row in zip(found, expected.itertuples(), strict=True):
        extension = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}[row.format]
        assert sample[extension] == row.data
        assert sample["txt"].decode() == (row.caption or "")
        values = json.loads(sample["json"])
        assert (values["key"], values["url"], values["caption"]) == (row.sample_id, row.url, row.caption)
        assert values["clip_score"] == (None if np.isnan(row.clip_score) else pytest.approx(row.clip_score))
    with tarfile.open(tars[0]) as archive:
        assert {member.mtime for member in archive} == {0}
    assert json.loads((tmp_path / "sizes.json").read_text()) == {
        "00000.tar": 4,
        "00001.tar": 4,
        "00002.tar": 3,
    }


def test_open_clip_trains_an_epoch_from_the_tars(export, built, tmp_path):
    data = pytest.importorskip("open_clip_train.data", reason="open_clip's training code is not installed")
    import torch

    export(tmp_path, "webdataset", shard_size=4)
    args = SimpleNamespace(
        train_data=f"{tmp_path}/{{00000..00002}}.tar",
        val_data=f"{tmp_path}/{{00000..00002}}.tar",
        dataset_resampled=False,
        train_num_samples=None,
        val_num_samples=MEMBERS,
        train_data_upsampling_factors=None,
        seed=0,
        batch_size=1,
        workers=0,
        world_size=1,
    )
    for is_train in (True, False):
        seen = []
        loader = data.get_wds_dataset(
            args,
            lambda image: torch.from_numpy(np.asarray(image.convert("RGB"))),
            is_train,
            tokenizer=lambda text: [torch.tensor([len(text)])],
        ).dataloader
        for images, texts in loader:
            assert images.shape[1:] == (48, 64, 3)
            seen += texts.flatten().tolist()
        # The training loader took the number of samples from sizes.json.
        assert loader.num_samples == MEMBERS
        assert sorted(seen) == sorted(len(caption or "") for caption in built.members.caption)


def test_img2dataset_urls_hold_url_caption_and_ids(export, built, tmp_path):
    export(tmp_path, "img2dataset-urls", shard_size=8)
    table = arrow_dataset.dataset(tmp_path, format="parquet").to_table().to_pandas()
    assert list(table.columns[:2]) == ["url", "caption"]
    assert dict(zip(table.sample_id, table.url, strict=True)) == dict(
        zip(built.members.sample_id, built.members.url, strict=True)
    )


def test_datacomp_npy_is_sorted_and_holds_the_uids(export, built, tmp_path):
    export(tmp_path, "datacomp-npy")
    found = np.load(tmp_path / "subset.npy")
    # As apply_filter.py of mlfoundations/datacomp makes it.
    pairs = [(int(uid[:16], 16), int(uid[16:32], 16)) for uid in built.members.source_id]
    expected = np.array(pairs, np.dtype("u8,u8"))
    expected.sort()
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


def test_ids_are_listed_as_csv(export, built, tmp_path):
    export(tmp_path, "ids")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "ids-00000.csv").read_text())))
    expected = built.members.sort_values("sample_id")
    assert [row["sample_id"] for row in rows] == list(expected.sample_id)
    assert [row["source_id"] for row in rows] == list(expected.source_id)
    assert {row["dataset"] for row in rows} == {"test"}


# -- the same bytes, resumed or not


def test_a_rerun_writes_nothing_and_other_partitions_give_the_same_bytes(export, spark, built, tmp_path):
    first = export(tmp_path / "a", "webdataset", shard_size=4)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    again = export(tmp_path / "a", "webdataset", shard_size=4)
    assert (first.written, again.written) == (3, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()} == before
    spark.conf.set("spark.sql.shuffle.partitions", "5")
    try:
        export(tmp_path / "b", "webdataset", shard_size=4)
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "2")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def full_after(monkeypatch, names):
    """A disk that is full for these files. The threads of `local[2]` fork workers: patch what they are sent."""
    monkeypatch.setattr("spark_jobs.export.job.FileTask", lambda *args: _FullTask(args, names))


class _FullTask:
    """Stands in for a FileTask whose disk is full for some files."""

    def __new__(cls, args, names):
        from dataclasses import replace

        from spark_jobs.export.write_files import FileTask

        task = FileTask(*args)
        honest, numbers = task.format.write, iter(names)
        failing = set(numbers)

        def write(stream, batches, settings):
            import itertools

            first = next(batches)
            if first.column("file")[0].as_py() in failing:
                stream.write(b"half of it")
                raise OSError(errno.ENOSPC, "No space left on device")
            return honest(stream, itertools.chain([first], batches), settings)

        return replace(task, format=replace(task.format, write=write))


def test_a_full_disk_leaves_nothing_that_looks_whole_and_the_rest_follows(export, tmp_path, monkeypatch):
    export(tmp_path / "whole", "webdataset", shard_size=4)
    with monkeypatch.context() as patched:
        full_after(patched, [1])
        with pytest.raises(ExportError, match=r"no manifest: 00001\.tar: No space left on device"):
            export(tmp_path / "cut", "webdataset", shard_size=4)
    names = set(contents(tmp_path / "cut"))
    assert "00000.tar" in names
    assert not names & {"00001.tar", MANIFEST, "sizes.json"}
    assert not [name for name in names if name.endswith(".partial")]
    with pytest.raises(ExportError, match="not complete"):
        verify(str(tmp_path / "cut"))
    kept = (tmp_path / "cut/00000.tar").stat().st_mtime_ns
    (tmp_path / "cut/00002.tar.0123.partial").write_bytes(b"of a run that was killed")
    outcome = export(tmp_path / "cut", "webdataset", shard_size=4)
    assert outcome.written < 3
    assert (tmp_path / "cut/00000.tar").stat().st_mtime_ns == kept
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_file_that_was_altered_while_the_export_was_incomplete_is_written_again(
    export, tmp_path, monkeypatch
):
    with monkeypatch.context() as patched:
        full_after(patched, [2])
        with pytest.raises(ExportError, match="No space left"):
            export(tmp_path / "cut", "ids", shard_size=4)
    file = tmp_path / "cut/ids-00000.csv"
    sound = file.read_bytes()
    file.write_bytes(sound.replace(b"test", b"tset", 1))
    assert export(tmp_path / "cut", "ids", shard_size=4).written == 2
    assert file.read_bytes() == sound


def test_another_export_or_foreign_files_are_left_alone(export, tmp_path):
    export(tmp_path / "a", "ids")
    with pytest.raises(ExportError, match="holds another export .*format: there ids, asked for parquet"):
        export(tmp_path / "a", "parquet")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match=r"not empty and holds no export \(thesis\.tex"):
        export(tmp_path / "b", "ids")
    assert (tmp_path / "b/thesis.tex").read_text() == "years of work"


def test_a_remote_folder_takes_whole_objects(export, tmp_path):
    import fsspec

    export(tmp_path, "img2dataset-urls", shard_size=6)
    export("memory://exports/urls", "img2dataset-urls", shard_size=6)
    stored = fsspec.filesystem("memory")
    try:
        # Spark's workers are other processes, and so is their memory: the driver's own files are what is here.
        assert stored.exists("/exports/urls/" + MANIFEST)
    finally:
        stored.rm("/exports", recursive=True)


# -- faults


def test_images_that_cannot_be_read_are_listed(spark, tmp_path):
    frame = drawn(tmp_path / "source", count=6)
    frame.loc[0, "uri"] = str(tmp_path / "source/moved.tar")
    frame.loc[1, "status"] = "failed"
    frame.loc[2, "sha256"] = "0" * 64
    put_subset(spark, tmp_path / "w", frame, members=6)
    tables = Tables(spark, str(tmp_path / "w"))
    expected = {
        frame.sample_id[0]: "cannot read",
        frame.sample_id[1]: "image: gone",
        frame.sample_id[2]: "has changed",
    }
    for form, rows in (("webdataset", 3), ("parquet", 6)):
        options = {"with_images": True} if form == "parquet" else {}
        outcome = run_export(tables, wanted(tmp_path / form, form, shard_size=4, **options))
        told = manifest_of(tmp_path / form)
        assert told["counts"]["unreadable"] == len(outcome.manifest.unreadable) == 3
        assert told["counts"]["rows"] == rows
        found = {
            entry["sample_id"]: entry["reason"] for file in told["files"] for entry in file["unreadable"]
        }
        assert found.keys() == expected.keys()
        assert all(reason in found[name] for name, reason in expected.items())
        assert verify(str(tmp_path / form))[1] == []
    frame["status"] = "failed"
    put_table(spark, tmp_path / "w", frame, "images")
    with pytest.raises(ExportError, match="none of the 6 members .* image: gone"):
        run_export(tables, wanted(tmp_path / "none", "webdataset"))
    assert not (tmp_path / "none" / MANIFEST).exists()
    # The tables have changed: so would the files that were made from them.
    frame["status"] = "ok"
    put_table(spark, tmp_path / "w", frame, "images")
    assert run_export(tables, wanted(tmp_path / "webdataset", "webdataset", shard_size=4)).written == 1
    assert manifest_of(tmp_path / "webdataset")["counts"]["unreadable"] == 2


def test_what_cannot_be_exported_is_told(export, spark, tmp_path):
    with pytest.raises(ExportError, match=r"subset othr .* is not built .* Built: some of test"):
        export(tmp_path, "ids", subset="othr")
    frame = drawn(tmp_path / "source", count=3)
    frame.loc[1, "source_id"] = "12345"
    frame.loc[2, "url"] = None
    put_subset(spark, tmp_path / "w", frame, members=3)
    tables = Tables(spark, str(tmp_path / "w"))
    with pytest.raises(ExportError, match=r"1 members of some have none: sample \w{32} has source_id 12345"):
        run_export(tables, wanted(tmp_path / "npy", "datacomp-npy"))
    assert not (tmp_path / "npy").exists()
    told = run_export(tables, wanted(tmp_path / "urls", "img2dataset-urls")).manifest
    assert [entry["reason"] for entry in told.unreadable] == ["no URL"]
    assert told.rows == 2


def test_options_are_checked_before_anything_starts():
    with pytest.raises(ConfigError, match="unknown format webdatset, did you mean webdataset"):
        wanted("x", "webdatset")
    with pytest.raises(ConfigError, match="--with-images goes with"):
        wanted("x", "ids", with_images=True)
    with pytest.raises(ConfigError, match="--shard-size does not go with"):
        wanted("x", "datacomp-npy", shard_size=4)


# -- parrot verify


def test_verify_finds_a_flipped_byte_a_missing_and_an_extra_file(export, tmp_path):
    export(tmp_path, "webdataset", shard_size=4)
    assert verify(str(tmp_path))[1] == []
    tar = tmp_path / "00001.tar"
    data = bytearray(tar.read_bytes())
    data[len(data) // 3] ^= 1
    tar.write_bytes(data)
    (tmp_path / "00002.tar").unlink()
    (tmp_path / "00003.tar").write_bytes(b"not mine")
    found = {difference.name: difference.kind for difference in verify(str(tmp_path))[1]}
    assert found == {"00001.tar": "altered", "00002.tar": "missing", "00003.tar": "extra"}
    # The same export makes whole what is missing; what is altered or foreign is for `verify` to find.
    assert export(tmp_path, "webdataset", shard_size=4).written == 2
    assert {one.name: one.kind for one in verify(str(tmp_path))[1]} == {"00003.tar": "extra"}


def test_verify_counts_samples(export, tmp_path):
    for form in ("parquet", "ids", "img2dataset-urls", "datacomp-npy"):
        export(tmp_path / form, form)
        assert verify(str(tmp_path / form))[1] == []
        told = manifest_of(tmp_path / form)
        told["files"][0]["rows"] += 1
        (tmp_path / form / MANIFEST).write_text(json.dumps(told))
        (difference,) = verify(str(tmp_path / form))[1]
        assert difference.detail == f"{MEMBERS:,} samples, the manifest says {MEMBERS + 1:,}"


def test_verify_says_what_is_no_export(tmp_path):
    with pytest.raises(ExportError, match="no export in"):
        verify(str(tmp_path))
    Folder(str(tmp_path)).put_bytes(f"{JOURNAL}/plan.json", b"{}")
    with pytest.raises(ExportError, match="not complete"):
        verify(str(tmp_path))
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(ExportError, match="damaged"):
        verify(str(tmp_path))
