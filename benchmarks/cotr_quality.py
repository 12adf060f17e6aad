"""How well CoTR from OCR tells parrot captions from others, on real images with human transcriptions.

Profiles `../shared/data/laion_like/webdataset` (about ten minutes on two cores the first time, nothing is done
twice), then prints the AUC of CoTR between kinds, and its mean error against CoTR from the transcription.

    python -m benchmarks.cotr_quality --warehouse build/laion_like
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sklearn.metrics import roc_auc_score

from schemas import caption_overlap, samples
from spark_jobs.commands.run import check, run_stages
from spark_jobs.config import load_config
from spark_jobs.pipeline import select
from spark_jobs.session import open_session
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from udfs.tokens import normalised_words

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "laion_like"
DATASET = "laion_like"


def main() -> None:
    """Run the stages that are pending, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--warehouse", default="build/laion_like")
    options = {"source": str(DATA / "webdataset"), "dataset": DATASET}
    config = load_config(options={**options, "warehouse": parser.parse_args().warehouse})
    stages = select(["ingest", "spot_text", "overlap"])
    check(config, stages)
    spark = open_session(config.session)
    run_stages(spark, config, stages)
    truth = {str(record["sample_id"]): record for record in read_truth()}
    rates = measured_rates(Tables(spark, config.warehouse))
    print_table(truth, rates)


def read_truth() -> list[dict]:
    """Kind, caption and transcription of each sample."""
    lines = (DATA / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def measured_rates(tables: Tables) -> dict[str, float]:
    """CoTR by the source's sample id, where there is one."""
    current = current_run_keys(tables)
    described = tables.read(samples.TABLE, dataset=DATASET, run_key=current[DATASET, "samples"])
    overlap = tables.read(caption_overlap.TABLE, dataset=DATASET, run_key=current[DATASET, "caption_overlap"])
    joined = described.select("sample_id", "source_id").join(overlap.select("sample_id", "cotr"), "sample_id")
    return {row["source_id"]: row["cotr"] for row in joined.collect() if row["cotr"] is not None}


def human_rate(record: dict) -> float | None:
    """CoTR of the caption against the human transcription, sets of normalised words."""
    caption = set(normalised_words(record["caption"]))
    seen = {word for text in record["transcription"] or () for word in normalised_words(text)}
    return len(caption & seen) / len(caption) if caption else None


def print_table(truth: dict[str, dict], rates: dict[str, float]) -> None:
    """Print AUC between kinds and the error against the transcription."""
    by_kind: dict[str, list[float]] = {}
    for sample, rate in rates.items():
        by_kind.setdefault(truth[sample]["kind"], []).append(rate)
    for kind, found in sorted(by_kind.items()):
        print(f"{kind:>10}  n {len(found):4}  mean CoTR {sum(found) / len(found):.3f}")
    parrots = by_kind["parrot"]
    for name, others in (
        ("swapped", by_kind["swapped"]),
        ("photo", by_kind["photo"]),
        ("swapped and photo", by_kind["swapped"] + by_kind["photo"]),
    ):
        labels = [1] * len(parrots) + [0] * len(others)
        print(f"AUC parrot against {name}: {roc_auc_score(labels, parrots + others):.4f}")
    pairs = [
        (rate, human)
        for sample, rate in rates.items()
        if truth[sample]["transcription"] and (human := human_rate(truth[sample])) is not None
    ]
    error = sum(abs(rate - human) for rate, human in pairs) / len(pairs)
    bias = sum(rate - human for rate, human in pairs) / len(pairs)
    print(f"CoTR from OCR against CoTR from the transcription, {len(pairs)} memes:")
    print(f"  mean absolute error {error:.4f}, mean error {bias:+.4f}")


if __name__ == "__main__":
    main()
