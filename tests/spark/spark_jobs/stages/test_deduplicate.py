"""Stage `deduplicate` on written tables: SemDeDup's rule by hand, what is done again, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from schemas import clip_embeddings, cluster_assignments, near_duplicates
from spark_jobs.config import load_config
from spark_jobs.errors import StageError
from spark_jobs.stages.cluster import assignment
from spark_jobs.stages.deduplicate import run
from spark_jobs.warehouse.tables import Tables
from tests.table_rows import filled, put_rows

WIDTH, CLUSTERS, SHARDS = 16, 5, 3
OUTPUT = near_duplicates.TABLE


def drawn(count, *, seed=0):
    """Vectors with exact and near copies, in no order; cluster; distance (many equal)."""
    draw = np.random.default_rng(seed)
    vectors = draw.standard_normal((count, WIDTH))
    copies = draw.integers(count, size=count // 3)
    vectors[draw.permutation(count)[: len(copies)]] = vectors[copies] + draw.choice(
        [0, 0.02, 0.2], size=(len(copies), 1)
    ) * draw.standard_normal((len(copies), WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cluster = np.round(np.abs(vectors[:, 0]) * 10).astype(int) % CLUSTERS
    return vectors.astype(np.float32), cluster, np.round(np.abs(vectors[:, 1]), 1).astype(np.float32)


def put_inputs(spark, warehouse, data, *, partitions=2, embeddings="e", made_of="e"):
    """Rows 0 failed to embed, 1 has no cluster yet, 2 is not finite."""
    vectors, cluster, distance = data
    tables, assigned_key = Tables(spark, str(warehouse)), cluster_key(made_of)
    embedded, assigned = [], []
    for n, vector in enumerate(vectors.tolist()):
        shard = f"{n % SHARDS:05d}"
        key = {"shard_id": shard, "sample_id": f"{n:08d}", "input_key": f"{shard}-{len(vectors)}"}
        found = {"image_vector": [float("nan")] * WIDTH if n == 2 else vector}
        found = {"status": "failed", "error": "damaged"} if n == 0 else found
        embedded.append(filled(clip_embeddings.TABLE, **key, **found, model="m", run_key=embeddings))
        place = {"cluster": int(cluster[n]), "cluster_group": 0, "distance": float(distance[n])}
        place = {"status": "skipped", "error": "embed: damaged"} if n == 0 else place
        if n != 1:
            own = {**key, **place, "model_version": "model", "run_key": assigned_key}
            assigned.append(filled(cluster_assignments.TABLE, **own))
    put_rows(tables, clip_embeddings.TABLE, embedded, stage="embed", partitions=partitions)
    put_rows(tables, cluster_assignments.TABLE, assigned, stage="cluster", partitions=partitions)


def cluster_key(embeddings):
    from dataclasses import replace

    from spark_jobs.runner.pending import run_key_of

    return run_key_of(replace(assignment(None), params={"model": "model"}), {"clip_embeddings": embeddings})


def configured(warehouse, *overrides):
    options = {"warehouse": str(warehouse), "dataset": "test"}
    return load_config(options=options, overrides=("tracking.enabled=false", *overrides))


def written(spark, warehouse, report):
    rows = Tables(spark, str(warehouse)).read(OUTPUT, run_key=report.run_keys[OUTPUT.name]).collect()
    return sorted(rows, key=lambda row: row["sample_id"])


def by_hand(data, *, epsilon, sign):
    """duplicate_of by sample number: all pairs, in plain loops over the rule's order."""
    vectors, cluster, distance = (part.astype(float) for part in data)
    found = {}
    for one in range(CLUSTERS):
        members = [n for n in range(3, len(vectors)) if cluster[n] == one]
        members.sort(key=lambda n: (sign * distance[n], n))
        for place, n in enumerate(members):
            cosines = [round(float(vectors[n] @ vectors[m]), 6) for m in members[:place]]
            above = [c for c in cosines if c > 1 - epsilon]
            found[n] = members[cosines.index(max(above))] if above else None
    return found


@pytest.fixture(scope="module")
def data():
    return drawn(400)


@pytest.fixture(scope="module")
def done(_spark_session, tmp_path_factory, data):
    warehouse = tmp_path_factory.mktemp("deduplicate") / "warehouse"
    put_inputs(_spark_session, warehouse, data)
    return warehouse, run(_spark_session, configured(warehouse))


