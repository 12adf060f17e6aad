"""Stage `overlap`: caption words against spotted words. One tokeniser in Python, the rest is SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import caption_overlap, samples, spotted_text
from schemas._table import KEY_COLUMNS
from spark_jobs.runner.pending import Input, ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage import shard_stage
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.sql.overlap import overlap_steps, used_words
from spark_jobs.sql.steps import run_steps
from udfs.token_rows import TOKENS, tokenise_rows

if TYPE_CHECKING:
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
    from pyspark.sql.pandas.types import from_arrow_schema

    kept = F.expr(used_words(min_confidence)).alias("used")
    columns = inputs.select(*KEY_COLUMNS, "text_status", "text_error", "caption", kept)
    return columns.mapInArrow(tokenise_rows, from_arrow_schema(TOKENS))


STAGE = shard_stage(run, work, inputs=INPUTS)
