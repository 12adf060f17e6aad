"""Stage `render_text`: every gram as a picture of itself, scored against itself (the paper's Sync score)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from schemas import ngram_vocabulary, synthetic_text_scores
from schemas._table import KEY_COLUMNS
from spark_jobs.clip_models import clips_of, model_notes
from spark_jobs.errors import ConfigError
from spark_jobs.runner.image_work import check_gpus, gpu_profile
from spark_jobs.runner.pending import Input, ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage import shard_stage
from spark_jobs.runner.stage_report import StageReport
from udfs.adapter import BATCH_COLUMN
from udfs.synthetic_text import PHASES, SyntheticTextFactory, map_texts
from udfs.text_rendering import TextRenderer, available_layout, default_font
from udfs.weights import WeightFile, described

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from spark_jobs.config import RunConfig

_COLUMNS = {"vocabulary": "vocabulary", "gram": "gram"}
INPUTS = (Input(ngram_vocabulary.TABLE, _COLUMNS),)


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Render and score every gram that lacks scores of these models and this font."""
    declared = work(config)
    report = run_shards(spark, config, declared)
    if report.skipped:
        grams = report.skipped // declared.rows_per_sample
        report.notes.append(
            f"{grams:,} gram(s) were skipped: the font cannot show them; column error says why"
        )
    report.notes += [note for model in declared.models for note in model_notes(model)]
    return report


def work(config: RunConfig) -> ShardWork:
    """Declare the stage.

    Raises:
        ConfigError: If the font cannot be used, or a model is named twice.
        ModelError: If a model or its weights do not exist.
    """
    section = config.render_text
    factory = SyntheticTextFactory(
        models=clips_of(config.embed, config.render_text.models),
        font=font_file(section.font),
        layout=available_layout(),
    )
    profile = gpu_profile(config.session.gpus_per_task)

    def compute(inputs: DataFrame) -> DataFrame:
        from pyspark.sql.pandas.types import to_arrow_schema

        schema = _result_schema()
        frame = inputs.select(*KEY_COLUMNS, BATCH_COLUMN, *_COLUMNS)
        scored = map_texts(factory, to_arrow_schema(schema))
        if profile is not None:
            return frame.mapInArrow(scored, schema, profile=profile)
        return frame.mapInArrow(scored, schema)

    limit = section.limit_per_vocabulary
    return ShardWork(
        stage="render_text",
        output=synthetic_text_scores.TABLE,
        inputs=(Input(ngram_vocabulary.TABLE, _COLUMNS, where=f"rank <= {limit}" if limit else None),),
        params=factory.params,
        compute=compute,
        batch_size=section.batch_size,
        models=tuple(model.model_id for model in factory.models),
        files=factory.files,
        rows_per_sample=factory.rows_per_text,
    )


def font_file(path: Path | None) -> WeightFile:
    """The font, hashed, and tried once here rather than in every worker.

    Raises:
        ConfigError: If there is no such file, or it is no font.
    """
    font = path or default_font()
    if not font.is_file():
        raise ConfigError(f"render_text.font: there is no file {font.absolute()}; give a .ttf or .otf file")
    try:
        TextRenderer(font, available_layout())
    except ValueError as error:
        raise ConfigError(f"render_text.font: {error}") from error
    return described(font)


def _result_schema() -> StructType:
    from pyspark.sql.types import DoubleType, StructField, StructType

    fields = {field.name: field for field in synthetic_text_scores.TABLE.schema.fields}
    own = [field for name, field in fields.items() if name not in ("dataset", "run_key", "input_key")]
    return StructType([*own, *(StructField(f"{phase}_seconds", DoubleType()) for phase in PHASES)])


STAGE = shard_stage(run, work, inputs=INPUTS, ready=check_gpus)
