"""The Arrow function of stage `aesthetic`: each sample's score by one head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from schemas import aesthetic_scores
from schemas._table import KEY_COLUMNS
from udfs.aesthetic import AestheticHead, scores
from udfs.vectors import embedded_rows, skip_reasons, vectors_of

_OUTPUT = aesthetic_scores.TABLE.worker_schema().names
_REASONS = {"ok": None, "failed": "the image vector is not finite"}


def score_rows(batches: Iterable[pa.RecordBatch], *, head: AestheticHead) -> Iterator[pa.RecordBatch]:
    """One row per row, in order.

    Args:
        batches: The key, and `udfs.vectors.VECTOR_COLUMNS`.
        head: The head.
    """
    for batch in batches:
        embedded = embedded_rows(batch)
        score = np.zeros(batch.num_rows, np.float32)
        if embedded.any():
            score[embedded] = scores(vectors_of(batch, embedded), head)
        status = np.where(embedded, np.where(np.isfinite(score), "ok", "failed"), "skipped")
        errors = [
            _REASONS.get(one, reason)
            for one, reason in zip(status.tolist(), skip_reasons(batch), strict=True)
        ]
        yield pa.RecordBatch.from_arrays(
            [
                *map(batch.column, KEY_COLUMNS),
                pa.array([head.file.name] * batch.num_rows, pa.string()),
                pa.array(score, mask=status != "ok"),
                pa.array(status.tolist(), pa.string()),
                pa.array(errors, pa.string()),
            ],
            names=_OUTPUT,
        )
