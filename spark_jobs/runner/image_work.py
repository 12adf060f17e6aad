"""What the model stages share: image references in, one fused `mapInArrow`, measured rows out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from schemas import images, samples
from schemas._table import KEY_COLUMNS, TableSpec
from schemas.images import REFERENCE_COLUMNS
from spark_jobs.errors import StageError
from spark_jobs.runner.pending import Input, ShardWork
from spark_jobs.session import is_local
from udfs.adapter import (
    BATCH_COLUMN,
    PHASES,
    SKIP_COLUMN,
    ImageTask,
    map_images,
)
from udfs.image_codec import DecodeLimits

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructField

    from spark_jobs.config import RunConfig
    from spark_jobs.runner.stage import Situation
    from udfs.model_api import StagedFactory


INPUTS = (
    Input(samples.TABLE, {"caption": "caption", "sample_status": "status", "sample_error": "error"}),
    Input(
        images.TABLE,
        {
            **{name: name for name in REFERENCE_COLUMNS},
            "image_status": "status",
            "image_error": "error",
        },
        # The bytes decide, where they are known: a source that moved costs no new run of a model.
        decisive=(
            "status",
            "error",
            f"coalesce(sha256, concat_ws(':', {', '.join(REFERENCE_COLUMNS)}))",
        ),
    ),
)


def image_work(
    stage: str,
    output: TableSpec,
    *,
    factory: StagedFactory,
    constants: dict[str, str],
    batch_size: int,
    config: RunConfig,
) -> ShardWork:
    """Declare a stage that measures every image with one model.

    Args:
        stage: Stage name.
        output: Table written.
        factory: Loads the model in a worker.
        constants: Result columns that are the same in every row.
        batch_size: Images per model batch.
        config: The run's configuration.
    """
    measure = measurer(factory, output.result_fields(), constants=constants, config=config)

    def compute(inputs: DataFrame) -> DataFrame:
        columns = (*KEY_COLUMNS, BATCH_COLUMN, *REFERENCE_COLUMNS, "caption")
        return measure(inputs.select(*columns, skip_reason().alias(SKIP_COLUMN)))

    return ShardWork(
        stage=stage,
        output=output,
        inputs=INPUTS,
        params=params_of(factory, config),
        compute=compute,
        batch_size=batch_size,
        models=tuple(constants.values()),
        files=factory.files,
    )


def params_of(factory: StagedFactory, config: RunConfig) -> dict[str, Any]:
    """What decides a measured row's value."""
    # Not seconds and memory: they depend on the machine, and --retry-failed does failed rows again.
    limits = {"max_pixels": config.images.max_pixels, "max_bytes": config.images.max_bytes}
    return {**factory.params, **limits}


def measurer(
    factory: StagedFactory,
    results: Sequence[StructField],
    *,
    constants: dict[str, str],
    config: RunConfig,
) -> Callable[[DataFrame], DataFrame]:
    """The one fused call of a model stage.

    Args:
        factory: Loads the model in a worker.
        results: Columns that the model's `predict` fills, and those of `constants`.
        constants: Result columns that are the same in every row.
        config: The run's configuration.

    Returns:
        From sliced rows (as `udfs.adapter.map_images` wants them) to keys, results, `status`, `error` and
        seconds by phase.
    """
    limits = DecodeLimits(
        max_pixels=config.images.max_pixels,
        max_bytes=config.images.max_bytes,
        seconds=config.images.decode_seconds,
        memory_mb=config.images.decode_memory_mb,
    )
    profile = gpu_profile(config.session.gpus_per_task)

    def measure(frame: DataFrame) -> DataFrame:
        from pyspark.sql.pandas.types import to_arrow_schema
        from pyspark.sql.types import DoubleType, StructField, StructType

        fields = {field.name: field for field in samples.TABLE.schema.fields}
        seconds = [StructField(f"{phase}_seconds", DoubleType()) for phase in PHASES]
        keys = [fields[name] for name in KEY_COLUMNS]
        schema = StructType([*keys, *results, fields["status"], fields["error"], *seconds])
        task = ImageTask(
            factory=factory,
            output=to_arrow_schema(schema),
            constants=tuple(constants.items()),
            limits=limits,
            decode_threads=config.images.decode_threads,
        )
        if profile is not None:
            return frame.mapInArrow(map_images(task), schema, profile=profile)
        return frame.mapInArrow(map_images(task), schema)

    return measure


def skip_reason() -> Column:
    """Why upstream has no image of a sample; null where it has one."""
    from pyspark.sql import functions as F

    sample = F.when(F.col("sample_status") != "ok", F.concat(F.lit("sample: "), F.col("sample_error")))
    image = F.when(F.col("image_status") != "ok", F.concat(F.lit("image: "), F.col("image_error")))
    return F.coalesce(sample, image)


def gpu_profile(gpus_per_task: float) -> ResourceProfile | None:
    """The resource profile of a model stage, or None where no GPU is asked for.

    Raises:
        StageError: If this Spark cannot give GPUs to a single stage (before 4.0, or a local master).
    """
    if not gpus_per_task:
        return None
    import inspect

    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests
    from pyspark.sql import DataFrame, SparkSession

    if "profile" not in inspect.signature(DataFrame.mapInArrow).parameters:
        raise StageError(
            "session.gpus_per_task needs Spark 4: this Spark cannot give GPUs to one stage alone. "
            "Set it to 0 and request GPUs for the whole application (spark.task.resource.gpu.amount)"
        )
    session = SparkSession.getActiveSession()
    if session is not None and is_local(session):
        raise StageError("session.gpus_per_task: a local Spark schedules no GPUs; set it to 0")
    requests = TaskResourceRequests().resource("gpu", gpus_per_task)
    profile: ResourceProfile = ResourceProfileBuilder().require(requests).build
    return profile


def check_gpus(situation: Situation) -> None:
    """Find whether a model stage would get the GPUs that it asks for.

    Raises:
        StageError: As `gpu_profile`.
    """
    gpu_profile(situation.config.session.gpus_per_task)
