"""Clusters of image vectors: PCA, k-means, a merge into groups, nearest centroid. Pure functions on numpy.

As the paper (4.1, supplement 11): no whitening, no normalisation before or after the PCA, L2 distances.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_CHUNK = 1024  # rows per matrix product
_GRID_BITS = 25


class ClusterFitError(ValueError):
    """Raised when a model cannot be fitted to the points; says what the largest usable value is."""


@dataclass(frozen=True)
class FitSettings:
    """What a fit depends on beside its points.

    Attributes:
        k: Number of clusters.
        dimensions: Dimensions kept by the PCA.
        groups: Number of groups that clusters are merged into, at most k.
        iterations: Iterations of k-means.
        redos: Runs of k-means from other seeds; the best is kept.
        seed: Seed of k-means.
        min_points_per_centroid: Fewer points than k times this are an error.
        max_points_per_centroid: k-means uses at most k times this many points.
    """

    k: int
    dimensions: int
    groups: int
    iterations: int
    redos: int
    seed: int
    min_points_per_centroid: int
    max_points_per_centroid: int


@dataclass(frozen=True)
class ClusterModel:
    """A fitted model.

    Attributes:
        mean: Mean of the fitting vectors, shape (width,), float32.
        components: PCA directions, unit length, by falling variance, shape (dimensions, width), float32.
        centroids: Shape (k, dimensions), float32, in PCA space.
        groups: Group of each centroid, shape (k,), int32; 0 is the largest group.
        sizes: Fitting points nearest to each centroid, shape (k,), int64.
    """

    mean: Floats
    components: Floats
    centroids: Floats
    groups: NDArray[np.int32]
    sizes: NDArray[np.int64]

    @property
    def version(self) -> str:
        """16 hex digits of the model's numbers: models that assign alike have the same."""
        content = hashlib.sha256()
        for array in (self.mean, self.components, self.centroids, self.groups):
            content.update(repr(array.shape).encode())
            content.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        return content.hexdigest()[:16]


def fit(vectors: Floats, settings: FitSettings) -> ClusterModel:
    """Fit PCA, k-means and the merge.

    Args:
        vectors: Shape (points, width), float32. Their order matters to k-means.
        settings: What to fit.

    Raises:
        ClusterFitError: If the points are too few for `k` or `dimensions`.
    """
    mean, components = fit_pca(vectors, settings.dimensions)
    points = project(vectors, mean, components)
    centroids = fit_kmeans(points, settings)
    cluster, _ = nearest(points, centroids)
    sizes = np.bincount(cluster, minlength=settings.k).astype(np.int64)
    return ClusterModel(
        mean, components, centroids, merge_centroids(centroids, sizes, settings.groups), sizes
    )


def fit_pca(vectors: Floats, dimensions: int) -> tuple[Floats, Floats]:
    """Principal components from the covariance, in double precision; signs are fixed.

    Args:
        vectors: Shape (points, width).
        dimensions: Components to keep.

    Returns:
        Mean, shape (width,), and components, shape (dimensions, width); of each component the entry that is
        largest in magnitude is positive.

    Raises:
        ClusterFitError: If the vectors, or their number, have fewer dimensions.
    """
    points, width = vectors.shape
    usable = min(points, width)
    if not 1 <= dimensions <= usable:
        raise ClusterFitError(
            f"{dimensions} dimensions cannot be made of {points} vectors of {width}: the largest usable "
            f"number is {usable}"
        )
    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((width, width))
    for first in range(0, points, _CHUNK * 16):
        centred = vectors[first : first + _CHUNK * 16] - mean
        covariance += centred.T @ centred
    _, directions = np.linalg.eigh(covariance)  # by rising variance
    components = directions[:, ::-1][:, :dimensions].T
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(dimensions), largest])
    return mean.astype(np.float32), np.ascontiguousarray(components * signs[:, None], dtype=np.float32)


def project(vectors: Floats, mean: Floats, components: Floats) -> Floats:
    """Coordinates of vectors along the components, shape (points, dimensions), float32."""
    projected = np.empty((len(vectors), len(components)), np.float32)
    axes = _on_grid(components).T
    for first in range(0, len(vectors), _CHUNK):
        chunk = vectors[first : first + _CHUNK]
        projected[first : first + _CHUNK] = _on_grid(chunk - mean) @ axes
    return projected


def fit_kmeans(points: Floats, settings: FitSettings) -> Floats:
    """Centroids by faiss' k-means; the same for the same points in the same order, on any number of threads.

    Args:
        points: Shape (points, dimensions), float32.
        settings: k, iterations, redos, seed and the bounds on points per centroid.

    Returns:
        Shape (k, dimensions), float32.

    Raises:
        ClusterFitError: If there are fewer points than k times `min_points_per_centroid`.
    """
    import faiss

    check_k(settings.k, len(points), min_points_per_centroid=settings.min_points_per_centroid)
    kmeans = faiss.Kmeans(
        points.shape[1],
        settings.k,
        niter=settings.iterations,
        nredo=settings.redos,
        seed=settings.seed,
        min_points_per_centroid=settings.min_points_per_centroid,
        max_points_per_centroid=settings.max_points_per_centroid,
    )
    kmeans.train(np.ascontiguousarray(points, dtype=np.float32))
    return np.array(kmeans.centroids, dtype=np.float32)


def check_k(k: int, points: int, *, min_points_per_centroid: int) -> None:
    """Refuse a k that the points cannot carry.

    Raises:
        ClusterFitError: Names the largest usable k.
    """
    usable = points // min_points_per_centroid
    if k <= usable:
        return
    advice = (
        f"the largest usable k is {usable}"
        if usable
        else f"not even k=1 is usable; points per centroid would have to be {points} or fewer"
    )
    raise ClusterFitError(
        f"k={k} needs {k * min_points_per_centroid:,} points ({min_points_per_centroid} per centroid), "
        f"found {points:,}: {advice}"
    )


