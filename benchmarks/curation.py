"""Building a subset beside DuckDB on the same files: same members, ratio of times.

    python -m benchmarks.curation --rows 10000000

Rows are synthetic metadata (ids, captions, sizes, shipped scores) in table `samples` of a fresh warehouse.
`stage` is stage `curate` as `parrot curate` runs it: attrition, exact draw, members and definition committed to
Delta, but not the start of Spark. `duckdb` reads the same Parquet files with the same number of threads: counts
what each condition removes, draws the same samples by the same hash, and writes them to one Parquet file. CPU time
tells more than wall time where others use the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import duckdb
from pyspark.sql import SparkSession

from benchmarks.drawn_tables import DATASET, drawn_key, fill
from benchmarks.results import Ratio, record
from benchmarks.timing import cpu_by_process, cpu_since
from schemas import samples, subset_members, subsets
from spark_jobs.config import load_config
from spark_jobs.session import open_session
from spark_jobs.stages.curate import run
from spark_jobs.warehouse.tables import Tables

ROWS_PER_SHARD = 100_000
CONDITIONS = (
    "samples.similarity > 0.3",
    "samples.aesthetic > 4.5",
    "least(samples.width, samples.height) >= 200",
    "greatest(samples.width, samples.height) <= 3 * least(samples.width, samples.height)",
    "length(samples.caption) > 5",
)


def generate(spark: SparkSession, warehouse: str, rows: int) -> None:
    """Write table `samples` and say that it is finished."""
    columns = {
        **drawn_key(ROWS_PER_SHARD),
        "source_key": "CAST(id AS STRING)",
        "url": "concat('https://images.example.org/', sha1(CAST(id AS STRING)), '.jpg')",
        "caption": "concat('caption ', substring(sha1(CAST(id AS STRING)), 1, CAST(40 * rand(1) AS INT)))",
        "width": "CAST(100 + 1400 * rand(2) AS INT)",
        "height": "CAST(100 + 1400 * rand(3) AS INT)",
        "similarity": "0.3 + 0.05 * randn(4)",
        "aesthetic": "5 + randn(5)",
        "status": "IF(rand(6) < 0.02, 'failed', 'ok')",
    }
    fill(Tables(spark, warehouse), samples.TABLE, columns, rows=rows, stage="ingest")


def as_stage(spark: SparkSession, warehouse: str, size: int) -> tuple[float, float, list[tuple[int, int]]]:
    """Seconds of the stage, wall and CPU, and per condition what it removed in order and alone."""
    subset = {"id": "bench", "predicate": " AND ".join(CONDITIONS), "size": size}
    curate = {"build": ["bench"], "subsets": [subset]}
    config = load_config(
        options={"warehouse": warehouse, "dataset": DATASET},
        overrides=("tracking.enabled=false", f"curate={json.dumps(curate)}"),
    )
    started, before = time.monotonic(), cpu_by_process()
    run(spark, config)
    seconds, used = time.monotonic() - started, cpu_since(before)
    row = Tables(spark, warehouse).read(subsets.TABLE).collect()[0]
    conditions = [step for step in row["attrition"] if step["removed_alone"] is not None]
    return seconds, used, [(step["removed"], step["removed_alone"]) for step in conditions]


def as_duckdb(
    files: str, target: Path, size: int, threads: int
) -> tuple[float, float, list[tuple[int, int]]]:
    """The same by DuckDB."""
    table = f"read_parquet('{files}') AS samples"
    conditions = ("status = 'ok'", *CONDITIONS)
    counts = []
    for place, condition in enumerate(conditions):
        before = " AND ".join(("true", *conditions[:place]))
        counts.append(f"count(*) FILTER (WHERE ({before}) AND ({condition}) IS NOT TRUE)")
        counts.append(f"count(*) FILTER (WHERE ({condition}) IS NOT TRUE)")
    connection = duckdb.connect(config={"threads": threads})
    started, before = time.monotonic(), cpu_by_process()
    row = connection.execute(f"SELECT {', '.join(counts)} FROM {table}").fetchone()
    connection.execute(
        f"COPY (SELECT shard_id, sample_id FROM {table} WHERE {' AND '.join(conditions)} "
        f"ORDER BY md5('0:' || sample_id) LIMIT {size}) TO '{target}' (FORMAT parquet)"
    )
    seconds, used = time.monotonic() - started, cpu_since(before)
    return seconds, used, list(zip(row[::2], row[1::2], strict=True))


def same_members(warehouse: str, target: Path) -> bool:
    """Whether both drew the same samples."""
    ours = f"read_parquet('{warehouse}/{subset_members.TABLE.name}/**/*.parquet')"
    theirs = f"read_parquet('{target}')"
    query = (
        f"SELECT count(*), count(*) FILTER (WHERE a.sample_id IS NULL OR b.sample_id IS NULL) "
        f"FROM {ours} a FULL JOIN {theirs} b ON a.sample_id = b.sample_id"
    )
    count, different = duckdb.connect().execute(query).fetchone()
    return count > 0 and different == 0


def main() -> None:
    """Generate, build both ways, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--memory", default="4g", help="of Spark's JVM")
    rows, memory = (parsed := parser.parse_args()).rows, parsed.memory
    size, threads = rows // 20, len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        warehouse = f"{folder}/warehouse"
        config = load_config(
            options={"warehouse": warehouse},
            overrides=(f"session.driver_memory={memory}", "session.shuffle_partitions=8"),
        )
        spark = open_session(config.session)
        generate(spark, warehouse, rows)
        stage_seconds, stage_cpu, ours = as_stage(spark, warehouse, size)
        files = f"{warehouse}/{samples.TABLE.name}/**/*.parquet"
        target = Path(folder) / "members.parquet"
        duckdb_seconds, duckdb_cpu, theirs = as_duckdb(files, target, size, threads)
        print(f"rows {rows:,}, drawn {size:,}, threads {threads}")
        print(f"same attrition: {ours == theirs}; same members: {same_members(warehouse, target)}")
        pairs = {"wall": (stage_seconds, duckdb_seconds), "CPU": (stage_cpu, duckdb_cpu)}
        for name, (ours, theirs) in pairs.items():
            print(f"{name}: stage {ours:.1f} s, duckdb {theirs:.1f} s")
        ratios = [Ratio(f"stage / DuckDB, {name}", ours / theirs) for name, (ours, theirs) in pairs.items()]
        record("curation", ratios, run=f"{rows:,} rows")
        spark.stop()


if __name__ == "__main__":
    main()
