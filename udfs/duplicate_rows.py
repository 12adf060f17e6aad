"""The Arrow function of stage `deduplicate`: members of clusters stream by, each compared with those before it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from schemas import near_duplicates
from schemas._table import KEY_COLUMNS
from udfs.deduplication import EarlierMembers, is_duplicate, usable
from udfs.vectors import matrix_of

_OUTPUT = near_duplicates.TABLE.worker_schema().names


def compare_rows(
    batches: Iterable[pa.RecordBatch], *, epsilon: float, memory_bytes: int
) -> Iterator[pa.RecordBatch]:
    """One row per row, in order.

    Args:
        batches: The key, `cluster` (null: the row is skipped, `reason` says why) and `image_vector`; the members of
            a cluster one after another, in the order of the rule.
        epsilon: A pair with a cosine above 1 - epsilon is a duplicate.
        memory_bytes: Vectors of one cluster that are kept in memory.
    """
    last: int | None = None
    members, ids = EarlierMembers(memory_bytes=memory_bytes), list[str]()
    for batch in batches:
        clusters = batch.column("cluster").fill_null(-1).to_numpy()
        cuts = [0, *(np.flatnonzero(np.diff(clusters)) + 1).tolist(), batch.num_rows]
        for first, end in itertools.pairwise(cuts):
            if first == end:
                continue
            part = batch.slice(first, end - first)
            cluster = int(clusters[first])
            if cluster < 0:
                yield _skipped(part)
                continue
            if cluster != last:  # a cluster may go on in the next batch
                members, ids, last = EarlierMembers(memory_bytes=memory_bytes), [], cluster
            yield _of_one_cluster(part, members, ids, epsilon=epsilon)


def _of_one_cluster(
    batch: pa.RecordBatch, members: EarlierMembers, ids: list[str], *, epsilon: float
) -> pa.RecordBatch:
    """Rows of a run of members of one cluster; they join `members` and `ids`."""
    vectors = matrix_of(batch.column("image_vector"))
    good = usable(vectors)
    ids += batch.column("sample_id").filter(pa.array(good)).to_pylist()
    nearest, similarity = members.compare_and_add(vectors[good])
    duplicate = is_duplicate(similarity, epsilon)
    rows = np.flatnonzero(good)
    all_similarity = np.full(len(good), np.nan)
    all_similarity[rows] = similarity
    marked = np.zeros(len(good), bool)
    marked[rows] = duplicate
    duplicate_of: list[str | None] = [None] * len(good)
    for row, earlier in zip(rows[duplicate].tolist(), nearest[duplicate].tolist(), strict=True):
        duplicate_of[row] = ids[earlier]
    return _record(
        batch,
        pa.array(marked, mask=~good),
        pa.array(duplicate_of, pa.string()),
        pa.array(all_similarity, mask=np.isnan(all_similarity)),
        pa.array(["ok" if one else "failed" for one in good]),
        pa.array([None if one else "the image vector is zero or not finite" for one in good], pa.string()),
    )


def _skipped(batch: pa.RecordBatch) -> pa.RecordBatch:
    rows = batch.num_rows
    nulls = (pa.nulls(rows, kind) for kind in (pa.bool_(), pa.string(), pa.float64()))
    return _record(batch, *nulls, pa.array(["skipped"] * rows), batch.column("reason"))


def _record(batch: pa.RecordBatch, *columns: Any) -> pa.RecordBatch:
    keys = [batch.column(name) for name in (*KEY_COLUMNS, "cluster")]
    return pa.RecordBatch.from_arrays([*keys, *columns], names=_OUTPUT)
