"""Stage `overlap`: caption words against spotted words, measured in one Arrow function."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from schemas import caption_overlap, samples, spotted_text
from schemas._table import KEY_COLUMNS
from spark_jobs.errors import ModelError
from spark_jobs.runner.pending import Input, ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage import shard_stage
from spark_jobs.runner.stage_report import StageReport
from udfs.overlap_rows import OVERLAP, WordRules, measure_overlap
from udfs.weights import WeightsError
from udfs.word_cutting import cutter_of

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
    rules = WordRules(section.min_confidence, section.detection_confidence, cutter)

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
        compute=partial(measured, rules=rules),
    )


def measured(inputs: DataFrame, *, rules: WordRules) -> DataFrame:
    """Measure the overlap of captions and spotted words.

    Args:
        inputs: The key, and the columns of `INPUTS`.
        rules: Which words count.

    Returns:
        One row per sample: the measures of `caption_overlap`, null where text was not spotted.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    columns = [name for item in INPUTS for name in item.columns]
    return inputs.select(*KEY_COLUMNS, *columns).mapInArrow(
        partial(measure_overlap, rules=rules), from_arrow_schema(OVERLAP)
    )


STAGE = shard_stage(run, work, inputs=INPUTS)
