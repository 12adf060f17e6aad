"""Our assignment to clusters beside plain faiss on one machine: share of equal clusters, ratio of times.

    python -m benchmarks.clustering --vectors 200000 --k 1000

Vectors are generated: unit vectors of 512 dimensions around some thousand directions. PCA and centroids are
fitted once, on a part of them. `stage` is what the stage's Python worker does per Arrow batch of 10,000 rows
(list column to matrix, PCA, nearest centroid), without Spark; `faiss` is one PCA product over all vectors and
faiss' exact L2 index, the paper's way. Both take turns and use the same number of threads. `brute force` is every
distance to every centroid in double precision. The fit is done twice, and must give the same model both times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
import pyarrow as pa

from udfs.clustering import ClusterModel, FitSettings, assign, fit
from udfs.vectors import matrix_of

WIDTH, DIMENSIONS = 512, 256
_BATCH = 10_000


@dataclass(frozen=True)
class Comparison:
    """Outcome of one comparison.

    Attributes:
        equal: Share of vectors in the same cluster.
        exact: Share of vectors in the cluster that brute force finds.
        further: Largest distance by which our centroid is further away than faiss' one, L2.
        stage_seconds: Best time of the stage's work.
        faiss_seconds: Best time of plain faiss.
    """

    equal: float
    exact: float
    further: float
    stage_seconds: float
    faiss_seconds: float


def generated(vectors: int, *, seed: int = 0) -> np.ndarray:
    """Unit vectors, shape (vectors, 512), float32."""
    draw = np.random.default_rng(seed)
    directions = draw.standard_normal((2000, WIDTH), dtype=np.float32)
    made = directions[draw.integers(len(directions), size=vectors)]
    made += draw.standard_normal((vectors, WIDTH), dtype=np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def as_stage(batches: Sequence[pa.Array], model: ClusterModel) -> np.ndarray:
    """Clusters as the stage's worker finds them, batch by batch."""
    return np.concatenate([assign(matrix_of(batch), model)[0] for batch in batches])


def as_faiss(vectors: np.ndarray, model: ClusterModel) -> np.ndarray:
    """Clusters as faiss finds them in one go."""
    index = faiss.IndexFlatL2(DIMENSIONS)
    index.add(model.centroids)
    return index.search((vectors - model.mean) @ model.components.T, 1)[1][:, 0]


def as_brute_force(vectors: np.ndarray, model: ClusterModel) -> np.ndarray:
    """Clusters by all distances, in float64."""
    centroids = model.centroids.astype(np.float64)
    norms = (centroids**2).sum(axis=1) / 2
    found = []
    for first in range(0, len(vectors), _BATCH):
        centred = vectors[first : first + _BATCH].astype(np.float64) - model.mean
        found.append((centred @ model.components.T.astype(np.float64) @ centroids.T - norms).argmax(axis=1))
    return np.concatenate(found)


def compare(vectors: np.ndarray, model: ClusterModel, *, rounds: int) -> Comparison:
    """Assign all vectors in both ways, in turn."""
    offsets = pa.array(np.arange(0, (_BATCH + 1) * WIDTH, WIDTH, dtype=np.int32))
    batches = []
    for first in range(0, len(vectors), _BATCH):
        chunk = vectors[first : first + _BATCH]
        batches.append(pa.ListArray.from_arrays(offsets[: len(chunk) + 1], pa.array(chunk.ravel())))
    ours, ours_seconds = _timed(lambda: as_stage(batches, model), rounds)
    theirs, theirs_seconds = _timed(lambda: as_faiss(vectors, model), rounds)
    differing = np.flatnonzero(ours != theirs)
    points = (vectors[differing].astype(np.float64) - model.mean) @ model.components.T.astype(np.float64)
    distances = [
        np.linalg.norm(points - model.centroids[found[differing]], axis=1) for found in (ours, theirs)
    ]
    further = float((distances[0] - distances[1]).max(initial=0.0))
    return Comparison(
        equal=1 - len(differing) / len(vectors),
        exact=float((ours == as_brute_force(vectors, model)).mean()),
        further=further,
        stage_seconds=ours_seconds,
        faiss_seconds=theirs_seconds,
    )


def _timed(work: Callable[[], np.ndarray], rounds: int) -> tuple[np.ndarray, float]:
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - started)
    return result, best


def main() -> None:
    """Generate, fit, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--vectors", type=int, default=200_000)
    parser.add_argument("--k", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    vectors = generated(arguments.vectors)
    settings = FitSettings(
        k=arguments.k,
        dimensions=DIMENSIONS,
        groups=min(100, arguments.k),
        iterations=5,
        redos=1,
        seed=42,
        min_points_per_centroid=1,
        max_points_per_centroid=256,
    )
    started = time.perf_counter()
    model = fit(vectors[: 40 * arguments.k], settings)
    print(f"fit: {time.perf_counter() - started:.1f} s (k={arguments.k}, {settings.groups} groups)")
    again = fit(vectors[: 40 * arguments.k], settings)
    print(f"fitted twice with one seed: {'the same' if again.version == model.version else 'ANOTHER'} model")
    found = compare(vectors, model, rounds=arguments.rounds)
    print(
        f"equal clusters: {found.equal:.4%} of {len(vectors):,}; where not, at most {found.further:.1e} further"
    )
    print(f"equal to brute force in float64: {found.exact:.4%}")
    print(f"stage: {found.stage_seconds:.2f} s, faiss: {found.faiss_seconds:.2f} s")
    print(f"stage / faiss: {found.stage_seconds / found.faiss_seconds:.2f}")


if __name__ == "__main__":
    main()
