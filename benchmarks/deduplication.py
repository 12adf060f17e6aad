"""Near-duplicate removal: planted copies of real images found and others removed; and time beside all pairs.

    python -m benchmarks.deduplication --images ../shared/data/laion_like/webdataset --model ViT-B-32 \
        --pretrained random --count 200

Every image is planted a second time: re-encoded, resized, cropped, mirrored. Per kind of copy and per epsilon it
prints how many of the pairs lost a member *to its own copy* (recall), how many members were removed on account of
another image (false removals), and of how many pairs neither member is left. Whether the pair met in one cluster
is counted by itself, as the rule can only compare members of one. Without --images only times are measured.

A model with random weights (the default) tells how the rule behaves, not which epsilon is right for a real one.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.results import Ratio, record
from spark_jobs.clustering.plan import settings_for
from spark_jobs.sections import cache_folder
from udfs.clip_embedding import resolve
from udfs.clustering import assign, fit
from udfs.deduplication import near_duplicates

EPSILONS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
_FIT: dict[str, int | None] = {
    "iterations": 25,
    "redos": 1,
    "seed": 42,
    "sample_size": 10**6,
    "min_points_per_centroid": 1,
    "max_points_per_centroid": 256,
}


def reencoded(image: Image.Image) -> Image.Image:
    """Through JPEG of quality 40."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=40)
    return Image.open(io.BytesIO(content.getvalue())).convert("RGB")


def resized(image: Image.Image) -> Image.Image:
    """To three fifths of its sides."""
    return image.resize((max(8, image.width * 3 // 5), max(8, image.height * 3 // 5)))


def cropped(image: Image.Image) -> Image.Image:
    """By 4 % on each side."""
    x, y = image.width // 25, image.height // 25
    return image.crop((x, y, image.width - x, image.height - y))


def mirrored(image: Image.Image) -> Image.Image:
    """Left and right exchanged."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


COPIES: tuple[Callable[[Image.Image], Image.Image], ...] = (reencoded, resized, cropped, mirrored)


def read_images(folder: Path, count: int) -> list[Image.Image]:
    """Images of a folder of webdataset tars that decode and are all different, spread over the tars."""
    found: dict[bytes, Image.Image] = {}
    tars = sorted(folder.glob("*.tar"))
    for number, path in enumerate(tars):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name.endswith(".jpg") else None
                if file is not None and len(found) < count * (number + 1) // len(tars):
                    content = file.read()
                    found[content] = Image.open(io.BytesIO(content)).convert("RGB")
    return list(found.values())


def embedded(model: Any, images: list[Image.Image]) -> np.ndarray:
    """Image vectors, shape (images, width), float32."""
    vectors: list[list[float]] = []
    for first in range(0, len(images), 32):
        batch = [model.prepare(np.asarray(image)) for image in images[first : first + 32]]
        vectors += [row["image_vector"] for row in model.predict(batch, [{}] * len(batch))]
    return np.array(vectors, np.float32)


def order_in_clusters(vectors: np.ndarray) -> list[np.ndarray]:
    """Members of each cluster as the stages make and order them, farthest from the centroid first."""
    cluster, distance = assign(
        vectors, fit(vectors, settings_for(_FIT, vectors=len(vectors), width=vectors.shape[1]))
    )
    order = np.lexsort((np.arange(len(vectors)), -distance, cluster))
    return np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1)


def judged(vectors: np.ndarray, clusters: list[np.ndarray], epsilon: float) -> tuple[int, int, int]:
    """Pairs found, false removals, pairs of which nothing is left; item n's copy is n + half."""
    half = len(vectors) // 2
    exact = vectors.astype(np.float64)
    removed = np.zeros(len(vectors), bool)
    by_copy = np.zeros(len(vectors), bool)
    for members in clusters:
        removed[members] = near_duplicates(vectors[members], epsilon=epsilon)[0]
        place = {int(member): n for n, member in enumerate(members)}
        for member, n in place.items():
            copy = (member + half) % len(vectors)
            is_earlier = place.get(copy, len(members)) < n
            by_copy[member] = is_earlier and exact[member] @ exact[copy] > 1 - epsilon
    found = removed & by_copy
    return int(found.sum()), int((removed & ~by_copy).sum()), int((removed[:half] & removed[half:]).sum())


def quality(folder: Path, count: int, model: Any) -> None:
    """Print recall and false removals by kind of copy."""
    images = read_images(folder, count)
    originals = embedded(model, images)
    others = np.triu(originals @ originals.T, 1)[np.triu_indices(len(images), 1)]
    print(f"\n{len(images)} images; cosine of two different ones: median {np.median(others):.4f}, ", end="")
    print(f"99.9 % below {np.quantile(others, 0.999):.4f}\n")
    print(
        "| copy | cosine to its image, median | in one cluster | epsilon | recall | false removals | pairs lost |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for change in COPIES:
        copies = embedded(model, [change(image) for image in images])
        vectors = np.concatenate([originals, copies])
        clusters = order_in_clusters(vectors)
        cosine = float(np.median((originals * copies).sum(axis=1)))
        place = {int(member): number for number, members in enumerate(clusters) for member in members}
        together = sum(place[n] == place[n + len(images)] for n in range(len(images))) / len(images)
        for epsilon in EPSILONS:
            found, false, lost = judged(vectors, clusters, epsilon)
            print(
                f"| {change.__name__} | {cosine:.5f} | {together:.0%} | {epsilon} | {found / len(images):.1%} | "
                f"{false / len(vectors):.1%} | {lost / len(images):.1%} |"
            )


def all_pairs(vectors: np.ndarray) -> np.ndarray:
    """SemDeDup's own way: one float32 matrix of all pairs, its upper triangle's largest entry by column."""
    return np.triu(vectors @ vectors.T, 1).max(axis=0)


def speed(members: int, rounds: int = 3) -> None:
    """Print seconds and memory beside all pairs at once, on one cluster of generated vectors."""
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((members, 512), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    best = [float("inf"), float("inf")]
    ways: tuple[Callable[[], object], ...] = (
        lambda: near_duplicates(vectors, epsilon=0.03),
        lambda: all_pairs(vectors),
    )
    for _ in range(rounds):
        for number, way in enumerate(ways):
            started = time.perf_counter()
            way()
            best[number] = min(best[number], time.perf_counter() - started)
    print(
        f"\none cluster of {members:,} members, 512 dimensions: ours (exact) {best[0]:.2f} s, all pairs at once "
        f"(float32) {best[1]:.2f} s; all pairs take {members**2 * 8 / 1e9:.1f} GB, "
        f"ours {(members * 512 * 4 + 100e6) / 1e9:.2f} GB"
    )
    ratios = [Ratio("ours / all pairs at once, wall", best[0] / best[1])]
    record("deduplication", ratios, run=f"one cluster of {members:,}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of webdataset tars; none: times only")
    parser.add_argument("--model", default="parrot-tiny", help="open_clip architecture")
    parser.add_argument("--pretrained", default="random", help="tag, checkpoint file, or random")
    parser.add_argument("--count", type=int, default=200, help="images")
    parser.add_argument("--members", type=int, default=10_000, help="members of the cluster that is timed")
    given = parser.parse_args()
    if given.images is not None:
        factory = resolve(given.model, given.pretrained, cache_dir=cache_folder())
        print(f"model {factory.model_id}")
        quality(given.images, given.count, factory.load())
    speed(given.members)


if __name__ == "__main__":
    main()
