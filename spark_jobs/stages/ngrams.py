"""Stage `ngrams`: the most frequent 1-grams and 2-grams of captions, and 1-grams of co-emb text.

What is counted. Caption grams: every occurrence in every caption of `samples`, also where the image is not there
(yet). A caption's words are those of the default reading of CoTR (NFKC, case folded, letters and digits), in
order and with repeats; a 2-gram is two neighbours of one caption, whatever stood between them. Co-emb grams:
samples of `caption_overlap` whose caption and image share the word; such words have no order, so there are
no 2-grams (paper §5.2).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from schemas import caption_overlap, ngram_vocabulary, samples
from spark_jobs.runner.pending import Input, upstream_of
from spark_jobs.runner.stage import StageContract, check_dataset, need, plan_whole
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.whole_tables import Making, TableWork, run_whole
from spark_jobs.sql.ngrams import ngram_steps
from spark_jobs.sql.steps import run_steps
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from udfs.bpe_tokens import add_bpe_tokens
from udfs.gram_rows import GRAMS, count_caption_grams

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig

_OUTPUT = ngram_vocabulary.TABLE
_CAPTIONS = Input(samples.TABLE, {})
_COUNTING_VERSION = 2
_ROWS_PER_FILE = 100_000


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Count the grams of one dataset anew, if what they are counted in has changed.

    Raises:
        StageError: If the dataset has not been ingested.
    """
    started = time.monotonic()
    tables = Tables(spark, config.warehouse)
    report = StageReport(stage="ngrams", dataset=config.dataset_name)
    run_whole(tables, config.runner, (_work(_upstream(tables, report), config.ngrams.top),), report=report)
    report.seconds = time.monotonic() - started
    return report


def _work(upstream: Mapping[str, str], top: int) -> TableWork:
    def compute(making: Making) -> None:
        rows = counted(_occurrences(making), top)
        try:
            sizes = {row["vocabulary"]: row["count"] for row in rows.groupBy("vocabulary").count().collect()}
            making.report.results = {f"{vocabulary}_grams": float(size) for vocabulary, size in sizes.items()}
            making.write(_OUTPUT, rows, lay_out=_by_block)
        finally:
            rows.unpersist()

    return TableWork(
        stage="ngrams",
        outputs=(_OUTPUT,),
        reads=upstream,
        params={"top": top, "counting": _COUNTING_VERSION},
        compute=compute,
    )


def _by_block(frame: DataFrame, rows: int) -> DataFrame:
    """So that stage render_text reads few files for each of its chunks."""
    files = max(1, math.ceil(rows / _ROWS_PER_FILE))
    return frame.repartitionByRange(files, "shard_id").sortWithinPartitions("vocabulary", "rank")


def _upstream(tables: Tables, report: StageReport) -> dict[str, str]:
    """Run keys by table read: captions always, overlap where it has been measured."""
    current = current_run_keys(tables)
    upstream = upstream_of(current, report.dataset, (_CAPTIONS,))
    overlap = current.get((report.dataset, caption_overlap.TABLE.name))
    if overlap is None:
        report.notes.append(f"co_emb_1gram was left out: dataset {report.dataset} has no caption_overlap")
        return upstream
    return {**upstream, caption_overlap.TABLE.name: overlap}


def _occurrences(making: Making) -> DataFrame:
    """Grams with counts that still have to be added up: `vocabulary`, `gram`, `occurrences`."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_schema

    captions = making.read(samples.TABLE)
    captions = captions.where("caption IS NOT NULL").select("caption")
    grams = captions.mapInArrow(count_caption_grams, from_arrow_schema(GRAMS))
    if caption_overlap.TABLE.name not in making.work.reads:
        return grams
    overlap = making.read(caption_overlap.TABLE)
    shared = overlap.where("status = 'ok'").select(
        F.lit("co_emb_1gram").alias("vocabulary"),
        F.explode("co_emb_words").alias("gram"),
        F.lit(1).cast("long").alias("occurrences"),
    )
    return grams.unionByName(shared)


def counted(occurrences: DataFrame, top: int) -> DataFrame:
    """Add up occurrences and keep the `top` most frequent grams of each vocabulary.

    Args:
        occurrences: `vocabulary`, `gram`, `occurrences`.
        top: Grams kept per vocabulary.

    Returns:
        Rows of `ngram_vocabulary` without dataset and keys, persisted.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import IntegerType, StructField, StructType

    counts = occurrences.groupBy("vocabulary", "gram").agg(F.sum("occurrences").alias("count")).persist()
    try:
        ranked = run_steps(occurrences.sparkSession, ngram_steps(top), {"gram_counts": counts})
        schema = StructType([*ranked.schema.fields, StructField("bpe_tokens", IntegerType())])
        rows = ranked.mapInArrow(add_bpe_tokens, schema).persist()
        rows.count()
    finally:
        counts.unpersist()
    return rows


STAGE = StageContract(run, check_dataset, need(_CAPTIONS), plan_whole)
