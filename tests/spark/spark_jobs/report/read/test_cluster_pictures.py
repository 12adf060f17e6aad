"""What the report reads of clusters: the rows of `stat_cluster`, and a sample of each group with its pictures."""

from __future__ import annotations

import pytest

from schemas import caption_overlap, clip_embeddings, cluster_assignments, samples
from spark_jobs.commands.status import print_status
from spark_jobs.config import load_config
from spark_jobs.report.content import FrequentError, StageAccount
from spark_jobs.report.read.collect import collect
from spark_jobs.report.read.snapshot import Snapshot
from spark_jobs.stages import ingest, statistics
from spark_jobs.warehouse.tables import Tables
from tests.builders import write_captions, write_images
from tests.table_rows import filled, put_rows

IMAGES = 14
GROUPS = [0] * 8 + [1] * 4 + [None] * 2  # by image; the last two have no vector


@pytest.fixture
def warehouse(spark, config, tmp_path):
    """Images in two groups with all tables of which the section is made, and the tables."""
    names = [f"{n:02d}.png" for n in range(IMAGES)]
    write_images(tmp_path / "source", names)
    rows = [
        {"file_name": name, "caption": f"sale {n}", "punsafe": 0.9 if n == 8 else 0.1}
        for n, name in enumerate(names)
    ]
    write_captions(tmp_path / "source" / "captions.jsonl", rows)
    settings = load_config(
        options={"warehouse": config.warehouse, "dataset": "test", "source": str(tmp_path / "source")},
        overrides=("tracking.enabled=false",),
    )
    ingest.run(spark, settings)
    tables = Tables(spark, config.warehouse)
    found = tables.read(samples.TABLE, dataset="test").orderBy("source_key").collect()
    keys = [(row["shard_id"], row["sample_id"]) for row in found]
    overlap = [
        filled(
            caption_overlap.TABLE,
            shard_id=shard_id,
            sample_id=sample_id,
            caption_words=["sale", "x"],
            co_emb_words=["sale"] if n % 2 else [],
            text_detected=bool(n % 2),
            spotted_word_count=n % 2,
            used_words=[],
            cotr=0.5 * (n % 2),
            cotr_verbatim=0.0,
            fuzzy_cotr=0.5,
            image_type="concurrent" if n % 2 else "no_text",
            run_key="o",
        )
        for n, (shard_id, sample_id) in enumerate(keys)
    ]
    embeddings = [
        filled(
            clip_embeddings.TABLE,
            shard_id=shard_id,
            sample_id=sample_id,
            model="m",
            run_key="e",
            **({"status": "failed", "error": "damaged"} if group is None else {"clip_score": 0.25}),
        )
        for (shard_id, sample_id), group in zip(keys, GROUPS, strict=True)
    ]
    put_rows(tables, caption_overlap.TABLE, overlap)
    put_rows(tables, clip_embeddings.TABLE, embeddings)
    put_assignments(tables, keys, run_key="a")
    statistics.run(spark, settings)
    return settings, tables, keys


def put_assignments(tables, keys, *, run_key):
    rows = [
        filled(
            cluster_assignments.TABLE,
            shard_id=shard_id,
            sample_id=sample_id,
            model_version="v",
            cluster=group,
            cluster_group=group,
            distance=0.1,
            status="skipped" if group is None else "ok",
            run_key=run_key,
        )
        for (shard_id, sample_id), group in zip(keys, GROUPS, strict=True)
    ]
    put_rows(tables, cluster_assignments.TABLE, rows)


def collected(settings, tables, *overrides):
    options = {name: getattr(settings, name) for name in ("warehouse", "dataset")}
    config = load_config(options=options, overrides=overrides)
    source = Snapshot.of(tables, config.report)
    return collect(source, input_key="k").datasets[0].clusters, source.key()


def told(spark, settings, capsys):
    """What `parrot status` prints."""
    print_status(spark, settings)
    return " ".join(capsys.readouterr().out.split())


def test_groups_their_numbers_and_pictures(spark, warehouse, capsys):
    settings, tables, keys = warehouse
    content = collect(Snapshot.of(tables, settings.report), input_key="k")
    assert content.notes == ()
    assert content.generation.models == ("m",)
    (shown,) = content.datasets
    assert shown.accounts == (
        StageAccount("ingest", IMAGES, 0, 0),
        StageAccount("embed", 12, 2, 0),
        StageAccount("spot_text"),
        StageAccount("overlap", IMAGES, 0, 0),
    )
    assert shown.errors == (FrequentError("embed", "damaged", 2),)
    assert [sample.image_type for sample in shown.gallery] == ["no_text"] * 7 + ["concurrent"] * 7
    assert "(older)" not in told(spark, settings, capsys)
    clusters, key = collected(settings, tables, "report.samples_per_group=3", "report.samples_per_type=0")
    sizes = {row["cluster_id"]: row["samples"] for row in clusters.rows if row["level"] == "group"}
    assert sizes == {0: 8, 1: 4, -1: 2}
    by_key = {f"{shard}/{n:02d}.png": GROUPS[n] for n, (shard, _) in enumerate(keys)}
    assert {group: len(shown) for group, shown in clusters.galleries.items()} == {0: 3, 1: 3}
    for group, shown in clusters.galleries.items():
        assert {by_key[sample.sample_key] for sample in shown} == {group}
        for sample in shown:
            number = int(sample.sample_key.split("/")[1][:2])
            assert sample.pixels is not None
            assert sample.caption == f"sale {number}"
            assert (sample.image_type == "concurrent") == bool(number % 2)
            assert sample.unsafe == (number == 8)
    # The same sample again; all of a small group where there are more places; only the largest if one is asked.
    again, same = collected(settings, tables, "report.samples_per_group=3", "report.samples_per_type=0")
    assert (again, same) == (clusters, key)
    more, other = collected(settings, tables, "report.cluster_groups=1", "report.samples_per_type=0")
    assert {group: len(shown) for group, shown in more.galleries.items()} == {0: 4}
    assert other != key

    # Clustered anew: the same numbers would mean other groups, so no picture stands under them.
    put_assignments(tables, keys, run_key="another model")
    outdated, changed = collected(settings, tables, "report.samples_per_group=3", "report.samples_per_type=0")
    assert changed != key
    assert outdated.is_outdated
    assert not outdated.galleries
    assert outdated.rows == clusters.rows
    (note,) = Snapshot.of(tables, settings.report).notes()
    assert "test: what statistics made is of an older cluster_assignments than the current one" in note
    assert "`parrot run statistics report --dataset test`" in note
    status = told(spark, settings, capsys)
    assert "stat_cluster (older)" in status
    assert "stat_overall (older)" not in status
    assert "`parrot run statistics --dataset test`" in status
    statistics.run(spark, settings)
    # Another door, because each remembers the current run keys until it writes itself.
    tables = Tables(spark, settings.warehouse)
    renewed, _ = collected(settings, tables, "report.samples_per_group=3", "report.samples_per_type=0")
    assert not renewed.is_outdated
    assert Snapshot.of(tables, settings.report).notes() == ()
    assert renewed.galleries.keys() == {0, 1}
