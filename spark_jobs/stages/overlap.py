"""Stage `overlap`: caption words against spotted words. One tokeniser in Python, the rest is SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas import caption_overlap, samples, spotted_text
from schemas._table import KEY_COLUMNS
from spark_jobs.errors import ModelError
from spark_jobs.runner.pending import Input, ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage import shard_stage
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.sql.overlap import overlap_steps, spotted_words
from spark_jobs.sql.steps import run_steps
from udfs.token_rows import TOKENS, tokenise_rows
from udfs.weights import WeightsError
from udfs.word_cutting import WordCutter, cutter_of

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
_MEASURES_VERSION = 4


@dataclass(frozen=True)
class WordRules:
    """Which spotted words say what.

    Attributes:
        min_confidence: Words from here on count for CoTR.
        detection_confidence: A word with a letter or digit from here on means that the image has text.
        cutter: Cuts captions and spotted text into words.
    """

    min_confidence: float
    detection_confidence: float = 0.0
    cutter: WordCutter = field(default_factory=WordCutter)


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Measure the overlap of every sample's caption and spotted text."""
    return run_shards(spark, config, work(config))


def work(config: RunConfig) -> ShardWork:
    """Declare the stage.

    Raises:
        ModelError: If a language of the spotter needs a segmenter that is not installed.
    """
    section = config.overlap
    try:
        cutter = cutter_of(config.spot_text.languages)
    except WeightsError as error:
        raise ModelError(f"overlap: {error}") from error
    words = WordRules(section.min_confidence, section.detection_confidence, cutter)

    def compute(inputs: DataFrame) -> DataFrame:
        frames = {"token_sets": token_sets(inputs, words)}
        return run_steps(inputs.sparkSession, overlap_steps(), frames)

    return ShardWork(
        stage="overlap",
        output=caption_overlap.TABLE,
        inputs=INPUTS,
        params={
            "min_confidence": section.min_confidence,
            "detection_confidence": section.detection_confidence,
            "cut_words": cutter.params,
            "tokeniser": _TOKENISER_VERSION,
            "measures": _MEASURES_VERSION,
        },
        compute=compute,
    )


def token_sets(inputs: DataFrame, words: WordRules) -> DataFrame:
    """Tokenise captions and spotted words.

    Args:
        inputs: `shard_id`, `sample_id`, `caption`, `words`, `image_width`, `image_height`, `text_status`,
            `text_error`.
        words: Which words count.

    Returns:
        One row per sample: distinct words of either reading, in order, whether text was detected, and the spotted
        words that count; null where text was not spotted.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_schema

    spotted = F.expr(spotted_words(words.min_confidence, words.detection_confidence)).alias("spotted")
    columns = inputs.select(*KEY_COLUMNS, "text_status", "text_error", "caption", spotted)
    return columns.mapInArrow(tokenise_rows(words.cutter), from_arrow_schema(TOKENS))


STAGE = shard_stage(run, work, inputs=INPUTS)
