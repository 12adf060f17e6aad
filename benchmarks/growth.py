"""Stages `overlap` and `statistics` as `parrot run` runs them, over more and more rows: CPU a row.

    python -m benchmarks.growth --scales 100000 1000000 10000000

Tables `samples` and `spotted_text` are drawn as those of `benchmarks.overlap`, 10,000 rows a shard. Both stages plan,
compute and commit to Delta; statistics are those that need no model: Table 1, chance, histograms, caption words, word
areas. Each scale has a warehouse of its own; the start of Spark is in none.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import SparkSession

from benchmarks.drawn_tables import DATASET, drawn_key, fill
from benchmarks.overlap import drawn_caption, drawn_spotted_words
from benchmarks.results import Ratio, record
from benchmarks.timing import Seconds, timed
from schemas import samples, spotted_text, stat_overall
from spark_jobs.config import RunConfig, load_config
from spark_jobs.session import open_session
from spark_jobs.stages import overlap, statistics
from spark_jobs.warehouse.tables import Tables

ROWS_PER_SHARD = 10_000
STAGES = {"overlap": overlap.run, "statistics": statistics.run}


def generate(tables: Tables, rows: int) -> None:
    """Write what the stages read."""
    key = {**drawn_key(ROWS_PER_SHARD), "status": "'ok'"}
    captions = {"source_key": "CAST(id AS STRING)", "caption": drawn_caption()}
    words = {
        "spotter": "'drawn'",
        "words": drawn_spotted_words(),
        "image_width": "100",
        "image_height": "100",
    }
    fill(tables, samples.TABLE, {**key, **captions}, rows=rows, stage="ingest")
    fill(tables, spotted_text.TABLE, {**key, **words}, rows=rows, stage="spot_text")


def run_stages(spark: SparkSession, config: RunConfig, rows: int) -> dict[str, Seconds]:
    """What each stage takes over so many rows.

    Raises:
        AssertionError: If not every row was measured.
    """
    tables = Tables(spark, config.warehouse)
    generate(tables, rows)
    found = {}
    for name, run in STAGES.items():
        _, found[name] = timed(lambda: run(spark, config))  # noqa: B023
        sys.stdout.write(
            f"{rows:,} rows, {name}: wall {found[name].wall:.1f} s, CPU {found[name].cpu:.1f} s, "
            f"{1e6 * found[name].cpu / rows:.2f} us a row\n"
        )
        sys.stdout.flush()
    (overall,) = tables.read(stat_overall.TABLE).collect()
    assert overall["samples"] == overall["images"] == rows, overall
    return found


def ratios_of(found: Mapping[int, Mapping[str, Seconds]]) -> list[Ratio]:
    """CPU a row at each scale over that at the one before, by stage and of both."""
    scales = sorted(found)
    used = {
        rows: {
            **{name: each.cpu for name, each in by_stage.items()},
            "both": sum(each.cpu for each in by_stage.values()),
        }
        for rows, by_stage in found.items()
    }
    return [
        Ratio(
            f"{name}, CPU a row, {high:,} / {low:,} rows",
            used[high][name] / high / (used[low][name] / low),
            "0.85 to 1.15",
        )
        for low, high in itertools.pairwise(scales)
        for name in (*STAGES, "both")
    ]


def main() -> None:
    """Draw, run, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scales", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--set", action="append", default=[], help="section.key=value of the configuration")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    settings = ("tracking.enabled=false", "session.driver_memory=4g", f"session.master=local[{cores},2]")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for rows in sorted(arguments.scales):
            place = Path(folder) / f"rows-{rows}"
            config = load_config(
                options={"warehouse": str(place), "dataset": DATASET}, overrides=(*settings, *arguments.set)
            )
            spark = open_session(config.session)  # the same one for every scale
            found[rows] = run_stages(spark, config, rows)
            shutil.rmtree(place)
        spark.stop()
    record("growth", ratios_of(found), run=f"{cores} threads")


if __name__ == "__main__":
    main()
