"""Each format of `parrot export`, read back by the tool it is for."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pyarrow import dataset as arrow_dataset
from pyarrow import parquet

from spark_jobs.export import job
from spark_jobs.export.job import run_export
from spark_jobs.warehouse.tables import Tables
from tests.exported import MEMBERS, build, drawn, exporter, put_subset, wanted
from tests.loopback import serving

PETASTORM_READER = Path(__file__).resolve().parents[3] / "petastorm_reader.py"


@pytest.fixture(scope="module")
def built(_spark_session, tmp_path_factory):
    return build(_spark_session, tmp_path_factory.mktemp("export"))


@pytest.fixture
def export(spark, built):
    return exporter(spark, built)


def in_files(members, size):
    """The members as they are dealt out: consecutive ones to a file, by sample id inside it."""
    for first in range(0, len(members), size):
        yield members[first : first + size].sort_values("sample_id")


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


def test_petastorm_reads_the_parquet_export(export, built, tmp_path, train_python):
    export(tmp_path / "export", "parquet", shard_size=4, with_images=True)
    command = [
        str(train_python),
        str(PETASTORM_READER),
        str(tmp_path / "export"),
        str(tmp_path / "found.json"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found == dict(zip(built.members.sample_id, built.members.sha256, strict=True))


def test_webdataset_reads_the_tars(export, built, tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="webdataset comes with the extra `train`")
    export(tmp_path, "webdataset", shard_size=4)
    tars = sorted(str(path) for path in tmp_path.glob("*.tar"))
    assert [Path(tar).name for tar in tars] == ["00000.tar", "00001.tar", "00002.tar"]
    found = list(webdataset.WebDataset(tars, shardshuffle=False))
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
            lambda image: torch.from_numpy(np.array(image.convert("RGB"))),
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


def test_img2dataset_fetches_the_urls(spark, tmp_path):
    """By the command of docs/exports.md."""
    program = Path(sys.executable).with_name("img2dataset")
    if not program.exists():
        pytest.skip("the extra `download` is not installed")
    frame = drawn(tmp_path / "source", count=5)
    with serving({str(number): data for number, data in enumerate(frame.data)}) as server:
        frame["url"] = [server.address("ok", str(number)) for number in range(4)] + [None]
        put_subset(spark, tmp_path / "w", frame, members=5)
        run_export(
            Tables(spark, str(tmp_path / "w")), wanted(tmp_path / "urls", "img2dataset-urls", shard_size=3)
        )
        options = {
            "url_list": tmp_path / "urls",
            "input_format": "parquet",
            "url_col": "url",
            "caption_col": "caption",
            "save_additional_columns": '["sample_id","source_id"]',
            "output_folder": tmp_path / "images",
            "output_format": "webdataset",
            "resize_mode": "no",
            "processes_count": "1",
            "thread_count": "4",
            "retries": "0",
        }
        command = [str(program), *(f"--{name}={value}" for name, value in options.items())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = {}
    for tar in sorted((tmp_path / "images").glob("*.tar")):
        with tarfile.open(tar) as archive:
            for member in archive:
                if member.name.endswith(".json"):
                    told = json.load(archive.extractfile(member))
                    found[told["sample_id"]] = (told["url"], told["caption"] or None, told["source_id"])
    rows = frame.head(4)
    assert found == {
        row.sample_id: (row.url, row.caption or None, row.source_id) for row in rows.itertuples()
    }
    assert sum(server.asked.values()) == 4


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
