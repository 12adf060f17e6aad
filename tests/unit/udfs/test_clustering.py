from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from spark_jobs.clustering.config import ClusterConfig
from spark_jobs.clustering.plan import requested, settings_for
from udfs.clustering import (
    ClusterFitError,
    ClusterModel,
    FitSettings,
    assign,
    fit,
    fit_kmeans,
    fit_pca,
    merge_centroids,
    nearest,
    project,
)

faiss = pytest.importorskip("faiss")
SETTINGS = FitSettings(
    k=12,
    dimensions=8,
    groups=4,
    iterations=15,
    redos=2,
    seed=42,
    min_points_per_centroid=39,
    max_points_per_centroid=1000,
)


def drawn(points=2000, width=24, *, seed=0, blobs=12):
    """Unit vectors around some directions, with a spread of its own along each axis."""
    draw = np.random.default_rng(seed)
    centres = draw.standard_normal((blobs, width))
    vectors = centres[draw.integers(blobs, size=points)] + draw.standard_normal(
        (points, width)
    ) * np.linspace(0.2, 0.8, width)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def brute_force(points, centroids):
    """Squared distances in double precision, straight from the definition."""
    return ((points[:, None, :].astype(np.float64) - centroids[None].astype(np.float64)) ** 2).sum(axis=2)


@pytest.fixture(scope="module")
def vectors():
    return drawn()


@pytest.fixture(scope="module")
def model(vectors):
    return fit(vectors, SETTINGS)


# -- PCA


def test_pca_equals_scikit_learns_but_for_the_sign(vectors):
    decomposition = pytest.importorskip("sklearn.decomposition")
    oracle = decomposition.PCA(n_components=8, svd_solver="full").fit(vectors.astype(np.float64))
    mean, components = fit_pca(vectors, 8)
    np.testing.assert_allclose(mean, oracle.mean_, atol=1e-6)
    np.testing.assert_allclose(np.abs((components * oracle.components_).sum(axis=1)), 1, atol=1e-5)
    np.testing.assert_allclose(
        np.abs(project(vectors, mean, components)), np.abs(oracle.transform(vectors)), atol=1e-5
    )


def test_pca_fixes_signs_and_keeps_length(vectors):
    _, components = fit_pca(vectors, 24)
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(24), largest] > 0).all()
    np.testing.assert_allclose(components @ components.T, np.eye(24), atol=1e-5)  # no whitening


@pytest.mark.parametrize(("points", "dimensions", "usable"), [(50, 25, 24), (5, 6, 5)])
def test_more_dimensions_than_there_are_name_the_largest(points, dimensions, usable):
    with pytest.raises(ClusterFitError, match=f"largest usable number is {usable}"):
        fit_pca(drawn(points), dimensions)


# -- k-means


def test_kmeans_is_plain_faiss(vectors):
    plain = faiss.Kmeans(24, 12, niter=15, nredo=2, seed=42, max_points_per_centroid=1000)
    plain.train(vectors)
    assert np.array_equal(fit_kmeans(vectors, SETTINGS), plain.centroids)


def test_kmeans_depends_on_the_seed_and_not_on_threads(vectors):
    threads = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(1)
        one = fit_kmeans(vectors, SETTINGS)
        faiss.omp_set_num_threads(3)
        three = fit_kmeans(vectors, SETTINGS)
    finally:
        faiss.omp_set_num_threads(threads)
    assert np.array_equal(one, three)
    assert not np.array_equal(one, fit_kmeans(vectors, dataclasses.replace(SETTINGS, seed=7)))


def test_too_few_points_name_the_largest_usable_k():
    points = drawn(400)
    with pytest.raises(
        ClusterFitError, match=r"k=12 needs 468 points .* found 400: the largest usable k is 10"
    ):
        fit_kmeans(points, SETTINGS)
    assert len(fit_kmeans(points, dataclasses.replace(SETTINGS, k=10))) == 10


def test_too_few_points_for_a_single_centroid_name_the_setting():
    with pytest.raises(ClusterFitError, match=r"not even k=1 is usable; points per centroid .* 30 or fewer"):
        fit_kmeans(drawn(30), dataclasses.replace(SETTINGS, k=1))


# -- merge


@pytest.mark.parametrize("seed", range(6))
def test_merge_equals_scipys_ward_on_replicated_points(seed):
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    draw = np.random.default_rng(seed)
    centroids = draw.standard_normal((40, 5)).astype(np.float32)
    sizes = draw.integers(1, 30, size=40)
    tree = hierarchy.linkage(np.repeat(centroids, sizes, axis=0).astype(np.float64), "ward")
    for groups in (1, 2, 7, 39, 40):
        oracle = hierarchy.fcluster(tree, groups, "maxclust")[np.cumsum(sizes) - 1]
        found = merge_centroids(centroids, sizes, groups)
        assert len(set(oracle)) == groups
        assert len(set(zip(found, oracle, strict=True))) == len(set(found)) == groups


def test_sizes_matter_to_the_merge():
    # Left of the middle point stands a heavy centroid; a light one, further away, is cheaper to join.
    centroids = np.array([[-1.0], [0.0], [1.2]], np.float32)
    assert merge_centroids(centroids, np.array([1000, 10, 1]), 2).tolist() == [0, 1, 1]
    assert merge_centroids(centroids, np.array([10, 10, 10]), 2).tolist() == [0, 0, 1]


