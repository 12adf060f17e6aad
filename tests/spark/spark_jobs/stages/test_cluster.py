"""Stage `cluster` on generated embeddings: one machine's result, versions of models, what is done again."""

from __future__ import annotations

import json

import faiss
import numpy as np
import pytest
from pyspark.sql import functions as F

from schemas import clip_embeddings, cluster_assignments, cluster_models
from spark_jobs.clustering.hash_sample import hash_sample
from spark_jobs.commands.dry_run import print_plan
from spark_jobs.config import load_config
from spark_jobs.errors import StageError
from spark_jobs.pipeline import select
from spark_jobs.runner.pending import plan_work
from spark_jobs.runner.progress import console
from spark_jobs.stages.cluster import plan_cluster, run
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from tests.table_rows import filled, put_rows

SAMPLES, WIDTH, SHARDS = 3000, 32, 6
BAD = 60  # rows without a vector
MODELS, ASSIGNMENTS = cluster_models.TABLE, cluster_assignments.TABLE
QUICK = ("tracking.enabled=false", "cluster.k=20", "cluster.dimensions=16", "cluster.groups=5")


def drawn(count=SAMPLES, *, seed=0):
    draw = np.random.default_rng(seed)
    vectors = draw.standard_normal((15, WIDTH))[draw.integers(15, size=count)]
    vectors = vectors + 0.6 * draw.standard_normal((count, WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def put_embeddings(
    spark, warehouse, vectors, *, dataset="test", run_key="e", bad=BAD, partitions=2, grown_from=None
):
    """Write `clip_embeddings`; the first `bad` rows have no vector, those after `grown_from` are in new shards."""
    rows = []
    for n, vector in enumerate(vectors.tolist()):
        shard = f"{n % SHARDS + (SHARDS if grown_from is not None and n >= grown_from else 0):05d}"
        key = {"dataset": dataset, "shard_id": shard, "sample_id": f"{n:08d}", "model": "m"}
        found = {"status": "failed", "error": "damaged"} if n < bad else {"image_vector": vector}
        made = {"run_key": run_key, "input_key": f"{shard}-{grown_from or len(vectors)}"}
        rows.append(filled(clip_embeddings.TABLE, **key, **found, **made))
    tables = Tables(spark, str(warehouse))
    put_rows(tables, clip_embeddings.TABLE, rows, stage="embed", partitions=partitions)


def configured(warehouse, *overrides, dataset="test"):
    options = {"warehouse": str(warehouse), "dataset": dataset}
    return load_config(options=options, overrides=(*QUICK, *overrides))


def assigned(spark, warehouse, report):
    """Rows of `cluster_assignments` of a run in order of sample_id."""
    frame = Tables(spark, str(warehouse)).read(ASSIGNMENTS, dataset=report.dataset)
    rows = frame.where(F.col("run_key") == report.run_keys[ASSIGNMENTS.name]).collect()
    return sorted(rows, key=lambda row: row["sample_id"])


def stored_model(spark, warehouse, run_key):
    rows = Tables(spark, str(warehouse)).read(MODELS, run_key=run_key).orderBy("position").collect()
    kinds = ("pca_mean", "pca_component", "centroid")
    return rows, *(
        np.array([row["vector"] for row in rows if row["kind"] == kind], np.float32) for kind in kinds
    )


@pytest.fixture(scope="module")
def vectors():
    return drawn()


@pytest.fixture(scope="module")
def fitted(_spark_session, tmp_path_factory, vectors):
    """A warehouse after the first run, and that run's report."""
    warehouse = tmp_path_factory.mktemp("clusters") / "warehouse"
    put_embeddings(_spark_session, warehouse, vectors)
    return warehouse, run(_spark_session, configured(warehouse))


def test_assignments_are_those_of_plain_faiss_and_of_brute_force(spark, fitted, vectors):
    warehouse, report = fitted
    rows = assigned(spark, warehouse, report)
    _, mean, components, centroids = stored_model(spark, warehouse, report.run_keys[MODELS.name])
    points = ((vectors[BAD:].astype(np.float64) - mean) @ components.T.astype(np.float64)).astype(np.float32)
    squared = ((points[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2)
    found = np.array([row["cluster"] for row in rows[BAD:]])
    assert np.array_equal(found, squared.argmin(axis=1))
    np.testing.assert_allclose(
        [row["distance"] for row in rows[BAD:]], np.sqrt(squared.min(axis=1)), rtol=1e-4
    )
    # The paper's way to assign: a k-means of no iterations over the stored centroids.
    kmeans = faiss.Kmeans(16, 20, niter=0, nredo=0)
    kmeans.train(points, init_centroids=centroids)
    assert np.array_equal(found, kmeans.assign(points)[1])


def test_every_sample_has_a_row_and_those_without_a_vector_are_skipped(spark, fitted):
    warehouse, report = fitted
    rows = assigned(spark, warehouse, report)
    assert (len(rows), report.rows, report.skipped, report.failed) == (SAMPLES, SAMPLES, BAD, 0)
    assert {(row["status"], row["error"], row["cluster"]) for row in rows[:BAD]} == {
        ("skipped", "embed: damaged", None)
    }
    assert all(row["status"] == "ok" and row["cluster_group"] is not None for row in rows[BAD:])


def test_the_stored_model_explains_the_assignments(spark, fitted):
    warehouse, report = fitted
    rows, mean, components, centroids = stored_model(spark, warehouse, report.run_keys[MODELS.name])
    assert (mean.shape, components.shape, centroids.shape) == ((1, WIDTH), (16, WIDTH), (20, 16))
    of_samples = assigned(spark, warehouse, report)
    assert {row["model_version"] for row in [*rows, *of_samples]} == {rows[0]["model_version"]}
    by_cluster = {row["position"]: row for row in rows if row["kind"] == "centroid"}
    groups = {(row["cluster"], row["cluster_group"]) for row in of_samples[BAD:]}
    assert groups == {(n, row["cluster_group"]) for n, row in by_cluster.items()}
    assert {group for _, group in groups} == set(range(5))
    # All vectors were drawn, so the sizes on the fitting sample are those of the assignment.
    clusters = [row["cluster"] for row in of_samples[BAD:]]
    assert {n: row["size"] for n, row in by_cluster.items()} == {n: clusters.count(n) for n in by_cluster}
    assert {row["points"] for row in rows} == {SAMPLES - BAD}
    parameters = json.loads(rows[0]["parameters"])
    assert (parameters["k"], parameters["seed"], parameters["iterations"]) == (20, 42, 25)


def test_a_second_run_does_nothing(spark, fitted):
    warehouse, report = fitted
    tables = Tables(spark, str(warehouse))
    before = [tables.version(spec) for spec in (MODELS, ASSIGNMENTS)]
    again = run(spark, configured(warehouse))
    assert again.did_nothing
    assert again.run_keys == report.run_keys
    assert [tables.version(spec) for spec in (MODELS, ASSIGNMENTS)] == before


def test_other_parameters_live_beside_the_first_and_going_back_does_nothing(spark, fitted):
    warehouse, report = fitted
    other = run(spark, configured(warehouse, "cluster.seed=7"))
    assert other.rows == SAMPLES
    assert set(other.run_keys.values()).isdisjoint(report.run_keys.values())
    tables = Tables(spark, str(warehouse))
    counts = {
        row["run_key"]: row["count"] for row in tables.read(ASSIGNMENTS).groupBy("run_key").count().collect()
    }
    assert counts == {one.run_keys[ASSIGNMENTS.name]: SAMPLES for one in (report, other)}
    assert run(spark, configured(warehouse)).rows == 0
    current = current_run_keys(tables)
    assert {name: current["test", name] for name in report.run_keys} == report.run_keys


def test_the_order_of_rows_and_files_decides_nothing(spark, fitted, tmp_path, vectors):
    warehouse, report = fitted
    put_embeddings(spark, tmp_path, vectors, partitions=7)
    shuffled = run(spark, configured(tmp_path, "runner.first_chunk=600"))
    assert shuffled.run_keys == report.run_keys
    assert assigned(spark, tmp_path, shuffled) == assigned(spark, warehouse, report)


def test_changed_vectors_give_a_new_model_and_a_whole_new_assignment(spark, tmp_path):
    small = ("cluster.k=4", "cluster.groups=2")
    put_embeddings(spark, tmp_path, drawn(400))
    first = run(spark, configured(tmp_path, *small))
    put_embeddings(spark, tmp_path, drawn(401))
    second = run(spark, configured(tmp_path, *small))
    assert (second.rows, second.shards_kept) == (401, 0)
    assert set(second.run_keys.values()).isdisjoint(first.run_keys.values())
    versions = [{row["model_version"] for row in assigned(spark, tmp_path, one)} for one in (first, second)]
    assert [len(found) for found in versions] == [1, 1]
    assert versions[0] != versions[1]
    kept, *_ = stored_model(spark, tmp_path, first.run_keys[MODELS.name])
    assert {row["model_version"] for row in kept} == versions[0]  # the old model is still there


def test_a_pinned_model_is_kept_as_data_grows_and_a_refit_is_asked_for(spark, tmp_path):
    small = ("cluster.k=4", "cluster.groups=2")
    kept, pinned = (*small, "cluster.model=keep"), drawn(400)
    put_embeddings(spark, tmp_path, pinned)
    first = run(spark, configured(tmp_path, *kept))  # nothing to keep yet: fitted
    (version,) = {row["model_version"] for row in assigned(spark, tmp_path, first)}
    put_embeddings(spark, tmp_path, drawn(300, seed=5), dataset="other", bad=0)
    named = ("cluster.model=" + version,)
    of_other = run(spark, configured(tmp_path, *named, dataset="other"))
    assert {row["model_version"] for row in assigned(spark, tmp_path, of_other)} == {version}
    assert of_other.run_keys == first.run_keys  # the same model, held by both
    assert run(spark, configured(tmp_path, *named, dataset="other")).did_nothing

    put_embeddings(spark, tmp_path, np.vstack([pinned, drawn(200, seed=6)]), grown_from=len(pinned))
    grown = run(spark, configured(tmp_path, *kept))
    assert grown.run_keys == first.run_keys
    assert (grown.rows, grown.shards_done, grown.shards_kept) == (200, SHARDS, SHARDS)
    before = {row["sample_id"]: row["distance"] for row in assigned(spark, tmp_path, first)[:400]}
    after = {row["sample_id"]: row["distance"] for row in assigned(spark, tmp_path, grown)}
    assert len(after) == 600
    assert {name: after[name] for name in before} == before

    refitted = run(spark, configured(tmp_path, *small))
    assert refitted.rows == 600
    assert refitted.run_keys[MODELS.name] != first.run_keys[MODELS.name]


def test_a_pinned_model_must_be_there_and_of_these_vectors(spark, tmp_path):
    small = ("cluster.k=4", "cluster.groups=2")
    put_embeddings(spark, tmp_path, drawn(400))
    (version,) = {
        row["model_version"] for row in assigned(spark, tmp_path, run(spark, configured(tmp_path, *small)))
    }
    with pytest.raises(StageError, match=rf"cluster.model=none: expected fit, keep or .* it holds {version}"):
        run(spark, configured(tmp_path, "cluster.model=none"))
    put_embeddings(spark, tmp_path, drawn(400, seed=8), run_key="another CLIP")
    for wanted in ("keep", version):
        line, printed = dry_run(spark, configured(tmp_path, f"cluster.model={wanted}"))
        assert line[4] == "cannot run"
        assert "fitted on vectors of another CLIP model" in printed
        with pytest.raises(StageError, match="fitted on vectors of another CLIP model"):
            run(spark, configured(tmp_path, f"cluster.model={wanted}"))


def test_datasets_fitted_together_share_one_model(spark, tmp_path):
    both = ("cluster.datasets=[a, b]", "cluster.k=6", "cluster.groups=2")
    put_embeddings(spark, tmp_path, drawn(300, seed=1), dataset="a")
    put_embeddings(spark, tmp_path, drawn(200, seed=2), dataset="b")
    of_a = run(spark, configured(tmp_path, *both, dataset="a"))
    of_b = run(spark, configured(tmp_path, *both, dataset="b"))
    assert of_a.run_keys[MODELS.name] == of_b.run_keys[MODELS.name]
    assert any("fitted on 380 of 380 vectors" in note for note in of_a.notes)
    assert not any("fitted" in note for note in of_b.notes)  # the same model, not another fit
    rows, *_ = stored_model(spark, tmp_path, of_a.run_keys[MODELS.name])
    assert {row["dataset"] for row in rows} == {"a", "b"}
    assert len(rows) == 2 * (1 + 16 + 6)
    assert {row["model_version"] for one in (of_a, of_b) for row in assigned(spark, tmp_path, one)} == {
        rows[0]["model_version"]
    }
    put_embeddings(spark, tmp_path, drawn(200, seed=2), dataset="b", run_key="other model")
    with pytest.raises(StageError, match="datasets a and b were embedded with other models or settings"):
        run(spark, configured(tmp_path, *both, dataset="a"))


def test_too_few_vectors_for_k_name_the_largest_usable_k(spark, tmp_path):
    with pytest.raises(StageError, match=r"no finished table clip_embeddings: run `parrot run embed` first"):
        run(spark, configured(tmp_path))
    put_embeddings(spark, tmp_path, drawn(300))
    with pytest.raises(StageError, match=r"k=20 needs 780 points .* found 240: the largest usable k is 6"):
        run(spark, configured(tmp_path))
    assert not Tables(spark, str(tmp_path)).exists(ASSIGNMENTS)


def test_without_any_vector_every_sample_is_skipped(spark, tmp_path):
    put_embeddings(spark, tmp_path, drawn(8), bad=8)
    report = run(spark, configured(tmp_path))
    assert (report.rows, report.skipped) == (8, 8)
    assert any("nothing to cluster" in note for note in report.notes)
    assert run(spark, configured(tmp_path)).did_nothing


@pytest.mark.parametrize("size", [250, 5000])
def test_a_sample_is_the_lowest_hashes_whatever_the_partitions(spark, size):
    rows = [("d", f"{n:05d}", [float(n), 0.5]) for n in range(1000)]
    frame = spark.createDataFrame(rows, "dataset string, sample_id string, vector array<float>")
    by_hash = frame.withColumn("key", F.xxhash64(F.lit(3).cast("long"), "dataset", "sample_id")).collect()
    expected = [row["vector"] for row in sorted(by_hash, key=lambda row: row["key"])][:size]
    for partitions in (1, 5):
        found = hash_sample(frame.repartition(partitions), total=1000, size=size, seed=3)
        assert found.tolist() == expected
    if size < 1000:
        assert hash_sample(frame, total=1000, size=size, seed=4).tolist() != expected


def dry_run(spark, config):
    """The plan's line of the stage, cell by cell, and all that was printed."""
    with console.capture() as captured:
        print_plan(spark, config, select(["cluster"]))
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in captured.get().splitlines()]
    (line,) = [cells for cells in lines if cells[:1] == ["cluster"]]
    return line, captured.get()


def test_a_dry_run_tells_a_new_fit_from_a_stored_model(spark, fitted):
    warehouse, report = fitted
    version = assigned(spark, warehouse, report)[0]["model_version"]
    before = Tables(spark, str(warehouse)).version(MODELS)
    line, _ = dry_run(spark, configured(warehouse))
    assert line[1:] == ["0", "0", f"stored {version}", "up to date"]
    line, _ = dry_run(spark, configured(warehouse, "cluster.seed=99"))
    assert line[1:4] == [str(SHARDS), f"{SAMPLES:,}", "new fit: 20 clusters, 5 groups"]
    assert Tables(spark, str(warehouse)).version(MODELS) == before


def test_a_dry_run_says_why_nothing_can_be_clustered(spark, tmp_path):
    line, printed = dry_run(spark, configured(tmp_path))
    assert line[4] == "cannot run"
    assert "run `parrot run embed` first" in printed
    put_embeddings(spark, tmp_path, drawn(300))
    line, printed = dry_run(spark, configured(tmp_path))
    assert line[4] == "cannot run"
    assert "the largest usable k is 6" in printed


def test_vectors_that_will_change_mean_a_new_fit(spark, fitted):
    warehouse, _ = fitted
    tables = Tables(spark, str(warehouse))
    plan = plan_cluster(
        tables, configured(warehouse), current=current_run_keys(tables), is_input_pending=True
    )
    assert plan.model == "new fit, after embed"
    work = plan_work(tables, plan.work, dataset="test", limit=None)
    assert sum(shard.samples for shard in work.pending) == SAMPLES
