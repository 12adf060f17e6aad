"""Cut a chunk into contiguous slices of whole batches, one Spark task each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


_STORAGE_ORDER = ("image_uri", "image_offset", "image_row")
# Tasks per slot: images differ in what they cost, and a chunk ends with its last task.
_WAVES = 20


def slice_length(samples: Sequence[int], *, batch_size: int, most: int, slots: int) -> int:
    """Batches per slice: fewer than the most where a chunk has not enough batches for twenty tasks a slot.

    Args:
        samples: Samples of each shard of the chunk.
        batch_size: Samples per batch.
        most: Batches per slice of a large chunk.
        slots: Tasks that run at once.
    """
    batches = sum(math.ceil(count / batch_size) for count in samples)
    return max(1, min(most, batches // (_WAVES * slots)))


def slice_frame(frame: DataFrame, *, batch_size: int, slice_batches: int, slices: int) -> DataFrame:
    """Number batches by their place in the shard, and give each task whole batches in storage order.

    A batch depends on its shard alone, so results depend neither on partitions nor on cores. A range
    partitioning on an explicit number keeps slices whole and contiguous, where adaptive execution would
    fold small rows to one task and a round-robin one would scatter the images of a tar.

    Args:
        frame: Rows with `shard_id`, `sample_id` and, where they have images, the image reference.
        batch_size: Samples per batch.
        slice_batches: Batches per slice.
        slices: Number of partitions wanted.

    Returns:
        The rows with a column `batch` (int), partitioned and sorted.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    stored = [name for name in _STORAGE_ORDER if name in frame.columns]
    in_storage_order = Window.partitionBy("shard_id").orderBy(
        *(F.col(name).asc_nulls_last() if name == "image_uri" else F.col(name) for name in stored),
        "sample_id",
    )
    batch = F.floor((F.row_number().over(in_storage_order) - 1) / batch_size).cast("int")
    numbered = frame.withColumn("batch", batch)
    numbered = numbered.withColumn("slice", F.floor(F.col("batch") / slice_batches).cast("int"))
    return (
        numbered.repartitionByRange(slices, "shard_id", "slice")
        .sortWithinPartitions("shard_id", "batch", *stored, "sample_id")
        .drop("slice")
    )
