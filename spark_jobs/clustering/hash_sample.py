"""Draw an exact, repeatable sample of vectors by hash, with bounded memory on the driver."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from udfs.vectors import matrix_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

_ROWS_PER_PARTITION = 20_000
_HASHES = 2**64


def hash_sample(frame: DataFrame, *, total: int, size: int, seed: int) -> NDArray[np.float32]:
    """The vectors of the `size` samples with the lowest hash of (seed, dataset, sample), in that order.

    Nothing but the samples decides: neither partitions nor the order of rows. Somewhat more rows than asked
    for come to the driver (six standard deviations), so its memory is about 4 x width x size bytes, twice.

    Args:
        frame: `dataset`, `sample_id` and `vector` (array of float, never null, of one width).
        total: Rows of the frame.
        size: Samples to draw; all of them where there are not more.
        seed: Another seed draws another sample.

    Returns:
        Shape (min(size, total), width), float32.
    """
    from pyspark.sql import functions as F

    wanted = min(size, total)
    key = F.xxhash64(F.lit(seed).cast("long"), "dataset", "sample_id")
    keyed = frame.select("dataset", "sample_id", key.alias("key"), "vector")
    share = min(1.0, (wanted + 6 * math.sqrt(wanted) + 10) / max(total, 1))
    found = _collect(keyed, share, wanted)
    if len(found) < wanted and share < 1:  # one time in a billion; the exact sample is then among all rows
        found = _collect(keyed, 1.0, wanted)
    found.sort(key=lambda row: row[:3])
    return np.stack([np.frombuffer(vector, np.float32) for *_, vector in found[:wanted]])


def _collect(keyed: DataFrame, share: float, wanted: int) -> list[tuple[int, str, str, bytes]]:
    """Rows whose hash is among the lowest `share` of all hashes."""
    from pyspark.sql import functions as F

    if share < 1:
        keyed = keyed.where(F.col("key") < int(share * _HASHES) - _HASHES // 2)
    packed = keyed.mapInArrow(_pack, "dataset string, sample_id string, key long, vector binary")
    # Found by all workers at once; then one partition at a time comes to the driver.
    partitions = math.ceil(wanted / _ROWS_PER_PARTITION)
    rows = packed.repartition(partitions, "key").toLocalIterator(prefetchPartitions=True)
    return [(row["key"], row["dataset"], row["sample_id"], bytes(row["vector"])) for row in rows]


def _pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for batch in batches:
        vectors = [row.tobytes() for row in matrix_of(batch.column("vector"))]
        keys = [batch.column(name) for name in ("dataset", "sample_id", "key")]
        yield pa.RecordBatch.from_arrays(
            [*keys, pa.array(vectors, pa.binary())], names=["dataset", "sample_id", "key", "vector"]
        )