def test_duplicates_are_those_found_by_hand(spark, done, data):
    warehouse, report = done
    rows = written(spark, warehouse, report)
    expected = by_hand(data, epsilon=0.03, sign=-1)
    found = {int(row["sample_id"]): row["duplicate_of"] for row in rows[3:]}
    assert found == {n: None if m is None else f"{m:08d}" for n, m in expected.items()}
    duplicates = [n for n, m in expected.items() if m is not None]
    assert len(duplicates) > 30
    assert [int(row["sample_id"]) for row in rows if row["is_duplicate"]] == sorted(duplicates)
    assert report.results["duplicates"] == len(duplicates)
    assert report.results["share_duplicates"] == pytest.approx(len(duplicates) / 397)
    assert sum(row["similarity"] is None for row in rows[3:]) == CLUSTERS  # the first of each
    assert all((row["similarity"] or 0) > 0.97 for row in rows[3:] if row["is_duplicate"])


def test_every_sample_has_a_row_and_says_why_it_was_not_compared(spark, done):
    warehouse, report = done
    rows = written(spark, warehouse, report)
    assert (len(rows), report.rows, report.failed, report.skipped) == (400, 400, 1, 2)
    assert [(row["status"], row["error"], row["is_duplicate"], row["similarity"]) for row in rows[:3]] == [
        ("skipped", "embed: damaged", None, None),
        ("skipped", "cluster: the sample has no cluster yet", None, None),
        ("failed", "the image vector is zero or not finite", None, None),
    ]
    assert {row["status"] for row in rows[3:]} == {"ok"}


def test_a_second_run_makes_no_version(spark, done):
    warehouse, report = done
    tables = Tables(spark, str(warehouse))
    before = tables.version(OUTPUT)
    again = run(spark, configured(warehouse, "deduplicate.memory_mb=7"))
    assert again.did_nothing
    assert again.run_keys == report.run_keys
    assert tables.version(OUTPUT) == before


def test_partitions_and_memory_decide_nothing_and_new_rows_change_all(spark, done, data, tmp_path):
    warehouse, report = done
    put_inputs(spark, tmp_path, data, partitions=5)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 17)
    try:
        other = run(spark, configured(tmp_path, "deduplicate.memory_mb=1"))
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert other.run_keys == report.run_keys
    assert written(spark, tmp_path, other) == written(spark, warehouse, report)
    fewer = tuple(part[:300] for part in data)
    put_inputs(spark, tmp_path, fewer)
    changed = run(spark, configured(tmp_path, "deduplicate.keep=easy", "deduplicate.epsilon=0.2"))
    assert changed.run_keys != report.run_keys
    expected = by_hand(fewer, epsilon=0.2, sign=1)
    rows = written(spark, tmp_path, changed)
    assert {int(row["sample_id"]): row["duplicate_of"] for row in rows[3:]} == {
        n: None if m is None else f"{m:08d}" for n, m in expected.items()
    }
    replaced = run(spark, configured(tmp_path))  # the first settings: their rows are of other content
    assert (replaced.rows, replaced.run_keys) == (300, report.run_keys)
    assert len(written(spark, tmp_path, replaced)) == 300


def test_clusters_of_other_vectors_are_refused(spark, tmp_path):
    with pytest.raises(StageError, match=r"no finished table clip_embeddings: run `parrot run embed` first"):
        run(spark, configured(tmp_path))
    put_inputs(spark, tmp_path, drawn(20), embeddings="new", made_of="old")
    with pytest.raises(StageError, match=r"of other image vectors .* run `parrot run cluster` first"):
        run(spark, configured(tmp_path))
    assert not Tables(spark, str(tmp_path)).exists(OUTPUT)


def test_too_many_bad_vectors_stop_before_the_write(spark, tmp_path):
    vectors, cluster, distance = drawn(30)
    vectors[3:25] = 0
    put_inputs(spark, tmp_path, (vectors, cluster, distance))
    with pytest.raises(StageError, match="23 of 28 image vectors are zero or not finite"):
        run(spark, configured(tmp_path))
    assert not Tables(spark, str(tmp_path)).read(OUTPUT).count()