def merge_centroids(centroids: Floats, sizes: NDArray[np.int64], groups: int) -> NDArray[np.int32]:
    """Merge clusters into groups: agglomerative, Ward's criterion, each centroid weighing as its size.

    The pair that raises the sum of squares least is merged first (ties: lowest numbers). A centroid
    without points weighs as one, so that it goes to a near group rather than to any.

    Args:
        centroids: Shape (k, dimensions).
        sizes: Points of each, shape (k,).
        groups: Number of groups, 1 to k.

    Returns:
        Group of each centroid, shape (k,), int32; groups are numbered by falling size.

    Raises:
        ClusterFitError: If there are more groups than centroids.
    """
    k = len(centroids)
    if not 1 <= groups <= k:
        raise ClusterFitError(f"{groups} groups cannot be made of {k} clusters: at most {k}")
    weights = np.maximum(sizes, 1).astype(np.float64)
    costs = _merge_costs(centroids.astype(np.float64), weights)
    label = np.arange(k)
    nearest_to, cost_of = costs.argmin(axis=1), costs.min(axis=1)
    for _ in range(k - groups):
        # Ward never brings a third cluster nearer: only those that lost their nearest look again.
        left = int(cost_of.argmin())
        left, right = sorted((left, int(nearest_to[left])))
        _merge_pair(costs, weights, left=left, right=right)
        label[label == right] = left
        touched = np.flatnonzero((nearest_to == left) | (nearest_to == right))
        touched = np.union1d(touched, [left, right])
        nearest_to[touched], cost_of[touched] = costs[touched].argmin(axis=1), costs[touched].min(axis=1)
    return _by_size(label, sizes)


def _merge_costs(centroids: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rise of the sum of squares for every pair: n m / (n + m) times the squared distance."""
    norms = (centroids**2).sum(axis=1)
    costs = np.maximum(norms[:, None] + norms[None, :] - 2 * centroids @ centroids.T, 0.0)
    costs *= weights[:, None] * weights[None, :] / (weights[:, None] + weights[None, :])
    costs = np.minimum(costs, costs.T)  # equal to the last digit on both sides
    np.fill_diagonal(costs, np.inf)
    return np.asarray(costs)


def _merge_pair(costs: NDArray[np.float64], weights: NDArray[np.float64], *, left: int, right: int) -> None:
    """Lance and Williams' update for Ward: `left` becomes the merged cluster, `right` is gone."""
    together = weights[left] + weights[right]
    updated = (
        (weights + weights[left]) * costs[left]
        + (weights + weights[right]) * costs[right]
        - weights * costs[left, right]
    ) / (weights + together)
    updated[[left, right]] = np.inf
    costs[left], costs[:, left] = updated, updated
    costs[right], costs[:, right] = np.inf, np.inf
    weights[left] = together


def _by_size(label: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int32]:
    names, group = np.unique(label, return_inverse=True)
    totals = np.bincount(group, weights=sizes)
    rank = np.empty(len(names), np.int32)
    rank[np.lexsort((names, -totals))] = np.arange(len(names), dtype=np.int32)
    return rank[group]


def assign(vectors: Floats, model: ClusterModel) -> tuple[NDArray[np.int32], Floats]:
    """Nearest centroid of each vector; a row's result depends on that row alone.

    Args:
        vectors: Shape (rows, width), float32.
        model: The model.

    Returns:
        Cluster, shape (rows,), int32, and L2 distance in PCA space, shape (rows,), float32.

    Raises:
        ValueError: If the vectors are not as wide as the model's.
    """
    if vectors.ndim != 2 or vectors.shape[1] != len(model.mean):
        raise ValueError(f"the model takes vectors of {len(model.mean)}, found shape {vectors.shape}")
    return nearest(project(vectors, model.mean, model.components), model.centroids)


def nearest(points: Floats, centroids: Floats) -> tuple[NDArray[np.int32], Floats]:
    """Nearest centroid by brute force; of equally near ones the lowest number.

    Returns:
        Cluster, shape (points,), int32, and L2 distance, shape (points,), float32.
    """
    clusters = np.empty(len(points), np.int32)
    distances = np.empty(len(points), np.float32)
    half_norms = (centroids.astype(np.float64) ** 2).sum(axis=1).astype(np.float32) / 2
    targets = _on_grid(centroids).T
    for first in range(0, len(points), _CHUNK):
        chunk = points[first : first + _CHUNK]
        products = (_on_grid(chunk) @ targets).astype(np.float32)
        # |p - c|^2 / 2 without the point's own norm, which changes no order.
        found = (half_norms - products).argmin(axis=1)
        clusters[first : first + _CHUNK] = found
        distances[first : first + _CHUNK] = np.sqrt(((chunk - centroids[found]) ** 2).sum(axis=1))
    return clusters, distances


def _on_grid(rows: Floats) -> NDArray[np.float64]:
    """Rows rounded to `_GRID_BITS` bits below their norms, so that products of two of them are exact.

    BLAS adds in an order that depends on a row's place, its neighbours and the processor, and rounds accordingly.
    All entries of a row are multiples of one power of two here. By Cauchy and Schwarz no partial sum of two rows'
    products has more than 52 bits of the product of their units: sums in double precision are exact in any order.
    """
    exact = rows.astype(np.float64)
    _, exponents = np.frexp(np.sqrt((exact**2).sum(axis=1)))
    units = np.ldexp(1.0, exponents - _GRID_BITS)[:, None]
    return np.asarray(np.rint(exact / units) * units)
