"""Stage `download`: fetch the images of samples that have only a URL, with img2dataset.

Rows of `images` that ingest made are taken over as they are, so that one run key of `images` has every sample.
"""

from __future__ import annotations

import functools
import importlib.util
import time
from typing import TYPE_CHECKING

from schemas import images, samples
from schemas._table import KEY_COLUMNS
from spark_jobs.errors import ConfigError
from spark_jobs.runner.pending import Input, ShardWork
from spark_jobs.runner.shards import run_shards
from spark_jobs.runner.stage import Situation, StageContract, StagePlan, check_dataset, need, plan_shards
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.sources.fetch import FetchOptions
from spark_jobs.sources.fetch_rows import ASKED, MEASURES, fetch_rows
from spark_jobs.sources.storage import absolute
from spark_jobs.stages.ingest import RUN_KEY as INGEST_RUN_KEY
from spark_jobs.warehouse.addresses import is_catalog
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from udfs.adapter import BATCH_COLUMN
from udfs.bounded_http import HttpLimits
from udfs.image_codec import DecodeLimits

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.config import RunConfig

# What decides a row's value; the other settings decide only whether and when it is there.
_DECISIVE = (
    "image_size",
    "resize_mode",
    "resize_only_if_bigger",
    "encode_format",
    "encode_quality",
    "skip_reencode",
)

INPUTS = (
    Input(
        samples.TABLE,
        {"url": "url", "caption": "caption", "sample_status": "status", "sample_error": "error"},
        # Not the caption: another one needs no other image.
        decisive=("url", "status", "error"),
        run_key=INGEST_RUN_KEY,
    ),
    Input(
        images.TABLE,
        {**{name: name for name in MEASURES}, "known_status": "status", "known_error": "error"},
        run_key=INGEST_RUN_KEY,
        optional=True,
    ),
)


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Fetch what the dataset lacks; where every sample has its image, nothing is done."""
    started = time.monotonic()
    if not is_needed(Tables(spark, config.warehouse), config.dataset_name):
        report = StageReport(stage="download", dataset=config.dataset_name)
        report.notes.append("every sample has its image: nothing to download")
        report.seconds = time.monotonic() - started
        return report
    report = run_shards(spark, config, work(config))
    if report.failed and not config.retry_failed:
        report.notes.append("--retry-failed asks again for the images that failed")
    return report


def check_installed() -> None:
    """Fail before any work starts if img2dataset is not there.

    Raises:
        ConfigError: If it is not installed.
    """
    if importlib.util.find_spec("img2dataset") is None:
        raise ConfigError(
            "stage download needs img2dataset, here and on every worker: pip install 'parrot-captions[download]'"
        )


def is_needed(tables: Tables, dataset: str) -> bool:
    """Whether the source left samples without images, or an earlier download made the dataset's `images`."""
    current = current_run_keys(tables)
    made = current.get((dataset, images.TABLE.name))
    if (dataset, samples.TABLE.name) not in current or made not in (None, INGEST_RUN_KEY):
        return True
    counts = [
        tables.read(spec, dataset=dataset, run_key=INGEST_RUN_KEY).count()
        for spec in (samples.TABLE, images.TABLE)
    ]
    return counts[0] != counts[1]


def work(config: RunConfig) -> ShardWork:
    """Declare the stage.

    Raises:
        ConfigError: If the warehouse is a catalog and no folder is named for the tars.
    """
    section = config.download
    options = options_of(config)
    return ShardWork(
        stage="download",
        output=images.TABLE,
        inputs=INPUTS,
        params={name: getattr(section, name) for name in _DECISIVE},
        compute=lambda inputs: _computed(inputs, options),
        batch_size=section.tar_size,
        slice_batches=1,
        max_failed_share=section.max_failed_share,
    )


def options_of(config: RunConfig) -> FetchOptions:
    """What workers need to know.

    Raises:
        ConfigError: If the warehouse is a catalog and no folder is named for the tars.
    """
    section = config.download
    if section.output is None and is_catalog(config.warehouse):
        raise ConfigError(
            f"download.output is needed: the warehouse {config.warehouse} is a catalog, which holds no files. "
            "Name a folder or URI, e.g. --set download.output=/Volumes/CATALOG/SCHEMA/images"
        )
    root = absolute(section.output or f"{config.warehouse.rstrip('/')}/downloads")
    return FetchOptions(
        output=f"{root}/{config.dataset_name}",
        **{name: getattr(section, name) for name in _DECISIVE},
        threads=section.threads,
        timeout=section.timeout_seconds,
        retries=section.retries,
        disallowed=section.disallowed_directives,
        user_agent_token=section.user_agent_token,
        http=HttpLimits(
            max_bytes=config.images.max_bytes,
            seconds=section.total_seconds,
            max_redirects=section.max_redirects,
        ),
        decode=DecodeLimits(
            max_pixels=config.images.max_pixels,
            max_bytes=config.images.max_bytes,
            seconds=config.images.decode_seconds,
            memory_mb=config.images.decode_memory_mb,
        ),
    )


def _computed(inputs: DataFrame, options: FetchOptions) -> DataFrame:
    from pyspark.sql.pandas.types import to_arrow_schema

    schema = images.TABLE.worker_schema()
    fetch = functools.partial(fetch_rows, options=options, output=to_arrow_schema(schema))
    return inputs.select(*KEY_COLUMNS, BATCH_COLUMN, *ASKED, *MEASURES).mapInArrow(fetch, schema)


def _check(config: RunConfig) -> None:
    check_dataset(config)
    check_installed()
    work(config)


def _plan(situation: Situation) -> StagePlan:
    if not is_needed(situation.tables, situation.config.dataset_name):
        return StagePlan(instead="nothing to do")
    return plan_shards(situation, work(situation.config))


# `images` may not be there: ingest has none for samples with only a URL.
STAGE = StageContract(run, _check, need(INPUTS[0]), _plan, INPUTS)
