"""Stage `spot_text`: read the text that is visible in each image (embedded text)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import spotted_text
from spark_jobs.errors import ModelError
from spark_jobs.runner.image_work import INPUTS, check_gpus, image_work
from spark_jobs.runner.pending import ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage import shard_stage
from spark_jobs.runner.stage_report import StageReport
from udfs.text_spotting import SpotterFactory, resolve
from udfs.weights import WeightsError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig
    from spark_jobs.sections import SpotTextConfig


__all__ = ["STAGE", "run", "work"]


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Spot text in every image that lacks a result of this spotter."""
    return run_shards(spark, config, work(config))


def work(config: RunConfig) -> ShardWork:
    """Declare the stage.

    Raises:
        ModelError: If the spotter does not exist, or its weights are missing or wrong.
    """
    factory = spotter_of(config.spot_text)
    return image_work(
        "spot_text",
        spotted_text.TABLE,
        factory=factory,
        constants={"spotter": factory.spotter},
        batch_size=config.spot_text.batch_size,
        config=config,
    )


def spotter_of(config: SpotTextConfig) -> SpotterFactory:
    """Find the configured spotter and verify its weights."""
    try:
        return resolve(
            config.spotter,
            languages=config.languages,
            model_directory=str(config.model_directory) if config.model_directory else None,
            canvas_size=config.canvas_size,
            mag_ratio=config.mag_ratio,
            detector_precision=config.detector_precision,
            rotations=config.rotations,
        )
    except WeightsError as error:
        raise ModelError(f"spot_text: {error}") from error


STAGE = shard_stage(run, work, inputs=INPUTS, ready=check_gpus)
