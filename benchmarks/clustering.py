"""Our k-means and assignment to clusters beside others on one machine: equal clusters, inertia, ratios of times.

    python -m benchmarks.clustering --vectors 200000 --k 1000 --fit-points 20000 --fit-k 200

Vectors are generated: unit vectors of 512 dimensions around some thousand directions. PCA and centroids are
fitted once, on a part of them. `stage` is what the stage's Python worker does per Arrow batch of 10,000 rows
(list column to matrix, PCA, nearest centroid), without Spark; `faiss` is one PCA product over all vectors and
faiss' exact L2 index, the paper's way. Both take turns and use the same number of threads. `brute force` is every
distance to every centroid in double precision. The fit is done twice, and must give the same model both times.
`matrix product` is the least that an assignment can do: points times centroids, in the single precision of the
vectors and in the double precision in which ours is exact in any order.

k-means alone is fitted by ours, scikit-learn's Lloyd and Spark's MLlib on the same points after the PCA: as many
iterations, one start, a stop by tolerance switched off. Inertia (mean squared distance) says whether they got as far.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.results import Ratio, record
from benchmarks.timing import timed
from udfs.clustering import ClusterModel, FitSettings, assign, fit, fit_kmeans, nearest, project
from udfs.vectors import matrix_of

WIDTH, DIMENSIONS = 512, 256
# Both of Java's tiers: MLlib's loops are worth compiling to the end, which our sessions' small queries are not.
JAVA = '{"spark.driver.extraJavaOptions": "-XX:+UseSerialGC"}'
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


def products(vectors: np.ndarray, model: ClusterModel, *, rounds: int) -> list[Ratio]:
    """Seconds of the bare matrix product over those of our assignment, from points after the PCA on."""
    points = np.ascontiguousarray((vectors - model.mean) @ model.components.T, dtype=np.float32)

    def product(kind: type) -> np.ndarray:
        targets = model.centroids.astype(kind).T
        chunks = range(0, len(points), _BATCH)
        return np.array([(points[first : first + _BATCH].astype(kind) @ targets)[0, 0] for first in chunks])

    ways: dict[str, Callable[[], np.ndarray]] = {
        "ours": lambda: nearest(points, model.centroids)[0],
        "single precision": lambda: product(np.float32),
        "double precision": lambda: product(np.float64),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            best[name] = min(best[name], timed(way)[1].cpu)
    for name, seconds in best.items():
        print(f"assignment after the PCA, {name}: CPU {seconds:.2f} s")
    return [
        Ratio(f"matrix product in {name} / our assignment, CPU", best[name] / best["ours"], "0.8")
        for name in ways
        if name != "ours"
    ]


def fits(points: np.ndarray, settings: FitSettings) -> list[Ratio]:
    """The same fit by ours, scikit-learn and MLlib; prints inertia."""
    ways: dict[str, Callable[[], np.ndarray]] = {"ours": lambda: fit_kmeans(points, settings)}
    if importlib.util.find_spec("sklearn"):
        ways["scikit-learn"] = lambda: by_sklearn(points, settings)
    with tempfile.TemporaryDirectory() as folder:
        ways["MLlib"] = mllib(points, settings, Path(folder))
        taken = {}
        for name, way in ways.items():
            centroids, taken[name] = timed(way)
            _, distances = nearest(points, centroids)
            inertia = float((distances.astype(np.float64) ** 2).mean())
            print(
                f"k-means, {name}: wall {taken[name].wall:.1f} s, CPU {taken[name].cpu:.1f} s, "
                f"inertia {inertia:.4f}, {len(centroids)} centroids"
            )
    ours = taken.pop("ours")
    goals = {"MLlib": "10x"}
    return [
        Ratio(f"{name} / our k-means, {kind}", getattr(one, kind) / getattr(ours, kind), goals.get(name, ""))
        for name, one in taken.items()
        for kind in ("wall", "cpu")
    ]


def by_sklearn(points: np.ndarray, settings: FitSettings) -> np.ndarray:
    """Lloyd's iterations from random points."""
    from sklearn.cluster import KMeans

    kmeans = KMeans(
        settings.k, init="random", n_init=1, max_iter=settings.iterations, tol=0.0, random_state=settings.seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that it has not converged
        centroids: np.ndarray = kmeans.fit(points).cluster_centers_.astype(np.float32)
    return centroids


def mllib(points: np.ndarray, settings: FitSettings, folder: Path) -> Callable[[], np.ndarray]:
    """MLlib's fit over points that are kept in the JVM, as many partitions as cores."""
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.functions import array_to_vector

    from spark_jobs.config import load_config
    from spark_jobs.session import open_session

    config = load_config(
        options={"warehouse": str(folder)}, overrides=("session.driver_memory=4g", f"session.spark={JAVA}")
    )
    spark = open_session(config.session)
    file = str(folder / "points.parquet")
    parquet.write_table(pa.table({"point": list(points)}), file)
    frame = spark.read.parquet(file).repartition(len(os.sched_getaffinity(0)))
    frame = frame.select(array_to_vector("point").alias("features")).persist()
    frame.count()

    def run() -> np.ndarray:
        kmeans = KMeans(
            k=settings.k, initMode="random", maxIter=settings.iterations, tol=0.0, seed=settings.seed
        )
        return np.array(kmeans.fit(frame).clusterCenters(), dtype=np.float32)

    return run


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
    parser.add_argument("--fit-points", type=int, default=20_000, help="points of the fits that are compared")
    parser.add_argument("--fit-k", type=int, default=200)
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
    ratios = [Ratio("stage / faiss, wall", found.stage_seconds / found.faiss_seconds)]
    ratios += products(vectors, model, rounds=arguments.rounds)
    record("clustering", ratios, run=f"assignment, {arguments.vectors:,} vectors, k={arguments.k}")
    points = project(vectors[: arguments.fit_points], model.mean, model.components)
    ratios = fits(points, replace(settings, k=arguments.fit_k))
    record("clustering", ratios, run=f"fit, {len(points):,} points of {DIMENSIONS}, k={arguments.fit_k}")


if __name__ == "__main__":
    main()
