"""What benchmarks of a whole stage share: its dataset, and the processes of the loop beside it."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.builders import Pair, write_shard

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from benchmarks.spotting_quality import TrueImage
    from spark_jobs.config import RunConfig


@contextlib.contextmanager
def session_of(config: RunConfig) -> Iterator[SparkSession]:
    """A session as `parrot run` has it over a warehouse that is still empty."""
    from spark_jobs.query_compilation import fitted_to_size
    from spark_jobs.session import open_session
    from spark_jobs.warehouse.tables import Tables

    spark = open_session(config.session)
    with fitted_to_size(Tables(spark, config.warehouse), config.session):
        yield spark
    spark.stop()


def start_all(pool: ProcessPoolExecutor, processes: int) -> None:
    """Give each process of a pool something to do, so that all of them start and load their models."""
    list(pool.map(_nap, range(processes)))


def _nap(_: int) -> None:
    time.sleep(2)


def stored_dataset(
    root: Path,
    dataset: str,
    pairs: Sequence[Pair],
    *,
    arguments: argparse.Namespace,
    settings: Sequence[str] = (),
) -> RunConfig:
    """Write pairs in some shards, as img2dataset writes them.

    Args:
        root: Folder of sources and warehouse.
        dataset: Its name.
        pairs: Its samples.
        arguments: The benchmark's: `shards`, `cores` and `set`.
        settings: `section.key=value`, before those of `arguments.set`.

    Returns:
        The configuration that ingests them and runs stages over them.
    """
    from spark_jobs.config import load_config

    per_shard = -(-len(pairs) // arguments.shards)
    for number, first in enumerate(range(0, len(pairs), per_shard)):
        write_shard(root / dataset, list(pairs[first : first + per_shard]), name=f"{number:05d}")
    return load_config(
        options={"warehouse": str(root / "warehouse"), "source": str(root / dataset), "dataset": dataset},
        overrides=(
            "tracking.enabled=false",
            f"session.master=local[{arguments.cores},2]",
            *settings,
            *(arguments.set or ()),
        ),
    )


def dataset_to_embed(
    root: Path,
    dataset: str,
    images: Sequence[TrueImage],
    *,
    arguments: argparse.Namespace,
    settings: Sequence[str] = (),
) -> RunConfig:
    """Images with captions in some shards, and the configuration of stage `embed` over them.

    Args:
        root: Folder of sources, warehouse and weights.
        dataset: Its name.
        images: Its images.
        arguments: The benchmark's: those of `stored_dataset`, `model` and `batch`.
        settings: Further `section.key=value`.
    """
    pairs = [
        Pair(f"{image.sample_id:09d}", image.data, f"a picture of something, number {image.sample_id}")
        for image in images
    ]
    own = (
        f"embed.model={arguments.model}",
        f"embed.cache_dir={root / 'weights'}",
        f"embed.batch_size={arguments.batch}",
    )
    return stored_dataset(root, dataset, pairs, arguments=arguments, settings=(*own, *settings))
