"""Stage `aesthetic`: an aesthetic score for every image, by one of LAION's heads on its CLIP vector.

Samples whose source ships a score are scored too; the source's own stays in `samples.aesthetic`.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from schemas import aesthetic_scores, clip_embeddings
from schemas._table import KEY_COLUMNS
from spark_jobs.errors import ConfigError, ModelError, StageError
from spark_jobs.runner.pending import Input, ShardWork, upstream_of
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage import shard_stage
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from udfs.aesthetic import AestheticHead, load_head
from udfs.aesthetic_rows import score_rows
from udfs.vectors import VECTOR_COLUMNS
from udfs.weights import WeightsError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig

INPUTS = (
    Input(
        clip_embeddings.TABLE,
        {"image_vector": "image_vector", "embed_status": "status", "embed_error": "error"},
    ),
)


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Score every image that lacks a score by this head.

    Raises:
        ConfigError: If no head is configured.
        ModelError: If its file is none.
        StageError: If the image vectors are not as wide as the head's.
    """
    head = _head(config)
    notes = _check_model(Tables(spark, config.warehouse), config.dataset_name, head)
    report = run_shards(spark, config, _scoring(head))
    report.notes += notes
    return report


def work(config: RunConfig) -> ShardWork:
    """Declare the stage.

    Raises:
        ConfigError: If no head is configured.
        ModelError: If its file is none.
    """
    return _scoring(_head(config))


def _scoring(head: AestheticHead) -> ShardWork:
    def compute(inputs: DataFrame) -> DataFrame:
        score = functools.partial(score_rows, head=head)
        columns = inputs.select(*KEY_COLUMNS, *VECTOR_COLUMNS)
        return columns.mapInArrow(score, aesthetic_scores.TABLE.worker_schema())

    return ShardWork(
        stage="aesthetic",
        output=aesthetic_scores.TABLE,
        inputs=INPUTS,
        params={"head": head.file.name, "sha256": head.file.sha256},
        compute=compute,
        models=(head.file.name,),
    )


def _head(config: RunConfig) -> AestheticHead:
    path = config.aesthetic.head
    if path is None:
        raise ConfigError(
            "aesthetic: name a head that fits the CLIP model of stage embed: --set aesthetic.head=FILE. For "
            "ViT-L-14 sac+logos+ava1-l14-linearMSE.pth (github.com/christophschuhmann/"
            "improved-aesthetic-predictor) or sa_0_4_vit_l_14_linear.pth, for ViT-B-32 "
            "sa_0_4_vit_b_32_linear.pth (github.com/LAION-AI/aesthetic-predictor)"
        )
    try:
        return load_head(path)
    except WeightsError as error:
        raise ModelError(f"aesthetic: {error}") from error


def _check_model(tables: Tables, dataset: str, head: AestheticHead) -> list[str]:
    """What must be said of the model whose vectors are scored.

    Raises:
        StageError: If its vectors are not as wide as the head's.
    """
    upstream = upstream_of(current_run_keys(tables), dataset, INPUTS)
    frame = tables.read(clip_embeddings.TABLE, dataset=dataset, run_key=upstream[clip_embeddings.TABLE.name])
    found = frame.where("status = 'ok' AND image_vector IS NOT NULL")
    rows = found.selectExpr("model", "size(image_vector) AS width").limit(1).collect()
    if not rows:
        return []
    model, width = rows[0]["model"], rows[0]["width"]
    if width != head.width:
        raise StageError(
            f"aesthetic: the head {head.file.name} takes image vectors of {head.width} dimensions (OpenAI's "
            f"{head.architecture}), those of dataset {dataset} have {width} ({model}): name a head for that "
            f"model, or embed with --set embed.model={head.architecture} --set embed.pretrained=openai"
        )
    # The same weights may have been named as a file; only the tag proves whose they are.
    if re.fullmatch(rf"{head.architecture}(-quickgelu)?/openai", model):
        return []
    return [
        f"the head {head.file.name} was made for {head.architecture}/openai, the image vectors are of {model}: "
        "unless those are the same weights, its scores mean nothing"
    ]


STAGE = shard_stage(run, work, inputs=INPUTS)
