from __future__ import annotations

import pytest

from schemas import images, samples
from spark_jobs.commands.run import check
from spark_jobs.errors import SourceError, StageError
from spark_jobs.pipeline import select
from spark_jobs.runner.image_work import INPUTS
from spark_jobs.runner.pending import input_shards
from spark_jobs.stages.ingest import RUN_KEY, run
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from tests.builders import Pair, image_bytes, sound_pairs, write_captions, write_images, write_shard

RUN_KEYS = {"samples": RUN_KEY, "images": RUN_KEY}


@pytest.fixture
def source(tmp_path):
    """Two webdataset shards; the second one with a failed download and a duplicate key."""
    folder = tmp_path / "source"
    folder.mkdir()
    write_shard(folder, sound_pairs(3), name="00000")
    failed = Pair("000010003", None, "gone", status="failed_to_download", error_message="HTTP Error 404")
    write_shard(folder, [*sound_pairs(2, first=10000), failed], name="00001")
    return folder


@pytest.fixture
def ingest_config(config, source):
    return config.model_copy(update={"source": str(source)})


def rows(spark, config, spec):
    return sorted(Tables(spark, config.warehouse).read(spec).collect(), key=lambda row: row["sample_id"])


def test_every_pair_has_one_row_in_both_tables(spark, ingest_config):
    report = run(spark, ingest_config)
    described = rows(spark, ingest_config, samples.TABLE)
    stored = rows(spark, ingest_config, images.TABLE)
    assert len(described) == len(stored) == report.rows == 6
    assert [row["sample_id"] for row in described] == [row["sample_id"] for row in stored]
    statuses = sorted((row["status"], row["error"] or "") for row in stored)
    assert statuses == [("failed", "failed_to_download: HTTP Error 404"), *[("ok", "")] * 5]
    assert {row["format"] for row in stored if row["status"] == "ok"} == {"JPEG"}


def test_images_are_referenced_in_place(spark, ingest_config, source):
    run(spark, ingest_config)
    row = next(row for row in rows(spark, ingest_config, images.TABLE) if row["status"] == "ok")
    with open(row["image_uri"], "rb") as tar:
        tar.seek(row["image_offset"])
        data = tar.read(row["image_length"])
    assert data[:3] == b"\xff\xd8\xff"
    assert row["image_uri"].startswith(str(source))


def test_ingesting_twice_adds_nothing(spark, ingest_config):
    run(spark, ingest_config)
    tables = Tables(spark, ingest_config.warehouse)
    before = [tables.version(spec) for spec in (samples.TABLE, images.TABLE)]
    assert run(spark, ingest_config).did_nothing
    assert [tables.version(spec) for spec in (samples.TABLE, images.TABLE)] == before


def test_a_changed_shard_is_reported_and_left_alone_until_refreshed(spark, ingest_config, source):
    run(spark, ingest_config)
    write_shard(source, sound_pairs(4), name="00000")
    report = run(spark, ingest_config)
    assert report.did_nothing
    assert any("1 shard(s) changed at the source (00000" in note for note in report.notes)
    assert len(rows(spark, ingest_config, samples.TABLE)) == 6
    refreshed = run(spark, ingest_config.model_copy(update={"refresh": True}))
    assert refreshed.shards_done == 1
    assert len(rows(spark, ingest_config, samples.TABLE)) == 7
    assert run(spark, ingest_config).did_nothing


def test_a_new_shard_is_added_and_a_vanished_one_kept_until_refreshed(spark, ingest_config, source):
    run(spark, ingest_config)
    write_shard(source, sound_pairs(1, first=20000), name="00002")
    for file in source.glob("00001*"):
        file.unlink()
    report = run(spark, ingest_config)
    assert report.shards_done == 1
    assert any("gone from the source (00001" in note for note in report.notes)
    assert len(rows(spark, ingest_config, samples.TABLE)) == 7
    run(spark, ingest_config.model_copy(update={"refresh": True}))
    assert (
        len(rows(spark, ingest_config, samples.TABLE)) == len(rows(spark, ingest_config, images.TABLE)) == 4
    )


