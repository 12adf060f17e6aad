"""SQL of stage `overlap` beside DuckDB and beside the paper's Algorithm 1 in plain Python, and its growth with rows.

    python -m benchmarks.overlap --rows 1000000 --scales 100000 1000000

Rows are drawn: captions of ten words, half of the images with eight spotted words, from 50,000 words of which few
are common. All three read the same Parquet file of word sets: `exact` makes CoTR and image types, `fuzzy` the fuzzy
CoTR too. Python works on a sample in one process, as a loop over rows with a two-row Levenshtein, and is scaled to
all rows; Spark and DuckDB have the same number of threads. Sums of the rates are compared. `words cut` is the whole
stage's computation, which cuts captions and readings into words in Python first, on a part of the rows.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset
from pyspark.sql import DataFrame, SparkSession

from benchmarks.results import Ratio, record
from benchmarks.timing import Seconds, timed
from spark_jobs.config import load_config
from spark_jobs.session import open_session
from spark_jobs.sql.overlap import overlap_steps
from spark_jobs.sql.steps import run_steps
from spark_jobs.stages.overlap import WordRules, token_sets

Sums = tuple[float, ...]
_WORD = "substring(md5(CAST({n} AS STRING)), 1, 3 + CAST({n} % 8 AS INT))"
_SETS = ("caption_words", "spotted_words")


def drawn_words(count: int, seed: int) -> str:
    """SQL of an array of distinct words; the cube of an even draw makes few words common."""
    numbers = ", ".join(f"floor(50000 * pow(rand({seed + place}), 3))" for place in range(count))
    return f"array_distinct(transform(array({numbers}), n -> {_WORD.format(n='n')}))"


def generate(spark: SparkSession, folder: str, rows: int) -> None:
    """Write word sets as `overlap_steps` takes them."""
    frame = spark.range(rows, numPartitions=max(4, rows // 250_000)).selectExpr(
        "lpad(CAST(id DIV 10000 AS STRING), 5, '0') AS shard_id",
        "md5(CAST(id AS STRING)) AS sample_id",
        f"{drawn_words(10, 1)} AS caption_words",
        f"IF(rand(0) < 0.5, {drawn_words(8, 100)}, array()) AS spotted_words",
    )
    frame.write.parquet(folder)


def with_constants(frame: DataFrame) -> DataFrame:
    """The columns that the benchmark does not vary."""
    return frame.selectExpr(
        "*",
        "caption_words AS caption_verbatim",
        "spotted_words AS spotted_verbatim",
        "'ok' AS status",
        "CAST(NULL AS STRING) AS error",
        "CAST(NULL AS STRING) AS cotr_reason",
        "size(spotted_words) > 0 AS text_detected",
        "size(spotted_words) AS spotted_word_count",
        "CAST(NULL AS DOUBLE) AS mean_confidence",
        "CAST(NULL AS ARRAY<STRUCT<index: INT, co_emb: BOOLEAN, area_ratio: DOUBLE>>) AS used_words",
    )


def as_sql(spark: SparkSession, folder: str, *, fuzzy: bool) -> Sums:
    """Our SQL; what is not asked for is not computed."""
    frame = run_steps(spark, overlap_steps(), {"token_sets": with_constants(spark.read.parquet(folder))})
    return summed(frame, fuzzy=fuzzy)


def summed(frame: DataFrame, *, fuzzy: bool) -> Sums:
    """Sums over rows of `caption_overlap`."""
    sums = ["sum(cotr)", "count_if(image_type = 'concurrent')"] + (["sum(fuzzy_cotr)"] if fuzzy else [])
    return tuple(map(float, frame.selectExpr(*sums).collect()[0]))


def as_duckdb(folder: str, *, fuzzy: bool, threads: int) -> Sums:
    """The same by DuckDB's lists."""
    similarity = "1 - levenshtein(word, other) / greatest(length(word), length(other))"
    nearest = f"list_max(list_transform(spotted_words, lambda other: {similarity}))"
    best = (
        f"list_sum(list_transform(caption_words, lambda word: coalesce({nearest}, 0))) / len(caption_words)"
    )
    columns = [
        "len(list_intersect(caption_words, spotted_words)) / len(caption_words) AS cotr",
        *([f"{best} AS fuzzy"] if fuzzy else []),
    ]
    sums = ["sum(cotr)", "count(*) FILTER (WHERE cotr > 0)"] + (["sum(fuzzy)"] if fuzzy else [])
    connection = duckdb.connect(config={"threads": threads})
    source = f"read_parquet('{folder}/*.parquet')"
    row = connection.execute(
        f"SELECT {', '.join(sums)} FROM (SELECT {', '.join(columns)} FROM {source})"
    ).fetchone()
    assert row is not None
    return tuple(map(float, row))


