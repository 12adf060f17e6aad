"""The whole stage `remove_text` against a plain loop over the same samples, in one run.

    python -m benchmarks.text_removal --warehouse WAREHOUSE --dataset laion_like --limit 1 --models parrot-tiny ViT-B-32

The loop reads and decodes an image, fills the whole image with `cv2.inpaint` once per variant, and embeds the
caption and each picture by itself, with torch's own threads. The stage does what it does in a pipeline: plan,
donors, slices, one fused call, commits. It writes into the warehouse given, under a seed of its own; `--limit`
takes that many shards. A small job warms Spark up. Weights are random: they cost what real ones cost. All scores
of both are compared. Threads that wait for each other on a loaded machine spend CPU seconds on it: compare those
with `--threads 1`. Prints a Markdown table; the phases are seconds of the tasks, which overlap.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.inpainting import (
    add_arguments,
    by_whole_calls,
    clipped_variants,
    profiled,
    stage_rows,
    with_pixels,
)
from benchmarks.results import Ratio, record
from benchmarks.timing import timed

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


def rows_made(spark: Any, config: RunConfig, report: StageReport) -> dict[str, dict[str, Any]]:
    """The stage's rows by sample."""
    from schemas import text_removal_scores
    from spark_jobs.warehouse.tables import Tables

    assert report.rows, "the stage had nothing to do: give a fresh copy of the warehouse"
    table = text_removal_scores.TABLE
    rows = Tables(spark, config.warehouse).read(
        table, dataset=config.dataset_name, run_key=report.run_keys[table.name]
    )
    return {row["sample_id"]: row.asDict() for row in rows.collect()}


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


def say(line: str) -> None:
    """Print a line at once: a model takes minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description="The stage remove_text against a plain loop.")
    add_arguments(parser)
    parser.add_argument("--models", nargs="+", default=["parrot-tiny", "ViT-B-32"])
    parser.add_argument("--threads", type=int, help="torch threads of the loop; none: torch's own number")
    arguments = parser.parse_args()
    import torch

    from spark_jobs.clip_models import clips_of
    from spark_jobs.stages.remove_text import run

    warnings.filterwarnings("ignore")
    arguments.limit = arguments.limit or 1
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    say(
        "| model | samples | pictures | loop, s | stage, s | ratio | loop, CPU s | stage, CPU s "
        "| read | decode and fill | infer | largest difference |"
    )
    say("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with profiled(arguments) as (spark, profile):
        spark.range(1000).selectExpr("sum(id)").collect()
        configs = {model: with_model(profile, model) for model in arguments.models}
        rows = stage_rows(spark, next(iter(configs.values())))
        for model, config in configs.items():
            clip = clips_of(config.embed, config.remove_text.models)[0].load()
            plain_loop(rows[:2], clip)
            expected, loop = timed(partial(plain_loop, rows, clip))
            report, stage = timed(partial(run, spark, config))
            found = rows_made(spark, config, report)
            phases = " | ".join(f"{report.phase_seconds[name]:.1f}" for name in ("read", "decode", "infer"))
            pictures = sum(len(scores) for scores in expected.values())
            say(
                f"| {model} | {report.rows} | {pictures} | {loop.wall:.1f} | {stage.wall:.1f} "
                f"| {loop.wall / stage.wall:.2f}x | {loop.cpu:.1f} | {stage.cpu:.1f} | {phases} "
                f"| {difference(expected, found):.1e} |"
            )
            ratios = [
                Ratio("loop / stage, wall", loop.wall / stage.wall),
                Ratio("loop / stage, CPU", loop.cpu / stage.cpu),
            ]
            record("text_removal", ratios, run=f"{model}, {report.rows} samples")


if __name__ == "__main__":
    main()
