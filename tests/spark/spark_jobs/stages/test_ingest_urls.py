"""Datasets of URLs: samples without images, what waits for them, and what is said."""

from __future__ import annotations

import pytest

from schemas import clip_embeddings, images, samples
from spark_jobs.commands.status import print_status
from spark_jobs.errors import StageError
from spark_jobs.runner.image_work import INPUTS
from spark_jobs.runner.pending import ShardWork, input_shards
from spark_jobs.runner.shards import run_shards
from spark_jobs.stages.ingest import RUN_KEY, run
from spark_jobs.warehouse.tables import Tables
from tests.builders import sound_pairs, write_shard


def urls_only(config, root, **ingest):
    updates = {"source": str(root), "ingest": config.ingest.model_copy(update=ingest)}
    return config.model_copy(update=updates)


def unreachable(_):
    raise AssertionError("there is nothing to compute")


WORK = ShardWork("embed", clip_embeddings.TABLE, INPUTS, {}, unreachable, 4)


def test_real_metadata_is_ingested_once_and_waits_for_its_images(spark, config, shared_data, capsys):
    laion = urls_only(config, shared_data / "laion_metadata/laion2b-en-10K.parquet", shard_size=5000)
    report = run(spark, laion)
    tables = Tables(spark, config.warehouse)
    assert (report.rows, report.failed, report.shards_done) == (10_001, 0, 3)
    assert tables.read(samples.TABLE).count() == 10_001
    assert tables.read(images.TABLE).count() == 0
    assert report.results["dirt null sizes"] == 8
    assert any("width and height exchanged" in note for note in report.notes)
    assert any(note.startswith("dirt: 8 null similarity, 8 null sizes, 6 ") for note in report.notes)
    assert (
        "10,001 samples have only a URL and no image yet: `parrot run download` fetches them" in report.notes
    )

    versions = [tables.version(spec) for spec in (samples.TABLE, images.TABLE)]
    assert run(spark, laion).did_nothing
    assert [tables.version(spec) for spec in (samples.TABLE, images.TABLE)] == versions

    with pytest.raises(
        StageError, match=r"^10,001 samples of dataset test have only URLs; download them first"
    ):
        run_shards(spark, laion, WORK)
    print_status(spark, laion)
    line = next(line for line in capsys.readouterr().out.splitlines() if " images " in line)
    rows, failed, skipped, done, pending = line.replace("│", " ").split()[2:7]
    assert (rows, failed, skipped, done, pending) == ("0", "0", "0", "0", "3")


def test_real_captions_beside_images_wait_alone(spark, config, shared_data, tmp_path):
    report = run(
        spark, urls_only(config, shared_data / "laion_metadata/cc3m_validation.tsv", shard_size=8000)
    )
    assert (report.rows, report.shards_done) == (15_833, 2)
    assert any("caption TAB url" in note for note in report.notes)
    write_shard(tmp_path / "source", sound_pairs(2), name="00000")
    run(spark, config.model_copy(update={"source": str(tmp_path / "source")}))

    tables = Tables(spark, config.warehouse)
    upstream = {spec.name: RUN_KEY for spec in (samples.TABLE, images.TABLE)}
    found = input_shards(tables, INPUTS, dataset="test", upstream=upstream)
    assert [(shard.shard_id, shard.samples) for shard in found.ready] == [("00000", 2)]
    assert found.waiting == ["cc3m_validation.tsv-00000", "cc3m_validation.tsv-00001"]
    assert found.lacking == {"images": 15_833}
