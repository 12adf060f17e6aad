"""Stage `remove_text`: CLIP scores of each image with its visible text filled in, beside the raw score.

Samples without text are scored too, with the removal columns null and status ok: the paper's Table 2 compares
with them, and a score from the same pass, model and batch is cheaper than a second table to join. Where the
text of a sample is not known (its image or its spotting failed) the row is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import caption_overlap, spotted_text, text_removal_scores
from schemas._table import KEY_COLUMNS
from schemas.images import REFERENCE_COLUMNS
from spark_jobs.clip_models import clips_of, keep_real_scores, model_notes
from spark_jobs.runner.image_work import INPUTS as IMAGE_INPUTS
from spark_jobs.runner.image_work import check_gpus, measurer, params_of, skip_reason
from spark_jobs.runner.pending import Input, ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage import Situation, shard_stage
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.warehouse.tables import Tables
from udfs.adapter import BATCH_COLUMN, PHASES, SKIP_COLUMN
from udfs.inpainting import InpaintParams
from udfs.text_removal import RAW, RemovalFactory

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructField

    from spark_jobs.config import RunConfig

TABLE = text_removal_scores.TABLE
DIFFERENCES = text_removal_scores.DIFFERENCES
INPUTS = (
    *IMAGE_INPUTS,
    Input(
        spotted_text.TABLE,
        {"words": "words", "lines": "lines", "text_width": "image_width", "text_height": "image_height"},
    ),
    Input(
        caption_overlap.TABLE,
        {
            "used_words": "used_words",
            "has_text": "text_detected",
            "overlap_status": "status",
            "overlap_error": "error",
        },
    ),
)
_SCORES = (f"score_{RAW}", *(f"score_{variant}" for variant in text_removal_scores.VARIANTS))


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Score every image's text-removal variants that lack scores of these models and this fill."""
    _keep_real_scores(Tables(spark, config.warehouse), config)
    declared = work(config)
    report = run_shards(spark, config, declared)
    report.notes += [note for model in declared.models for note in model_notes(model)]
    return report


def work(config: RunConfig) -> ShardWork:
    """Declare the stage.

    Raises:
        ModelError: If a model or its weights do not exist.
    """
    section = config.remove_text
    fill = InpaintParams(fill=section.fill, radius=section.radius, dilation=section.dilation)
    clips = clips_of(config.embed, config.remove_text.models)
    models = [clip.model_id for clip in clips]
    factory = RemovalFactory(clips, fill, batch_size=config.embed.batch_size)
    measure = measurer(factory, _result_fields(), constants={"fill": section.fill}, config=config)

    def compute(inputs: DataFrame) -> DataFrame:
        from pyspark.sql import functions as F

        overlap = F.when(
            F.col("overlap_status") != "ok", F.concat(F.lit("overlap: "), F.col("overlap_error"))
        )
        skipped = F.coalesce(skip_reason(), overlap).alias(SKIP_COLUMN)
        own = ("caption", "has_text", "text", "donor", "co_donor")
        columns = inputs.select(*KEY_COLUMNS, BATCH_COLUMN, *REFERENCE_COLUMNS, *own, skipped)
        return by_model(measure(columns), models)

    return ShardWork(
        stage="remove_text",
        output=TABLE,
        inputs=INPUTS,
        params={**params_of(factory, config), "seed": section.seed},
        compute=compute,
        batch_size=section.batch_size,
        models=tuple(models),
        files=factory.files,
        rows_per_sample=len(models),
        whole_shards=lambda inputs: with_donors(inputs, seed=section.seed),
    )


def with_donors(inputs: DataFrame, *, seed: int) -> DataFrame:
    """Give each sample its text and its donors: the next sample of the same population by seeded hash, in a ring.

    Args:
        inputs: The stage's joined inputs, of whole shards.
        seed: Another seed gives other donors.

    Returns:
        The rows with `text` (the polygons of what `overlap` counted; null where it counted none), `donor` (another
        sample with text: its id, the `polygons` of all its text, and its image's size; null without text or other)
        and `co_donor` (the same among samples with co-emb text, with the polygons of that).
    """
    from pyspark.sql import functions as F

    texts = inputs.withColumn("text", _text()).drop("words", "lines", "used_words")
    rows = _with_donor(
        texts, "donor", polygons="text.all_emb", takes_part=F.col("text").isNotNull(), seed=seed
    )
    has_co_emb = F.coalesce(F.size("text.co_emb") > 0, F.lit(False))
    return _with_donor(rows, "co_donor", polygons="text.co_emb", takes_part=has_co_emb, seed=seed)


