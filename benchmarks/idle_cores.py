"""Share of the cores' time in which they idle, with one chunk of a model stage at a time and with two.

    python -m benchmarks.idle_cores --samples 512 --model ViT-B-32

Stage `embed` on local Spark over eight shards, a shard a chunk, which is what bounds it where images are slow: each
chunk ends with its last slice and a commit. Both ways run in turns, each time over a dataset that nobody has embedded.
Idle is what the processes did not use of the cores' wall time; weights are random.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.batch_function import drawn_from, embed_task
from benchmarks.results import Ratio, record
from benchmarks.stage_run import dataset_to_embed
from benchmarks.timing import Seconds, timed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig


def embedded(spark: SparkSession, config: RunConfig, in_flight: int) -> Seconds:
    """What the stage takes with so many chunks in flight."""
    from spark_jobs.stages import embed

    runner = config.runner.model_copy(update={"chunks_in_flight": in_flight})
    report, seconds = timed(lambda: embed.run(spark, config.model_copy(update={"runner": runner})))
    assert report.failed == 0
    assert report.rows > 0
    return seconds


def measure(arguments: argparse.Namespace) -> dict[int, Seconds]:
    """Seconds by chunks in flight."""
    from spark_jobs.session import open_session
    from spark_jobs.stages import ingest

    found = {1: Seconds(), 2: Seconds()}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        embed_task(arguments.model, None, root / "weights")  # makes the weights, once
        images = drawn_from(arguments.samples)
        a_shard = (f"runner.first_chunk={-(-arguments.samples // arguments.shards)}",)
        names = ["warm", *(f"round-{number}" for number in range(2 * arguments.rounds))]
        configs = [
            dataset_to_embed(root, name, images, arguments=arguments, settings=a_shard) for name in names
        ]
        spark = open_session(configs[0].session)
        for config in configs:
            ingest.run(spark, config)
        embedded(spark, configs[0].model_copy(update={"limit": 1}), 1)
        for number, config in enumerate(configs[1:]):
            in_flight = (1, 2, 2, 1)[number % 4]
            found[in_flight] += embedded(spark, config, in_flight)
        spark.stop()
    return found


def main() -> None:
    """Parse the command line, measure, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2, help="times each way")
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--set", action="append", help="section.key=value of the configuration")
    arguments = parser.parse_args()
    found = measure(arguments)
    for in_flight, spent in found.items():
        idle = 1 - spent.cpu / (arguments.cores * spent.wall)
        sys.stdout.write(
            f"{in_flight} in flight: wall {spent.wall:.1f} s, CPU {spent.cpu:.1f} s, idle {idle:.1%} of the cores\n"
        )
    run = (
        f"embed, {arguments.model}, {arguments.samples:,} samples in {arguments.shards} shards, "
        f"{arguments.cores} cores, {arguments.rounds} times each"
    )
    record("idle_cores", [Ratio("one chunk / two in flight, wall", found[1].wall / found[2].wall)], run=run)


if __name__ == "__main__":
    main()