def test_a_damaged_sample_skips_its_image(spark, config, tmp_path):
    folder = tmp_path / "twice"
    folder.mkdir()
    pair = Pair("000000000", image_bytes(), "first")
    write_shard(folder, [pair, Pair("000000000", image_bytes(), "second")])
    run(spark, config.model_copy(update={"source": str(folder)}))
    statuses = {row["caption"]: row["status"] for row in rows(spark, config, samples.TABLE)}
    assert statuses["first"] == "ok"
    assert list(statuses.values()).count("failed") == 1
    assert sorted(row["status"] for row in rows(spark, config, images.TABLE)) == ["ok", "skipped"]


def test_a_folder_of_images_with_captions(spark, config, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    write_images(folder, ["a.jpg", "sub dir/ü.jpg"])
    lines = [{"file_name": "a.jpg", "caption": "A"}, {"file_name": "gone.jpg", "caption": "no such file"}]
    write_captions(folder / "captions.csv", lines)
    small = config.model_copy(update={"source": str(folder)})
    run(spark, small)
    found = {row["source_key"]: row["caption"] for row in rows(spark, small, samples.TABLE)}
    assert found == {"a.jpg": "A", "gone.jpg": "no such file", "sub dir/ü.jpg": None}
    faults = [row["error"] for row in rows(spark, small, images.TABLE) if row["status"] == "failed"]
    assert len(faults) == 1
    assert "file not found" in faults[0]


def test_without_a_source_the_ingested_samples_are_used(spark, ingest_config):
    run(spark, ingest_config)
    report = run(spark, ingest_config.model_copy(update={"source": None}))
    assert report.did_nothing
    unknown = ingest_config.model_copy(update={"source": None, "dataset": "unknown"})
    with pytest.raises((SourceError, StageError), match="give its source with --source"):
        run(spark, unknown)


def test_two_datasets_live_side_by_side(spark, ingest_config):
    run(spark, ingest_config)
    run(spark, ingest_config.model_copy(update={"dataset": "other"}))
    counts = Tables(spark, ingest_config.warehouse).read(samples.TABLE).groupBy("dataset").count().collect()
    assert {row["dataset"]: row["count"] for row in counts} == {"test": 6, "other": 6}


def test_a_missing_source_stops_before_any_work(config, tmp_path):
    with pytest.raises(SourceError, match="no files at"):
        check(config.model_copy(update={"source": str(tmp_path / "nowhere")}), select(["ingest"]))


def test_an_ingest_killed_before_its_last_log_entry_is_finished_by_the_next(
    spark, ingest_config, monkeypatch
):
    run(spark, ingest_config.model_copy(update={"dataset": "first"}))

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("spark_jobs.stages.ingest.RunLog.add", killed)
        run(spark, ingest_config)
    report = run(spark, ingest_config)
    assert report.rows == 0
    current = current_run_keys(Tables(spark, ingest_config.warehouse))
    assert {("test", "samples"), ("test", "images")} <= set(current)


def test_a_source_that_moved_is_reported_and_refreshed(spark, ingest_config, source, tmp_path):
    run(spark, ingest_config)
    before = input_shards(Tables(spark, ingest_config.warehouse), INPUTS, dataset="test", upstream=RUN_KEYS)
    moved = source.rename(tmp_path / "moved")
    there = ingest_config.model_copy(update={"source": str(moved)})
    assert any("2 shard(s) changed at the source" in note for note in run(spark, there).notes)
    run(spark, there.model_copy(update={"refresh": True}))
    uris = {row["image_uri"] for row in rows(spark, there, images.TABLE) if row["image_uri"]}
    assert uris
    assert all(uri.startswith(str(moved)) for uri in uris)
    after = input_shards(Tables(spark, there.warehouse), INPUTS, dataset="test", upstream=RUN_KEYS)
    assert after == before  # the same bytes: no model runs again


def test_a_folder_that_is_cut_anew_gives_no_sample_twice(spark, config, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    write_images(folder, [f"{n}.jpg" for n in range(4)])
    write_captions(folder / "captions.csv", [{"file_name": f"{n}.jpg", "caption": str(n)} for n in range(4)])

    def ingested(shard_size, **updates):
        ingest = config.ingest.model_copy(update={"shard_size": shard_size})
        run(spark, config.model_copy(update={"source": str(folder), "ingest": ingest, **updates}))
        return [row["source_key"] for row in rows(spark, config, samples.TABLE)]

    everyone = ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert sorted(ingested(4)) == everyone
    assert sorted(ingested(2)) == everyone  # the second new shard would bring two of them again
    assert sorted(ingested(2, refresh=True, limit=1)) == everyone