def test_groups_are_numbered_by_size():
    centroids = np.array([[0.0], [10.0], [10.1], [20.0]], np.float32)
    assert merge_centroids(centroids, np.array([5, 1, 1, 9]), 3).tolist() == [1, 2, 2, 0]


def test_a_centroid_without_points_goes_to_its_neighbour():
    centroids = np.array([[0.0], [0.1], [50.0], [50.1]], np.float32)
    groups = merge_centroids(centroids, np.array([9, 8, 7, 0]), 2)
    assert groups[3] == groups[2] != groups[0]


def test_more_groups_than_clusters_are_refused():
    with pytest.raises(ClusterFitError, match="41 groups cannot be made of 40 clusters: at most 40"):
        merge_centroids(np.zeros((40, 2), np.float32), np.ones(40, int), 41)


# -- assignment


def test_assignment_equals_brute_force_and_plain_faiss(vectors, model):
    cluster, distance = assign(vectors, model)
    points = (vectors - model.mean) @ model.components.T
    squared = brute_force(points, model.centroids)
    assert np.array_equal(cluster, squared.argmin(axis=1))
    np.testing.assert_allclose(distance, np.sqrt(squared.min(axis=1)), rtol=1e-5)
    index = faiss.IndexFlatL2(8)
    index.add(model.centroids)
    assert np.array_equal(cluster, index.search(np.ascontiguousarray(points), 1)[1][:, 0])
    assert model.sizes.tolist() == np.bincount(cluster, minlength=12).tolist()


@pytest.mark.parametrize("rows", [1, 2, 7, 1024, 1025, 1999])
def test_a_rows_result_does_not_depend_on_its_neighbours(vectors, model, rows):
    cluster, distance = assign(vectors, model)
    order = np.random.default_rng(rows).permutation(len(vectors))[:rows]
    some_cluster, some_distance = assign(vectors[order], model)
    assert np.array_equal(some_cluster, cluster[order])
    assert np.array_equal(some_distance, distance[order])  # to the last digit


def test_ties_go_to_the_lowest_number():
    centroids = np.array([[1, 0], [-1, 0], [0, 1], [1, 0]], np.float32)
    points = np.array([[0, 0], [1, 0], [-1, 1]], np.float32)
    cluster, distance = nearest(points, centroids)
    assert cluster.tolist() == [0, 0, 1]
    assert distance.tolist() == [1, 0, 1]


def test_vectors_of_another_width_are_refused(model):
    with pytest.raises(ValueError, match=r"takes vectors of 24, found shape \(3, 25\)"):
        assign(np.zeros((3, 25), np.float32), model)
    assert [len(part) for part in assign(np.zeros((0, 24), np.float32), model)] == [0, 0]


# -- the whole fit


def test_equal_input_gives_an_equal_model_and_version(vectors, model):
    again = fit(vectors.copy(), SETTINGS)
    for field in dataclasses.fields(ClusterModel):
        assert np.array_equal(getattr(model, field.name), getattr(again, field.name)), field.name
    assert again.version == model.version
    assert fit(vectors, dataclasses.replace(SETTINGS, groups=3)).version != model.version
    assert fit(vectors[:-1], SETTINGS).version != model.version


# -- what is fitted where the configuration leaves it open


def settings(vectors, width=512, **config):
    return settings_for(requested(ClusterConfig(**config)), vectors=vectors, width=width)


@pytest.mark.parametrize(
    ("vectors", "k", "groups"),
    [(1, 1, 1), (38, 1, 1), (60, 1, 1), (240, 6, 2), (20_000, 100, 25), (2_000_000_000, 4000, 100)],
)
def test_k_and_groups_follow_the_number_of_vectors(vectors, k, groups):
    found = settings(vectors)
    assert (found.k, found.groups) == (k, groups)
    assert found.k * found.min_points_per_centroid <= vectors


def test_the_paper_preset_and_values_beside_it():
    paper = settings(2_000_000, preset="paper")
    values = (paper.k, paper.dimensions, paper.iterations, paper.redos, paper.seed, paper.groups)
    assert values == (4000, 256, 300, 10, 42, 100)
    assert settings(2_000_000, preset="paper", k=50, redos=2).groups == 50
    assert settings(2_000_000, preset="paper", seed=1).seed == 1


def test_dimensions_are_at_most_what_there_is():
    assert settings(240, width=64).dimensions == 64
    assert settings(5, width=64).dimensions == 5
    assert settings(20_000).dimensions == 256


def test_a_sample_too_small_for_k_is_refused():
    with pytest.raises(ClusterFitError, match="found 3,000: the largest usable k is 76"):
        settings(1_000_000, k=100, sample_size=3000)
    with pytest.raises(ClusterFitError, match="9 groups cannot be made of 1 clusters"):
        settings(20, groups=9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"k": 10, "groups": 11}, r"groups \(11\) must be at most k \(10\)"),
        ({"min_points_per_centroid": 300}, r"min_points_per_centroid \(300\) must be at most"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ClusterConfig(**values)
