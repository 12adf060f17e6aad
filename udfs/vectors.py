"""Image vectors in Arrow batches: which rows have one, as a matrix, and why the others have none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

VECTOR_COLUMNS = ("image_vector", "embed_status", "embed_error")
"""What a worker of vectors reads beside the sample's key: the vector, and status and error of its embedding."""


def matrix_of(column: pa.Array) -> NDArray[np.float32]:
    """A list column without nulls as a matrix, shape (rows, width), float32.

    Raises:
        ValueError: If the lists differ in length.
    """
    if not len(column):
        return np.empty((0, 0), np.float32)
    lengths = np.unique(np.diff(column.offsets.to_numpy()))
    if len(lengths) != 1:
        raise ValueError(f"vectors of one table must have one width, found {lengths.tolist()}")
    return np.asarray(column.flatten().to_numpy(), dtype=np.float32).reshape(len(column), -1)


def embedded_rows(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """Which rows of a batch with `VECTOR_COLUMNS` have a vector, shape (rows,)."""
    is_ok = pc.equal(batch.column("embed_status"), "ok")
    return np.asarray(pc.fill_null(pc.and_(is_ok, batch.column("image_vector").is_valid()), False))


def vectors_of(batch: pa.RecordBatch, rows: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The vectors of some rows that have one, shape (their number, width), float32."""
    return matrix_of(batch.column("image_vector").filter(pa.array(rows)))


def skip_reasons(batch: pa.RecordBatch) -> list[str]:
    """Why a row has no vector; said of every row, also of those that have one."""
    return [f"embed: {error or 'no image vector'}" for error in batch.column("embed_error").to_pylist()]
