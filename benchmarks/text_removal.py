"""The whole stage `remove_text` against a plain loop over the same samples, in one run.

    python -m benchmarks.text_removal --warehouse WAREHOUSE --dataset laion_like --limit 1 --models parrot-tiny ViT-B-32

The loop reads and decodes an image, fills the whole image with `cv2.inpaint` once per variant, and embeds the
caption and each picture by itself, with torch's own threads. The stage does what it does in a pipeline: plan,
donors, slices, one fused call, commits. It writes into the warehouse given, under a seed of its own; `--limit`
takes that many shards. A small job warms Spark up. Weights are random: they cost what real ones
cost. All scores of both are compared. Prints a Markdown table; the phases are seconds of the tasks, which overlap.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.inpainting import (
    add_arguments,
    by_whole_calls,
    clipped_variants,
    profiled,
    stage_rows,
    with_pixels,
)

if TYPE_CHECKING:
    from spark_jobs.config import RunConfig
    from spark_jobs.runner.stage_report import StageReport

_SEED = 20_231_222


def plain_loop(rows: Sequence[dict[str, Any]], clip: Any) -> dict[str, dict[str, float]]:
    """Scores by sample and variant."""
    from udfs.clip_model import cleaned_caption

    scores: dict[str, dict[str, float]] = {}
    for row, pixels in with_pixels(rows):
        caption = cleaned_caption(row["caption"])
        if caption is None:
            continue
        pictures = {"raw": pixels, **by_whole_calls(pixels, clipped_variants(row, pixels), 3)}
        (text,) = clip.embed_texts([caption])
        scores[row["sample_id"]] = {
            name: float(clip.embed_images([clip.prepare(picture)])[0] @ text)
            for name, picture in pictures.items()
        }
    return scores


def staged(spark: Any, config: RunConfig) -> tuple[float, StageReport, dict[str, dict[str, Any]]]:
    """Seconds, report and rows of the stage."""
    from schemas import text_removal_scores
    from spark_jobs.stages.remove_text import run
    from spark_jobs.tables import Tables

    started = time.perf_counter()
    report = run(spark, config)
    seconds = time.perf_counter() - started
    assert report.rows, "the stage had nothing to do: give a fresh copy of the warehouse"
    table = text_removal_scores.TABLE
    rows = Tables(spark, config.warehouse).read(
        table, dataset=config.dataset_name, run_key=report.run_keys[table.name]
    )
    return seconds, report, {row["sample_id"]: row.asDict() for row in rows.collect()}


def with_model(config: RunConfig, model: str) -> RunConfig:
    """The configuration that scores one model, under this benchmark's seed."""
    section = config.remove_text.model_copy(update={"models": (model,), "seed": _SEED})
    return config.model_copy(update={"remove_text": section})


def difference(expected: Mapping[str, Mapping[str, float]], rows: Mapping[str, Mapping[str, Any]]) -> float:
    """Largest difference of scores.

    Raises:
        AssertionError: If one of the two has a score that the other lacks.
    """
    from schemas.text_removal_scores import VARIANTS

    worst = 0.0
    for sample_id, row in rows.items():
        found = {name: row[f"score_{name}"] for name in ("raw", *VARIANTS)}
        found = {name: score for name, score in found.items() if score is not None}
        assert found.keys() == expected.get(sample_id, {}).keys(), sample_id
        worst = max([worst, *(abs(score - expected[sample_id][name]) for name, score in found.items())])
    return worst


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description="The stage remove_text against a plain loop.")
    add_arguments(parser)
    parser.add_argument("--models", nargs="+", default=["parrot-tiny", "ViT-B-32"])
    arguments = parser.parse_args()
    from spark_jobs.stages.embed import clips_of

    warnings.filterwarnings("ignore")
    arguments.limit = arguments.limit or 1
    out = [
        "| model | samples | pictures | loop, s | stage, s | ratio | read | decode and fill | infer "
        "| largest difference |"
    ]
    out.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with profiled(arguments) as (spark, profile):
        spark.range(1000).selectExpr("sum(id)").collect()
        configs = {model: with_model(profile, model) for model in arguments.models}
        rows = stage_rows(spark, next(iter(configs.values())))
        for model, config in configs.items():
            clip = clips_of(config.embed, config.remove_text.models)[0].load()
            plain_loop(rows[:2], clip)
            started = time.perf_counter()
            expected = plain_loop(rows, clip)
            loop_seconds = time.perf_counter() - started
            seconds, report, found = staged(spark, config)
            phases = " | ".join(f"{report.phase_seconds[name]:.1f}" for name in ("read", "decode", "infer"))
            pictures = sum(len(scores) for scores in expected.values())
            out.append(
                f"| {model} | {report.rows} | {pictures} | {loop_seconds:.1f} | {seconds:.1f} "
                f"| {loop_seconds / seconds:.2f}x | {phases} | {difference(expected, found):.1e} |"
            )
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