def as_python(rows: Iterable[Mapping[str, Sequence[str]]], *, fuzzy: bool) -> Sums:
    """Algorithm 1, and the fuzzy rate, row by row."""
    total, concurrent, similar = 0.0, 0, 0.0
    for row in rows:
        wanted, seen = set(row["caption_words"]), set(row["spotted_words"])
        rate = len(wanted & seen) / len(wanted)
        total += rate
        concurrent += rate > 0
        if fuzzy and seen:
            similar += sum(
                max(1 - levenshtein(word, other) / max(len(word), len(other)) for other in seen)
                for word in wanted
            ) / len(wanted)
    return (total, concurrent, similar) if fuzzy else (total, concurrent)


def levenshtein(one: str, other: str) -> int:
    """Distance by two rows of the table."""
    before = list(range(len(other) + 1))
    for place, letter in enumerate(one, start=1):
        now = [place]
        for column, counterpart in enumerate(other, start=1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (letter != counterpart)))
        before = now
    return before[-1]


def compare(spark: SparkSession, folder: str, rows: int, *, fuzzy: bool, threads: int) -> dict[str, Seconds]:
    """Seconds of each way over all rows; the better of two turns of Spark and DuckDB."""
    found: dict[str, Seconds] = {}
    sums: dict[str, Sums] = {}
    ways = {
        "sql": lambda: as_sql(spark, folder, fuzzy=fuzzy),
        "duckdb": lambda: as_duckdb(folder, fuzzy=fuzzy, threads=threads),
    }
    for _ in range(2):
        for name, way in ways.items():
            sums[name], seconds = timed(way)
            found[name] = min(found.get(name, seconds), seconds, key=lambda each: each.cpu)
    assert all(math.isclose(one, other, rel_tol=1e-9) for one, other in zip(*sums.values(), strict=True)), (
        sums
    )
    part = min(rows, 2_000 if fuzzy else 100_000)
    sample = pyarrow.dataset.dataset(folder, format="parquet").head(part, columns=list(_SETS)).to_pylist()
    _, seconds = timed(lambda: as_python(sample, fuzzy=fuzzy))
    found["python"] = Seconds(seconds.wall * rows / part, seconds.cpu * rows / part)
    return found


