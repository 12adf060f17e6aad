"""Hostile files and tars through ingest and embed on real Spark: no row lost, each bad one with its reason."""

from __future__ import annotations

from collections import Counter

import pytest

from schemas import clip_embeddings, images, samples
from spark_jobs.config import load_config
from spark_jobs.stages import embed, ingest
from spark_jobs.warehouse.tables import Tables
from tests.builders import write_captions
from tests.hostile import chosen_images, hostile_tars


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Where the random weights are written, once."""
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def measure(spark, config, weights):
    """Ingest and embed a folder, and return each sample's key with the rows of the three tables."""

    def run(source):
        settings = load_config(
            options={**config.model_dump(include={"warehouse", "dataset"}), "source": str(source)},
            overrides=("tracking.enabled=false", "runner.max_failed_share=1", f"embed.cache_dir={weights}"),
        )
        ingest.run(spark, settings)
        embed.run(spark, settings)
        tables = Tables(spark, settings.warehouse)
        parts = [
            {row["sample_id"]: row for row in tables.read(spec).collect()}
            for spec in (samples.TABLE, images.TABLE, clip_embeddings.TABLE)
        ]
        assert parts[0].keys() == parts[1].keys() == parts[2].keys()
        return [(row["source_key"], row, *(part[key] for part in parts[1:])) for key, row in parts[0].items()]

    return run


def check_reasons(rows):
    for key, *parts in rows:
        for row in parts:
            assert (row["status"] == "ok") == (row["error"] is None), key
            assert row["error"] is None or len(row["error"]) > 10, key


def test_a_folder_of_hostile_files(measure, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    files = chosen_images()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    write_captions(folder / "captions.csv", [{"file_name": name, "caption": "a picture"} for name in files])
    rows = measure(folder)
    assert Counter(key for key, *_ in rows) == Counter(list(files))
    assert len(rows) >= 60
    check_reasons(rows)
    for key, _, _, vector in rows:
        if key.startswith("sound-"):
            assert vector["status"] == "ok", (key, vector["error"])
            assert vector["clip_score"] is not None, key
        elif key.startswith("bad-"):
            assert vector["status"] in ("failed", "skipped"), key


def test_hostile_tars(measure, tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    left_out = {"devices.tar", "negative.tar", "odd-names.tar"}  # a shard takes seconds; units test all
    tars = {name: data for name, data in hostile_tars().items() if name not in left_out}
    for name, data in tars.items():
        (folder / name).write_bytes(data)
    before = {path for path in tmp_path.rglob("*") if "warehouse" not in path.parts}
    rows = measure(folder)
    check_reasons(rows)
    good = [vector["status"] for key, _, _, vector in rows if key == "good"]
    assert good == ["ok"] * len(tars)
    by_key = {}
    for key, sample, image, _ in rows:
        by_key.setdefault(key, []).append((sample, image))
    # Names are names: nothing is written where they point to, and images are read from the tar alone.
    for key in ("../../../etc/cron/owned", "/etc/owned"):
        (sample, image), *_ = by_key[key]
        assert (sample["status"], image["status"]) == ("ok", "ok")
        assert image["image_uri"].startswith(str(folder))
    made = {path for path in tmp_path.rglob("*") if "warehouse" not in path.parts} - before
    assert not [path for path in made if "owned" in path.name]
    for key, reason in {
        "soft": "is a link, not a file", "hard": "is a link, not a file", "lying": "is cut: the tar ends",
    }.items():  # fmt: skip
        assert any(reason in (image["error"] or "") for _, image in by_key[key]), (key, by_key[key])
    assert sorted(sample["status"] for sample, _ in by_key["twice"]) == ["failed", "ok"]
    faults = [sample["error"] for sample, _ in (pair for pairs in by_key.values() for pair in pairs)]
    assert any("duplicate key twice" in (fault or "") for fault in faults)
    for name in ("too-long.tar", "too-short.tar"):
        assert any((fault or "").startswith(name) for fault in faults), name
