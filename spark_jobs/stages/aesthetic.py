"""Stage `aesthetic`: an aesthetic score for every image, by one of LAION's heads on its CLIP vector.

Samples whose source ships a score are scored too; the source's own stays in `samples.aesthetic`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from schemas import aesthetic_scores, clip_embeddings
from schemas._table import KEY_COLUMNS
from spark_jobs.errors import ConfigError, ModelError, StageError
from spark_jobs.runner.model_run_keys import current_of_models, run_keys_by_model
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
    tables = Tables(spark, config.warehouse)
    run_key = _vectors_of(tables, config, head)
    notes = _check_model(tables, config.dataset_name, head, run_key=run_key)
    report = run_shards(spark, config, _scoring(head, run_key))
    report.notes += notes
    return report


def work(config: RunConfig) -> ShardWork:
    """Declare the stage.

    Raises:
        ConfigError: If no head is configured.
        ModelError: If its file is none.
    """
    return _scoring(_head(config))


def _vectors_of(tables: Tables, config: RunConfig, head: AestheticHead) -> str | None:
    """The run key of the vectors to score: of the model that is named, else of the one that the head was made for.

    Returns:
        None: the current one, where there are no vectors of the head's model.

    Raises:
        StageError: If there are no vectors of the model that is named.
    """
    dataset, current = config.dataset_name, current_run_keys(tables)
    if config.aesthetic.model is not None:
        named = {clip_embeddings.TABLE.name: config.aesthetic.model}
        wanted = current_of_models(tables, dataset, current=current, models=named)
        return wanted[dataset, clip_embeddings.TABLE.name]
    found = run_keys_by_model(tables, clip_embeddings.TABLE, dataset, current=current)
    own = [keys[-1] for model, keys in found.items() if _is_made_for(head, model)]
    return own[-1] if own else None


def _is_made_for(head: AestheticHead, model: str) -> bool:
    return re.fullmatch(rf"{head.architecture}(-quickgelu)?/openai", model) is not None


def _scoring(head: AestheticHead, run_key: str | None = None) -> ShardWork:
    def compute(inputs: DataFrame) -> DataFrame:
        score = functools.partial(score_rows, head=head)
        columns = inputs.select(*KEY_COLUMNS, *VECTOR_COLUMNS)
        return columns.mapInArrow(score, aesthetic_scores.TABLE.worker_schema())

    return ShardWork(
        stage="aesthetic",
        output=aesthetic_scores.TABLE,
        inputs=tuple(replace(item, run_key=run_key) for item in INPUTS),
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


def _check_model(tables: Tables, dataset: str, head: AestheticHead, *, run_key: str | None) -> list[str]:
    """What must be said of the model whose vectors are scored.

    Raises:
        StageError: If its vectors are not as wide as the head's.
    """
    inputs = tuple(replace(item, run_key=run_key) for item in INPUTS)
    upstream = upstream_of(current_run_keys(tables), dataset, inputs)
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
    if _is_made_for(head, model):
        return []
    return [
        f"the head {head.file.name} was made for {head.architecture}/openai, the image vectors are of {model}: "
        "unless those are the same weights, its scores mean nothing"
    ]


STAGE = shard_stage(run, work, inputs=INPUTS)
