"""The Arrow functions that stages give to Spark, without Spark; and that they go to workers by name."""

from __future__ import annotations

import functools
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark import cloudpickle

from spark_jobs.sources.fetch_rows import fetch_rows
from spark_jobs.sources.source_rows import source_rows
from udfs.aesthetic import AestheticHead
from udfs.aesthetic_rows import score_rows
from udfs.cluster_rows import assign_rows
from udfs.clustering import ClusterModel
from udfs.duplicate_rows import compare_rows
from udfs.gram_rows import count_caption_grams
from udfs.overlap_rows import measure_overlap
from udfs.vectors import embedded_rows, matrix_of
from udfs.weights import WeightFile

HEAD = AestheticHead(WeightFile("head.pth", "00", Path("head.pth")), "ViT-B-32", np.array([1.0, 2.0]), 0.5)
MODEL = ClusterModel(
    mean=np.zeros(2, np.float32),
    components=np.eye(2, dtype=np.float32),
    centroids=np.array([[0, 0], [10, 0]], np.float32),
    groups=np.array([1, 0], np.int32),
    sizes=np.array([1, 1]),
)


def batch(vectors: list[list[float] | None], **others: list[object]) -> pa.RecordBatch:
    rows = len(vectors)
    given = {
        "shard_id": ["s"] * rows,
        "sample_id": [str(row) for row in range(rows)],
        "image_vector": pa.array(vectors, pa.list_(pa.float32())),
        "embed_status": ["ok"] * rows,
        "embed_error": pa.array([None] * rows, pa.string()),
    }
    return pa.RecordBatch.from_pydict({**given, **others})


def test_a_sample_without_a_vector_is_skipped_with_the_reason():
    rows = batch(
        [[9.0, 1.0], None, [1.0, 1.0], None],
        embed_status=["ok", "failed", "failed", "ok"],
        embed_error=[None, "broken", "odd", None],
    )
    assert embedded_rows(rows).tolist() == [True, False, False, False]
    expected = ["embed: broken", "embed: odd", "embed: no image vector"]
    (assigned,) = assign_rows([rows], model=MODEL)
    assert assigned.column("cluster").to_pylist() == [1, None, None, None]
    assert assigned.column("cluster_group").to_pylist() == [0, None, None, None]
    assert assigned.column("distance")[0].as_py() == pytest.approx(2**0.5)
    (scored,) = score_rows([rows], head=HEAD)
    assert scored.column("aesthetic_score").to_pylist() == [11.5, None, None, None]
    for made in (assigned, scored):
        assert made.column("status").to_pylist() == ["ok", "skipped", "skipped", "skipped"]
        assert made.column("error").to_pylist() == [None, *expected]


def test_without_a_model_every_sample_is_skipped():
    (made,) = assign_rows([batch([[1.0, 2.0]])], model=None)
    assert made.column("status").to_pylist() == ["skipped"]
    assert made.column("model_version").to_pylist() == [None]


def test_a_vector_that_is_not_finite_fails_the_score_of_its_row_alone():
    (made,) = score_rows([batch([[float("nan"), 1.0], [0.0, 1.0]])], head=HEAD)
    assert made.column("status").to_pylist() == ["failed", "ok"]
    assert made.column("error").to_pylist() == ["the image vector is not finite", None]


def test_a_cluster_goes_on_in_the_next_batch():
    first = batch([[1.0, 0.0]], cluster=pa.array([3], pa.int32()), reason=pa.array([None], pa.string()))
    second = batch(
        [[1.0, 0.0], None],
        sample_id=["8", "9"],
        cluster=pa.array([3, None], pa.int32()),
        reason=pa.array([None, "why"], pa.string()),
    )
    made = pa.Table.from_batches(compare_rows([first, second], epsilon=0.1, memory_bytes=10**6)).to_pylist()
    assert [row["duplicate_of"] for row in made] == [None, "0", None]
    assert [(row["status"], row["error"]) for row in made] == [("ok", None), ("ok", None), ("skipped", "why")]


def test_vectors_of_different_widths_are_refused():
    with pytest.raises(ValueError, match="one width"):
        matrix_of(pa.array([[1.0], [1.0, 2.0]], pa.list_(pa.float32())))


@pytest.mark.parametrize(
    "function",
    [
        functools.partial(assign_rows, model=None),
        functools.partial(score_rows, head=None),
        functools.partial(compare_rows, epsilon=0.1, memory_bytes=1),
        functools.partial(fetch_rows, options=None, output=None),
        functools.partial(source_rows, reading=None, output=None),
        count_caption_grams,
        functools.partial(measure_overlap, rules=None),
    ],
    ids=lambda function: getattr(function, "func", function).__name__,
)
def test_worker_functions_are_pickled_by_reference(function):
    # A function that is pickled by value takes copies of the globals it names to the worker.
    own = getattr(function, "func", function)
    sent = cloudpickle.dumps(function)
    again = pickle.loads(sent)
    assert getattr(again, "func", again) is own
    assert own.__code__.co_code not in sent