def _with_donor(rows: DataFrame, name: str, *, polygons: str, takes_part: Column, seed: int) -> DataFrame:
    """Add one donor: the next row of those that take part; null where a row does not, or is the only one."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    in_ring = Window.partitionBy("shard_id", takes_part).orderBy(
        F.xxhash64(F.lit(seed).cast("long"), "sample_id"), "sample_id"
    )
    whole_ring = in_ring.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    itself = F.struct(
        "sample_id",
        F.col(polygons).alias("polygons"),
        F.col("text_width").alias("width"),
        F.col("text_height").alias("height"),
    )
    following = F.coalesce(F.lead(itself).over(in_ring), F.first(itself).over(whole_ring))
    found = rows.withColumn(name, following)
    is_other = takes_part & (F.col(f"{name}.sample_id") != F.col("sample_id"))
    return found.withColumn(name, F.when(is_other, F.col(name)))


def by_model(measured: DataFrame, models: list[str]) -> DataFrame:
    """From one row per sample, with `scores` in the models' order, to one row per sample and model."""
    from pyspark.sql import functions as F

    kept = [name for name in measured.columns if name != "scores" and not name.endswith("_seconds")]
    # The sample's seconds count once, however many models it has.
    seconds = [
        F.when(F.col("position") == 0, F.col(f"{phase}_seconds")).otherwise(0.0).alias(f"{phase}_seconds")
        for phase in PHASES
    ]
    rows = measured.select("*", F.posexplode(F.array(*map(F.lit, models))).alias("position", "model"))
    score = F.get("scores", F.col("position"))
    scored = rows.select(*kept, "model", *seconds, *(score[name].alias(name) for name in _SCORES))
    return scored.withColumns({name: F.col(a) - F.col(b) for name, (a, b) in DIFFERENCES.items()})


def _text() -> Column:
    """Polygons by what they hold: `all_emb` and `co_emb`; null where `overlap` counted no word.

    All-Emb. text is all that was spotted: whole readings, each that holds a word that counts. Words are cut out
    of a reading by character share, and a letter between two of them would stay. Co-Emb. text is single words.
    """
    from pyspark.sql import functions as F

    used = F.col("used_words")
    readings = F.array_distinct(F.transform(used, lambda word: F.get("words", word["index"])["line"]))
    co_emb = F.filter(used, lambda word: word["co_emb"])
    polygons = F.struct(
        F.transform(readings, lambda line: F.get("lines", line)["polygon"]).alias("all_emb"),
        F.transform(co_emb, lambda word: F.get("words", word["index"])["polygon"]).alias("co_emb"),
    )
    return F.when(F.size(used) > 0, polygons)


def _result_fields() -> list[StructField]:
    """What the worker returns per sample: the scores as a list, one entry per model."""
    from pyspark.sql.types import ArrayType, StructField, StructType

    fields = {field.name: field for field in TABLE.schema.fields}
    shares = [field for name, field in fields.items() if name.startswith(("mask_share_", "hit_share_"))]
    scores = StructField("scores", ArrayType(StructType([fields[name] for name in _SCORES])))
    passed = [fields[name] for name in ("fill", "has_text", "donor_id", "co_donor_id")]
    return [*passed, *shares, scores]


def _keep_real_scores(tables: Tables, config: RunConfig) -> None:
    if config.remove_text.models is None:
        keep_real_scores(tables, config, TABLE)


def _ready(situation: Situation) -> None:
    check_gpus(situation)
    _keep_real_scores(situation.tables, situation.config)


STAGE = shard_stage(run, work, inputs=INPUTS, ready=_ready)
