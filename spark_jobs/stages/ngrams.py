"""Stage `ngrams`: the most frequent 1-grams and 2-grams of captions, and 1-grams of co-emb text.

What is counted. Caption grams: every occurrence in every caption of `samples`, also where the image is not there
(yet). A caption's words are those of the default reading of CoTR (NFKC, case folded, letters and digits), in
order and with repeats; a 2-gram is two neighbours of one caption, whatever stood between them. Co-emb grams:
samples of `caption_overlap` whose caption and image share the word; such words have no order, so there are
no 2-grams (paper §5.2).
"""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from schemas import caption_overlap, ngram_vocabulary, samples
from spark_jobs.runner.pending import Input, upstream_of
from spark_jobs.runner.run_log import RunLog
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.statistics import content_key
from spark_jobs.sql.ngrams import ngram_steps
from spark_jobs.sql.steps import run_steps
from spark_jobs.warehouse.digest import digest
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from udfs.tokens import normalised_words

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig

_OUTPUT = ngram_vocabulary.TABLE
_COUNTING_VERSION = 1
_GRAMS = "vocabulary string, gram string, occurrences long"
_ROWS_PER_FILE = 100_000


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Count the grams of one dataset anew, if what they are counted in has changed.

    Raises:
        StageError: If the dataset has not been ingested.
    """
    started = time.monotonic()
    tables = Tables(spark, config.warehouse)
    report = StageReport(stage="ngrams", dataset=config.dataset_name)
    upstream = _upstream(tables, report)
    params = {"top": config.ngrams.top, "counting": _COUNTING_VERSION}
    run_key = digest({"stage": "ngrams", "params": params, "reads": upstream})
    report.run_keys[_OUTPUT.name] = run_key
    input_key = content_key(tables, report.dataset, upstream)
    is_current = current_run_keys(tables).get((report.dataset, _OUTPUT.name)) == run_key
    is_done = _present_key(tables, report.dataset, run_key) == input_key
    if not (is_current and is_done):
        tables.create(_OUTPUT)
        with tables.writing(_OUTPUT, dataset=report.dataset, run_key=run_key):
            if not is_done:
                _write(
                    tables,
                    counted(_occurrences(tables, report.dataset, upstream), config.ngrams.top),
                    report,
                    input_key,
                )
        log = RunLog(
            tables,
            _OUTPUT,
            stage=report.stage,
            dataset=report.dataset,
            run_key=run_key,
            params={"params": params, "reads": upstream},
        )
        log.add("finished", seconds=time.monotonic() - started, shards=0, counts={"rows": report.rows})
        report.versions_read = {
            spec.name: tables.version(spec)
            for spec in (samples.TABLE, caption_overlap.TABLE)
            if spec.name in upstream
        }
    report.seconds = time.monotonic() - started
    return report


def _upstream(tables: Tables, report: StageReport) -> dict[str, str]:
    """Run keys by table read: captions always, overlap where it has been measured."""
    current = current_run_keys(tables)
    upstream = upstream_of(current, report.dataset, (Input(samples.TABLE, {}),))
    overlap = current.get((report.dataset, caption_overlap.TABLE.name))
    if overlap is None:
        report.notes.append(f"co_emb_1gram was left out: dataset {report.dataset} has no caption_overlap")
        return upstream
    return {**upstream, caption_overlap.TABLE.name: overlap}


def _occurrences(tables: Tables, dataset: str, upstream: Mapping[str, str]) -> DataFrame:
    """Grams with counts that still have to be added up: `vocabulary`, `gram`, `occurrences`."""
    from pyspark.sql import functions as F

    captions = tables.read(samples.TABLE, dataset=dataset, run_key=upstream[samples.TABLE.name])
    grams = captions.where("caption IS NOT NULL").select("caption").mapInArrow(count_caption_grams, _GRAMS)
    if caption_overlap.TABLE.name not in upstream:
        return grams
    overlap = tables.read(
        caption_overlap.TABLE, dataset=dataset, run_key=upstream[caption_overlap.TABLE.name]
    )
    shared = overlap.where("status = 'ok'").select(
        F.lit("co_emb_1gram").alias("vocabulary"),
        F.explode("co_emb_words").alias("gram"),
        F.lit(1).cast("long").alias("occurrences"),
    )
    return grams.unionByName(shared)


def count_caption_grams(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Count 1-grams and 2-grams per batch of captions: for `mapInArrow`; batches are added up by Spark."""
    import pyarrow as pa

    for batch in batches:
        words: Counter[str] = Counter()
        pairs: Counter[str] = Counter()
        for caption in batch.column("caption").to_pylist():
            sequence = normalised_words(caption)
            words.update(sequence)
            pairs.update(f"{first} {second}" for first, second in itertools.pairwise(sequence))
        names = ["caption_1gram"] * len(words) + ["caption_2gram"] * len(pairs)
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(names, pa.string()),
                pa.array([*words, *pairs], pa.string()),
                pa.array([*words.values(), *pairs.values()], pa.int64()),
            ],
            names=["vocabulary", "gram", "occurrences"],
        )


def counted(occurrences: DataFrame, top: int) -> DataFrame:
    """Add up occurrences and keep the `top` most frequent grams of each vocabulary.

    Args:
        occurrences: `vocabulary`, `gram`, `occurrences`.
        top: Grams kept per vocabulary.

    Returns:
        Rows of `ngram_vocabulary` without dataset and keys, persisted.
    """
    from pyspark.sql import functions as F

    counts = occurrences.groupBy("vocabulary", "gram").agg(F.sum("occurrences").alias("count")).persist()
    try:
        rows = run_steps(occurrences.sparkSession, ngram_steps(top), {"gram_counts": counts}).persist()
        rows.count()
    finally:
        counts.unpersist()
    return rows


def _write(tables: Tables, rows: DataFrame, report: StageReport, input_key: str) -> None:
    from pyspark.sql import functions as F

    try:
        sizes = {row["vocabulary"]: row["count"] for row in rows.groupBy("vocabulary").count().collect()}
        report.rows = sum(sizes.values())
        report.results = {f"{vocabulary}_grams": float(size) for vocabulary, size in sizes.items()}
        # By block, so that stage render_text reads few files for each of its chunks.
        files = max(1, math.ceil(report.rows / _ROWS_PER_FILE))
        frame = rows.repartitionByRange(files, "shard_id").sortWithinPartitions("vocabulary", "rank")
        frame = (
            frame.withColumn("dataset", F.lit(report.dataset))
            .withColumn("run_key", F.lit(report.run_keys[_OUTPUT.name]))
            .withColumn("input_key", F.lit(input_key))
        )
        report.versions_written[_OUTPUT.name] = tables.replace(
            _OUTPUT, frame, dataset=report.dataset, run_key=report.run_keys[_OUTPUT.name]
        )
    finally:
        rows.unpersist()


def _present_key(tables: Tables, dataset: str, run_key: str) -> str | None:
    if not tables.exists(_OUTPUT):
        return None

    def ask() -> list[str]:
        rows = tables.read(_OUTPUT, dataset=dataset, run_key=run_key).select("input_key").limit(1)
        return [row["input_key"] for row in rows.collect()]

    found = tables.answer(_OUTPUT, {"asks": "an input key", "dataset": dataset, "run_key": run_key}, ask)
    return next(iter(found), None)
