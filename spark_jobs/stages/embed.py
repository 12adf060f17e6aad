"""Stage `embed`: CLIP vectors of image and caption, and their cosine (the CLIP score)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import clip_embeddings
from spark_jobs.clip_models import clip_of, keep_real_scores, model_notes
from spark_jobs.runner.image_work import INPUTS, check_gpus, image_work
from spark_jobs.runner.pending import ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage import Situation, shard_stage
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.warehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig

__all__ = ["STAGE", "run", "work"]


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Embed every image and caption that lack vectors of this model."""
    keep_real_scores(Tables(spark, config.warehouse), config, clip_embeddings.TABLE)
    declared = work(config)
    report = run_shards(spark, config, declared)
    report.notes += [note for model in declared.models for note in model_notes(model)]
    return report


def work(config: RunConfig) -> ShardWork:
    """Declare the stage.

    Raises:
        ModelError: If the model or its weights do not exist.
    """
    factory = clip_of(config.embed)
    return image_work(
        "embed",
        clip_embeddings.TABLE,
        factory=factory,
        constants={"model": factory.model_id},
        batch_size=config.embed.batch_size,
        config=config,
    )


def _ready(situation: Situation) -> None:
    check_gpus(situation)
    keep_real_scores(situation.tables, situation.config, clip_embeddings.TABLE)


STAGE = shard_stage(run, work, inputs=INPUTS, ready=_ready)