def words_cut(spark: SparkSession, folder: str, rows: int) -> tuple[Seconds, Seconds]:
    """Seconds of the stage's whole computation over text, and of Algorithm 1 with `str.split()`, exact."""
    texts = (
        spark.read.parquet(folder)
        .limit(rows)
        .selectExpr(
            "shard_id",
            "sample_id",
            "array_join(caption_words, ' ') AS caption",
            "'ok' AS text_status",
            "CAST(NULL AS STRING) AS text_error",
            "100 AS image_width",
            "100 AS image_height",
            "transform(spotted_words, w -> named_struct('text', w, 'confidence', 0.9F, 'polygon', "
            "array(named_struct('x', 0F, 'y', 0F), named_struct('x', 9F, 'y', 0F), named_struct('x', 9F, 'y', 9F)))) "
            "AS words",
        )
    )
    place = f"{folder}-texts"
    texts.repartition(4).write.parquet(place)
    inputs = spark.read.parquet(place)

    def stage() -> Sums:
        frames = {"token_sets": token_sets(inputs, WordRules(0.3))}
        return summed(run_steps(spark, overlap_steps(), frames), fuzzy=False)

    lines = [(row["caption"], " ".join(word["text"] for word in row["words"])) for row in inputs.collect()]

    def plain() -> Sums:
        return as_python(
            ({"caption_words": caption.split(), "spotted_words": text.split()} for caption, text in lines),
            fuzzy=False,
        )

    stage()
    ours, seconds = timed(stage)
    theirs, python = timed(plain)
    assert math.isclose(ours[0], theirs[0], rel_tol=1e-9), (ours, theirs)
    return seconds, python


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def told(rows: int, kind: str, found: Mapping[str, Seconds]) -> list[Ratio]:
    """Print what each way took; the ratios."""
    for name, seconds in found.items():
        say(
            f"{rows:,} rows, {kind}, {name}: wall {seconds.wall:.2f} s, CPU {seconds.cpu:.2f} s, "
            f"{1e6 * seconds.cpu / rows:.2f} us a row"
        )
    return [
        Ratio(f"Python / SQL, {kind}, CPU", found["python"].cpu / found["sql"].cpu, "50x"),
        Ratio(f"SQL / DuckDB, {kind}, CPU", found["sql"].cpu / found["duckdb"].cpu, "1.5 or less"),
        Ratio(f"SQL / DuckDB, {kind}, wall", found["sql"].wall / found["duckdb"].wall, "1.5 or less"),
    ]


def growth(spark: SparkSession, root: Path, scales: Sequence[int]) -> list[Ratio]:
    """CPU per row at the largest scale over that at the smallest."""
    per_row: dict[Any, float] = {}
    for rows in scales:
        folder = str(root / f"rows-{rows}")
        if not Path(folder).exists():
            generate(spark, folder, rows)
        for fuzzy in (False, True):
            _, seconds = timed(lambda: as_sql(spark, folder, fuzzy=fuzzy))  # noqa: B023
            per_row[rows, fuzzy] = seconds.cpu / rows
            kind = "fuzzy" if fuzzy else "exact"
            say(
                f"growth, {rows:,} rows, {kind}: wall {seconds.wall:.1f} s, {1e6 * per_row[rows, fuzzy]:.2f} us a row"
            )
    low, high = min(scales), max(scales)
    return [
        Ratio(
            f"CPU a row, {high:,} / {low:,} rows, {'fuzzy' if fuzzy else 'exact'}",
            per_row[high, fuzzy] / per_row[low, fuzzy],
            "0.85 to 1.15",
        )
        for fuzzy in (False, True)
    ]


def main() -> None:
    """Generate, compute each way, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--scales", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument(
        "--words-cut", type=int, default=100_000, help="rows of the stage's whole computation"
    )
    parser.add_argument("--set", action="append", default=[], help="section.key=value of the configuration")
    arguments = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(
            options={"warehouse": folder},
            overrides=("session.driver_memory=4g", f"session.master=local[{threads}]", *arguments.set),
        )
        spark = open_session(config.session)
        place = str(Path(folder) / f"rows-{arguments.rows}")
        generate(spark, place, arguments.rows)
        ratios: list[Ratio] = []
        for fuzzy in (False, True):
            found = compare(spark, place, arguments.rows, fuzzy=fuzzy, threads=threads)
            ratios += told(arguments.rows, "fuzzy" if fuzzy else "exact", found)
        record("overlap", ratios, run=f"{arguments.rows:,} rows, {threads} threads")
        record("overlap", growth(spark, Path(folder), arguments.scales), run="growth")
        if arguments.words_cut:
            stage, python = words_cut(spark, place, arguments.words_cut)
            say(
                f"{arguments.words_cut:,} rows, words cut: stage CPU {stage.cpu:.1f} s, Python {python.cpu:.1f} s"
            )
            ratios = [Ratio("Algorithm 1 / stage with words cut, exact, CPU", python.cpu / stage.cpu)]
            record("overlap", ratios, run=f"{arguments.words_cut:,} rows")
        spark.stop()


if __name__ == "__main__":
    main()
