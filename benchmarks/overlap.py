"""Stage `overlap` beside DuckDB and beside the paper's Algorithm 1 in plain Python, and its growth with rows.

    python -m benchmarks.overlap --rows 1000000 --scales 100000 1000000

Rows are drawn: captions of ten words, half of the images with eight spotted words, from 50,000 words of which few
are common; ASCII, so that DuckDB's regular expression cuts them as the stage does. All three read the same Parquet
file and cut the text into words: `exact` makes CoTR and image types, `fuzzy` the fuzzy CoTR too. The stage makes both
at once, and verbatim CoTR, areas of words and lists of words besides, which the others do not. Python works on a
sample in one process, as a loop over rows with a two-row Levenshtein, and is scaled to all rows; Spark and DuckDB have
the same number of threads. Sums of the rates are compared.

`rates` is CoTR and fuzzy CoTR alone, of words that are cut already: the stage's two functions in a loop, and what
DuckDB takes longer for `fuzzy` than for the cutting alone.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset
from pyspark.sql import SparkSession

from benchmarks.results import Ratio, record
from benchmarks.timing import Seconds, timed
from spark_jobs.config import load_config
from spark_jobs.session import open_session
from spark_jobs.stages.overlap import measured
from udfs.overlap_rates import cotr, fuzzy_cotr
from udfs.overlap_rows import WordRules
from udfs.tokens import normalised_words

Sums = tuple[float, ...]
_WORD = "substring(md5(CAST({n} AS STRING)), 1, 3 + CAST({n} % 8 AS INT))"
_POLYGON = (
    "array("
    + ", ".join(f"named_struct('x', {x}F, 'y', {y}F)" for x, y in ((0, 0), (9, 0), (9, 9), (0, 9)))
    + ")"
)
_CUT = re.compile(r"[a-z0-9]+")


def drawn_words(count: int, seed: int) -> str:
    """SQL of an array of words; the cube of an even draw makes few words common."""
    numbers = ", ".join(f"floor(50000 * pow(rand({seed + place}), 3))" for place in range(count))
    return f"transform(array({numbers}), n -> {_WORD.format(n='n')})"


def drawn_spotted_words() -> str:
    """SQL of `spotted_text.words`: eight of them in half of the rows."""
    word = f"named_struct('text', w, 'confidence', 0.9F, 'polygon', {_POLYGON}, 'line', 0)"
    return f"transform(IF(rand(0) < 0.5, {drawn_words(8, 100)}, array()), w -> {word})"


def drawn_caption() -> str:
    """SQL of a caption of ten words."""
    return f"array_join({drawn_words(10, 1)}, ' ')"


def generate(spark: SparkSession, folder: str, rows: int) -> None:
    """Write captions and spotted words as the stage joins them."""
    frame = spark.range(rows, numPartitions=max(4, rows // 250_000)).selectExpr(
        "lpad(CAST(id DIV 10000 AS STRING), 5, '0') AS shard_id",
        "md5(CAST(id AS STRING)) AS sample_id",
        f"{drawn_caption()} AS caption",
        f"{drawn_spotted_words()} AS words",
        "100 AS image_width",
        "100 AS image_height",
        "'ok' AS text_status",
        "CAST(NULL AS STRING) AS text_error",
    )
    frame.write.parquet(folder)


def as_stage(spark: SparkSession, folder: str) -> Sums:
    """What the stage computes of a chunk; all of its columns are made."""
    made = measured(spark.read.parquet(folder), rules=WordRules(0.3))
    sums = ("sum(cotr)", "count_if(image_type = 'concurrent')", "sum(fuzzy_cotr)")
    return tuple(map(float, made.selectExpr(*sums).collect()[0]))


def as_duckdb(folder: str, kind: str, *, threads: int) -> Sums:
    """The same by DuckDB's lists: `exact`, `fuzzy`, or `cut`, which sums the numbers of words."""
    similarity = "1 - levenshtein(word, other) / greatest(length(word), length(other))"
    nearest = f"list_max(list_transform(shown, lambda other: {similarity}))"
    best = f"list_sum(list_transform(wanted, lambda word: coalesce({nearest}, 0))) / len(wanted)"
    rate = "len(list_intersect(wanted, shown)) / len(wanted)"
    exact = [f"sum({rate})", f"count(*) FILTER (WHERE {rate} > 0)"]
    sums = {"cut": ["sum(len(wanted) + len(shown))"], "exact": exact, "fuzzy": [*exact, f"sum({best})"]}[kind]
    cut = "list_distinct(regexp_extract_all(lower({}), '[a-z0-9]+'))"
    counted = "list_filter(words, lambda word: word.confidence >= 0.3::FLOAT)"
    text = f"array_to_string(list_transform({counted}, lambda word: word.text), ' ')"
    source = f"read_parquet('{folder}/*.parquet')"
    cuts = f"SELECT {cut.format('caption')} AS wanted, {cut.format(text)} AS shown FROM {source}"
    connection = duckdb.connect(config={"threads": threads})
    row = connection.execute(f"SELECT {', '.join(sums)} FROM ({cuts})").fetchone()
    assert row is not None
    return tuple(map(float, row))


