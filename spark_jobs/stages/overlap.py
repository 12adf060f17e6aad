"""Stage `overlap`: caption words against spotted words. One tokeniser in Python, the rest is SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from schemas import caption_overlap, samples, spotted_text
from spark_jobs.runner.pending import Input, ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.sql.overlap import overlap_steps, used_words
from spark_jobs.sql.steps import run_steps
from udfs.tokens import normalised_words, verbatim_words

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig

INPUTS = (
    Input(samples.TABLE, {"caption": "caption"}),
    Input(
        spotted_text.TABLE,
        {
            "words": "words",
            "image_width": "image_width",
            "image_height": "image_height",
            "text_status": "status",
            "text_error": "error",
        },
    ),
)
_TOKENISER_VERSION = 1
# Raised whenever a measure is added or computed in another way: rows of older code are then done again.
_MEASURES_VERSION = 2
_TOKENS = (
    "shard_id string, sample_id string, status string, error string, spotted_word_count int, "
    "used_words array<struct<index int, co_emb boolean, area_ratio double>>, "
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
        params={
            "min_confidence": min_confidence,
            "tokeniser": _TOKENISER_VERSION,
            "measures": _MEASURES_VERSION,
        },
        compute=compute,
    )


def token_sets(inputs: DataFrame, min_confidence: float) -> DataFrame:
    """Tokenise captions and spotted words.

    Args:
        inputs: `shard_id`, `sample_id`, `caption`, `words`, `image_width`, `image_height`, `text_status`,
            `text_error`.
        min_confidence: Spotted words below it are ignored.

    Returns:
        One row per sample: distinct words of either reading, in order, and the spotted words that count;
        null where text was not spotted.
    """
    from pyspark.sql import functions as F

    kept = F.expr(used_words(min_confidence)).alias("used")
    columns = inputs.select("shard_id", "sample_id", "text_status", "text_error", "caption", kept)
    return columns.mapInArrow(_tokenise, _TOKENS)


def _tokenise(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    words = pa.list_(pa.string())
    used = pa.struct([("index", pa.int32()), ("co_emb", pa.bool_()), ("area_ratio", pa.float64())])
    lists = ("caption_words", "spotted_words", "caption_verbatim", "spotted_verbatim")
    schema = pa.schema(
        [(name, pa.string()) for name in ("shard_id", "sample_id", "status", "error")]
        + [("spotted_word_count", pa.int32()), ("used_words", pa.list_(used))]
        + [(name, words) for name in lists]
    )
    for batch in batches:
        rows = [_token_row(row) for row in batch.to_pylist()]
        yield pa.RecordBatch.from_pylist(rows, schema=schema)


def _token_row(row: dict[str, Any]) -> dict[str, Any]:
    ok = row["text_status"] == "ok"
    used = (row["used"] or []) if ok else []
    caption_words = _distinct(normalised_words(row["caption"]))
    wanted = set(caption_words)
    tokens = [normalised_words(word["text"]) for word in used]
    return {
        "shard_id": row["shard_id"],
        "sample_id": row["sample_id"],
        "status": "ok" if ok else "skipped",
        "error": None if ok else f"spot_text: {row['text_error']}",
        "spotted_word_count": len(used) if ok else None,
        "used_words": [
            {
                "index": word["index"],
                "co_emb": not wanted.isdisjoint(own),
                "area_ratio": word["area_ratio"],
            }
            for word, own in zip(used, tokens, strict=True)
        ]
        if ok
        else None,
        "caption_words": caption_words,
        "spotted_words": _distinct([word for own in tokens for word in own]),
        "caption_verbatim": _distinct(verbatim_words(row["caption"])),
        "spotted_verbatim": _distinct([piece for word in used for piece in verbatim_words(word["text"])]),
    }


def _distinct(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))
