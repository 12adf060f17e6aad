"""Purity of memes, box art, groceries and photos over the clusters, beside a random assignment of equal sizes.

Embeds `../shared/data/laion_like/webdataset` (its truth.jsonl tells what kind each image is), clusters it, and prints
the purity: the share of images that are of the most frequent kind of their cluster. The random purity is the mean
over a hundred shuffles of the same cluster sizes. By kind, the lift is how much likelier an image's cluster-mates
are of its kind than under the shuffles.

    python -m benchmarks.cluster_purity --warehouse build/purity --set embed.model=ViT-B-32 --set cluster.k=16
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame

from schemas import clip_embeddings, cluster_assignments, samples
from schemas._table import TableSpec
from spark_jobs.clip_models import model_notes
from spark_jobs.commands.run import check, run_stages
from spark_jobs.config import RunConfig, load_config
from spark_jobs.pipeline import select
from spark_jobs.session import open_session
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "laion_like"
DATASET = "laion_like"
KINDS = {
    "parrot": "memes",
    "swapped": "memes",
    "title": "box art",
    "product": "groceries",
    "photo": "photos",
    "scene": "photos",
}
_SHUFFLES = 100


def main() -> None:
    """Run the stages that are pending, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--warehouse", default="build/purity")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    options = {"source": str(DATA / "webdataset"), "dataset": DATASET, "warehouse": arguments.warehouse}
    config = load_config(options=options, overrides=tuple(arguments.overrides))
    stages = select(["ingest", "embed", "cluster"])
    check(config, stages)
    spark = open_session(config.session)
    run_stages(spark, config, stages)
    model, assigned = read_assignments(Tables(spark, config.warehouse), config)
    kinds = read_kinds()
    labels = np.array([kinds[sample] for sample in assigned])
    print(f"{model}: " + ("; ".join(model_notes(model)) or "pretrained weights"))
    for level, column in (("clusters", 0), ("groups", 1)):
        print_purity(level, labels, np.array([found[column] for found in assigned.values()]))


def read_kinds() -> dict[str, str]:
    """What each image shows, by the source's sample id."""
    lines = (DATA / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return {str(record["sample_id"]): KINDS[record["kind"]] for record in records if record["kind"] in KINDS}


def read_assignments(tables: Tables, config: RunConfig) -> tuple[str, dict[str, tuple[int, int]]]:
    """The CLIP model, and cluster and group of each clustered sample by the source's sample id."""
    current = current_run_keys(tables)

    def read(spec: TableSpec) -> DataFrame:
        return tables.read(spec, dataset=config.dataset_name, run_key=current[DATASET, spec.name])

    described = read(samples.TABLE).select("shard_id", "sample_id", "source_id")
    assigned = read(cluster_assignments.TABLE).where("status = 'ok'")
    rows = assigned.join(described, ["shard_id", "sample_id"]).orderBy("source_id").collect()
    model = read(clip_embeddings.TABLE).select("model").first()["model"]
    return model, {row["source_id"]: (row["cluster"], row["cluster_group"]) for row in rows}


def purity(labels: np.ndarray, clusters: np.ndarray) -> float:
    """Share of images of the most frequent kind of their cluster."""
    found = [
        np.unique(labels[clusters == cluster], return_counts=True)[1].max() for cluster in np.unique(clusters)
    ]
    return float(sum(found) / len(labels))


def mates(labels: np.ndarray, clusters: np.ndarray, kind: str) -> float:
    """Mean share of `kind` among the images in the cluster of an image of that kind, without itself."""
    shares = [
        ((labels[clusters == cluster] == kind).sum() - 1) / max(1, (clusters == cluster).sum() - 1)
        for cluster in clusters[labels == kind]
    ]
    return float(np.mean(shares))


def print_purity(level: str, labels: np.ndarray, clusters: np.ndarray) -> None:
    """Print the purity of one level, overall and by kind, beside the random one."""
    draw = np.random.default_rng(0)
    shuffles = [draw.permutation(clusters) for _ in range(_SHUFFLES)]
    random = np.array([purity(labels, shuffled) for shuffled in shuffles])
    print(
        f"{len(np.unique(clusters))} {level} of {len(labels)} images: purity {purity(labels, clusters):.3f}, "
        f"random {random.mean():.3f} (at most {random.max():.3f} in {_SHUFFLES} shuffles)"
    )
    for kind in sorted(set(labels)):
        found = mates(labels, clusters, kind)
        by_chance = float(np.mean([mates(labels, shuffled, kind) for shuffled in shuffles[:10]]))
        print(
            f"{kind:>12}  n {(labels == kind).sum():4}  share of own kind in the cluster {found:.3f}, "
            f"random {by_chance:.3f}, lift {found / by_chance:.2f}"
        )


if __name__ == "__main__":
    main()
