"""A model stage on local Spark beside the same batch function in a loop, in as many processes.

    python -m benchmarks.model_stage --samples 2000 --model ViT-B-32

The stage is `embed` as `parrot run embed` runs it once Spark and the model stand: plan, slices, `mapInArrow`, commit,
log. The loop's processes run the function that `mapInArrow` gets over the same images, slice by slice, with the
model loaded, and drop the rows. Half of the loop runs before the stage, half after it. Weights are random.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.batch_function import drawn_from, embed_task, rows_of, run_all
from benchmarks.results import Ratio, record
from benchmarks.stage_run import dataset_to_embed, session_of, start_all
from benchmarks.timing import Seconds, timed

if TYPE_CHECKING:
    pass

_task: Any = None


def start(model: str, cache: Path) -> None:
    """A process of the loop, with one torch thread, as Spark's workers have."""
    global _task
    import torch

    from udfs.adapter import load_once

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    _task = embed_task(model, None, cache)
    load_once(_task.factory)


def run_slice(batches: Sequence[Any]) -> int:
    """Rows of a slice."""
    return len(run_all(_task, batches))


def measure(arguments: argparse.Namespace) -> tuple[Seconds, Seconds, dict[str, float]]:
    """Seconds of the loop and of the stage, and the stage's seconds by phase."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        images = drawn_from(arguments.samples)
        batches = rows_of(images, root / "files", batch=arguments.batch)
        embed_task(arguments.model, None, root / "weights")  # makes the weights, once
        with ProcessPoolExecutor(
            arguments.cores, initializer=start, initargs=(arguments.model, root / "weights")
        ) as pool:
            start_all(pool, arguments.cores)
            from spark_jobs.stages import embed, ingest

            warm = dataset_to_embed(
                root, "warm", images[: arguments.batch * arguments.cores], arguments=arguments
            )
            config = dataset_to_embed(root, "all", images, arguments=arguments)
            slices = [batches[first : first + 4] for first in range(0, len(batches), 4)]
            half = len(slices) // 2
            with session_of(config) as spark:
                for each in (warm, config):
                    ingest.run(spark, each)
                loop = timed(lambda: sum(pool.map(run_slice, slices[:half])))[1]
                embed.run(spark, warm)  # right before: Spark ends workers that idle for a minute
                report, stage = timed(lambda: embed.run(spark, config))
                loop += timed(lambda: sum(pool.map(run_slice, slices[half:])))[1]
            assert (report.rows, report.failed) == (len(images), 0), report
    return loop, stage, report.phase_seconds


def main() -> None:
    """Parse the command line, measure, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--set", action="append", help="section.key=value of the configuration")
    arguments = parser.parse_args()
    loop, stage, phases = measure(arguments)
    spent = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in phases.items())
    sys.stdout.write(f"loop: wall {loop.wall:.1f} s, CPU {loop.cpu:.1f} s\n")
    sys.stdout.write(f"stage: wall {stage.wall:.1f} s, CPU {stage.cpu:.1f} s; workers, s by phase: {spent}\n")
    ratios = [
        Ratio("loop / stage, wall", loop.wall / stage.wall, "0.95"),
        Ratio("loop / stage, CPU", loop.cpu / stage.cpu, "0.95"),
    ]
    run = f"embed, {arguments.model}, {arguments.samples:,} samples, {arguments.cores} cores"
    record("model_stage", ratios, run=run)


if __name__ == "__main__":
    main()
