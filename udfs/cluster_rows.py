"""The Arrow function of stage `cluster`: each sample's cluster, its group, and the distance to its centroid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from schemas import cluster_assignments
from schemas._table import KEY_COLUMNS
from udfs.clustering import ClusterModel, assign
from udfs.vectors import embedded_rows, skip_reasons, vectors_of

_OUTPUT = cluster_assignments.TABLE.worker_schema().names


def assign_rows(batches: Iterable[pa.RecordBatch], *, model: ClusterModel | None) -> Iterator[pa.RecordBatch]:
    """One row per row, in order; without a model, or without a vector, it is skipped.

    Args:
        batches: The key, and `udfs.vectors.VECTOR_COLUMNS`.
        model: The clusters.
    """
    for batch in batches:
        rows = batch.num_rows
        found = embedded_rows(batch) & (model is not None)
        cluster, group, distance = (np.zeros(rows, kind) for kind in (np.int32, np.int32, np.float32))
        if model is not None and found.any():
            cluster[found], distance[found] = assign(vectors_of(batch, found), model)
            group[found] = model.groups[cluster[found]]
        errors = [
            None if is_found else reason for is_found, reason in zip(found, skip_reasons(batch), strict=True)
        ]
        yield pa.RecordBatch.from_arrays(
            [
                *map(batch.column, KEY_COLUMNS),
                pa.array([None if model is None else model.version] * rows, pa.string()),
                *(pa.array(values, mask=~found) for values in (cluster, group, distance)),
                pa.array(["ok" if is_found else "skipped" for is_found in found]),
                pa.array(errors, pa.string()),
            ],
            names=_OUTPUT,
        )