def as_python(rows: Iterable[Mapping[str, Any]], *, fuzzy: bool) -> Sums:
    """Algorithm 1 over normalised words, and the fuzzy rate, row by row."""
    total, concurrent, similar = 0.0, 0, 0.0
    for row in rows:
        wanted = set(_CUT.findall(row["caption"].lower()))
        seen = {piece for word in row["words"] for piece in _CUT.findall(word["text"].lower())}
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


def compare(spark: SparkSession, folder: str, rows: int, *, threads: int) -> dict[str, Seconds]:
    """Seconds of each way over all rows; the better of two turns of Spark and DuckDB."""
    found: dict[str, Seconds] = {}
    sums: dict[str, Sums] = {}
    ways = {
        "stage": lambda: as_stage(spark, folder),
        "duckdb, exact": lambda: as_duckdb(folder, "exact", threads=threads),
        "duckdb, fuzzy": lambda: as_duckdb(folder, "fuzzy", threads=threads),
        "duckdb, cut": lambda: as_duckdb(folder, "cut", threads=threads),
    }
    for _ in range(2):
        for name, way in ways.items():
            sums[name], seconds = timed(way)
            found[name] = min(found.get(name, seconds), seconds, key=lambda each: each.cpu)
    for name, part in (("exact", 2), ("fuzzy", 3)):
        pairs = zip(sums["stage"][:part], sums[f"duckdb, {name}"], strict=True)
        assert all(math.isclose(one, other, rel_tol=1e-9) for one, other in pairs), sums
    for name, part in (("exact", 100_000), ("fuzzy", 2_000)):
        taken = min(rows, part)
        dataset = pyarrow.dataset.dataset(folder, format="parquet")
        sample = dataset.head(taken, columns=["caption", "words"]).to_pylist()
        _, seconds = timed(lambda: as_python(sample, fuzzy=name == "fuzzy"))  # noqa: B023
        found[f"python, {name}"] = Seconds(seconds.wall * rows / taken, seconds.cpu * rows / taken)
    sample = dataset.head(min(rows, 50_000), columns=["caption", "words"]).to_pylist()
    cut = [(cut_words([row["caption"]]), cut_words(word["text"] for word in row["words"])) for row in sample]
    _, seconds = timed(lambda: [rates(*words) for words in cut])
    found["rates"] = Seconds(seconds.wall * rows / len(cut), seconds.cpu * rows / len(cut))
    return found


def cut_words(texts: Iterable[str]) -> list[str]:
    """Distinct words, in order."""
    return list(dict.fromkeys(piece for text in texts for piece in normalised_words(text)))


def rates(wanted: list[str], shown: list[str]) -> tuple[float | None, float | None]:
    """CoTR and fuzzy CoTR as the stage computes them."""
    seen = set(shown)
    return cotr(sum(word in seen for word in wanted), of=len(wanted)), fuzzy_cotr(wanted, shown)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def told(rows: int, found: Mapping[str, Seconds]) -> list[Ratio]:
    """Print what each way took; the ratios."""
    for name, seconds in found.items():
        say(
            f"{rows:,} rows, {name}: wall {seconds.wall:.2f} s, CPU {seconds.cpu:.2f} s, "
            f"{1e6 * seconds.cpu / rows:.2f} us a row"
        )
    stage = found["stage"]
    ratios = []
    for kind in ("exact", "fuzzy"):
        python, other = found[f"python, {kind}"], found[f"duckdb, {kind}"]
        ratios += [
            Ratio(f"Python from text, {kind} / stage, CPU", python.cpu / stage.cpu, "50x"),
            Ratio(f"stage / DuckDB from text, {kind}, CPU", stage.cpu / other.cpu, "1.5 or less"),
            Ratio(f"stage / DuckDB from text, {kind}, wall", stage.wall / other.wall, "1.5 or less"),
        ]
    alone = found["duckdb, fuzzy"].cpu - found["duckdb, cut"].cpu
    return [
        *ratios,
        Ratio("Python, fuzzy / rates, CPU", found["python, fuzzy"].cpu / found["rates"].cpu, "50x"),
        Ratio("rates / DuckDB's alone, CPU", found["rates"].cpu / alone, "1.5 or less"),
    ]


def growth(spark: SparkSession, root: Path, scales: Sequence[int]) -> list[Ratio]:
    """CPU per row at the largest scale over that at the smallest."""
    per_row: dict[int, float] = {}
    for rows in scales:
        folder = str(root / f"rows-{rows}")
        if not Path(folder).exists():
            generate(spark, folder, rows)
        _, seconds = timed(lambda: as_stage(spark, folder))  # noqa: B023
        per_row[rows] = seconds.cpu / rows
        say(f"growth, {rows:,} rows: wall {seconds.wall:.1f} s, {1e6 * per_row[rows]:.2f} us a row")
    low, high = min(scales), max(scales)
    return [Ratio(f"CPU a row, {high:,} / {low:,} rows", per_row[high] / per_row[low], "0.85 to 1.15")]


def main() -> None:
    """Generate, compute each way, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--scales", type=int, nargs="+", default=[100_000, 1_000_000])
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
        found = compare(spark, place, arguments.rows, threads=threads)
        record("overlap", told(arguments.rows, found), run=f"{arguments.rows:,} rows, {threads} threads")
        record("overlap", growth(spark, Path(folder), arguments.scales), run="growth")
        spark.stop()


if __name__ == "__main__":
    main()
