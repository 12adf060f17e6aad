"""Stage `overlap`: caption words against spotted words. One tokeniser in Python, the rest is SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from schemas import caption_overlap, samples, spotted_text
from spark_jobs.runner.pending import Input, ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.sql.overlap import overlap_steps
from spark_jobs.sql.steps import run_steps
from udfs.tokens import normalised_words, verbatim_words

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig

INPUTS = (
    Input(samples.TABLE, {"caption": "caption"}),
    Input(spotted_text.TABLE, {"words": "words", "text_status": "status", "text_error": "error"}),
)
_TOKENISER_VERSION = 1
_TOKENS = (
    "shard_id string, sample_id string, status string, error string, spotted_word_count int, "
    "caption_words array<string>, spotted_words array<string>, "
    "caption_verbatim array<string>, spotted_verbatim array<string>"
)


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Measure the overlap of every sample's caption and spotted text."""
    return run_shards(spark, config, work(config))


def work(config: RunConfig) -> ShardWork:
    """Declare the stage."""
    min_confidence = config.overlap.min_confidence

    def compute(inputs: DataFrame) -> DataFrame:
        frames = {"token_sets": token_sets(inputs, min_confidence)}
        return run_steps(inputs.sparkSession, overlap_steps(), frames)

    return ShardWork(
        stage="overlap",
        output=caption_overlap.TABLE,
        inputs=INPUTS,
        params={"min_confidence": min_confidence, "tokeniser": _TOKENISER_VERSION},
        compute=compute,
    )


def token_sets(inputs: DataFrame, min_confidence: float) -> DataFrame:
    """Tokenise captions and spotted words.

    Args:
        inputs: `shard_id`, `sample_id`, `caption`, `words`, `text_status`, `text_error`.
        min_confidence: Spotted words below it are ignored.

    Returns:
        One row per sample: distinct words of either reading, in order; null where text was not spotted.
    """
    from pyspark.sql import functions as F

    kept = F.filter("words", lambda word: word["confidence"] >= F.lit(min_confidence).cast("float"))
    texts = F.transform(kept, lambda word: word["text"]).alias("texts")
    columns = inputs.select("shard_id", "sample_id", "text_status", "text_error", "caption", texts)
    return columns.mapInArrow(_tokenise, _TOKENS)


def _tokenise(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    words = pa.list_(pa.string())
    lists = ("caption_words", "spotted_words", "caption_verbatim", "spotted_verbatim")
    schema = pa.schema(
        [(name, pa.string()) for name in ("shard_id", "sample_id", "status", "error")]
        + [("spotted_word_count", pa.int32())]
        + [(name, words) for name in lists]
    )
    for batch in batches:
        rows = []
        for row in batch.to_pylist():
            ok = row["text_status"] == "ok"
            texts = (row["texts"] or []) if ok else []
            rows.append(
                {
                    "shard_id": row["shard_id"],
                    "sample_id": row["sample_id"],
                    "status": "ok" if ok else "skipped",
                    "error": None if ok else f"spot_text: {row['text_error']}",
                    "spotted_word_count": len(texts) if ok else None,
                    "caption_words": _distinct(normalised_words(row["caption"])),
                    "spotted_words": _distinct([word for text in texts for word in normalised_words(text)]),
                    "caption_verbatim": _distinct(verbatim_words(row["caption"])),
                    "spotted_verbatim": _distinct([word for text in texts for word in verbatim_words(text)]),
                }
            )
        yield pa.RecordBatch.from_pylist(rows, schema=schema)


def _distinct(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))
