"""A model in a child process: what kills it is told, found, and costs one image."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from tests.crashing_model import ObedientFactory
from udfs.adapter import predict_all
from udfs.model_apart import ModelApart, ModelCrash


@pytest.fixture
def model():
    model = ModelApart(ObedientFactory())
    yield model
    model.close()


def batch(model, *captions):
    images = [model.prepare(np.full((2, 3, 3), 10 * n + 10, np.uint8)) for n in range(len(captions))]
    return images, [{"caption": caption, "sample_id": str(n)} for n, caption in enumerate(captions)]


def test_results_are_the_models_and_come_from_one_child(model):
    first = model.predict(*batch(model, "a", "b", "c"))
    second = model.predict(*batch(model, "d"))
    assert [row["brightness"] for row in first] == [10, 20, 30]
    (process,) = {row["process"] for row in first + second}
    assert process != os.getpid()


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("signal 11", r"crashed \(signal 11\)"),
        ("signal 6", r"\(signal 6\)"),
        ("exit 3", r"ended \(exit code 3\)"),
    ],
)
def test_an_image_that_kills_the_process_is_found_in_its_batch(model, order, reason):
    outcomes = predict_all(model, *batch(model, "a", "b", order, "c", "d"))
    crash = outcomes.pop(2)
    assert isinstance(crash, ModelCrash)
    with pytest.raises(ModelCrash, match=reason):
        raise crash
    assert [row["brightness"] for row in outcomes] == [10, 20, 40, 50]


def test_what_the_model_raises_is_raised_here_and_the_child_lives_on(model):
    (before,) = model.predict(*batch(model, "a"))
    with pytest.raises(ValueError, match="the model refuses"):
        model.predict(*batch(model, "raise"))
    assert model.predict(*batch(model, "a")) == [before]


def test_a_child_that_the_system_kills_is_a_want_of_memory_not_a_bad_image(model):
    with pytest.raises(
        RuntimeError, match=r"out of memory on a single image \(sample 0\): .*killed \(signal 9\)"
    ):
        predict_all(model, *batch(model, "signal 9"))


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [("no weights", FileNotFoundError, "^no weights$"), ("exit", RuntimeError, r"ended \(exit code 4\)")],
)
def test_a_model_that_does_not_load_is_no_fault_of_an_image(fault, error, reason):
    with pytest.raises(error, match=reason):
        ModelApart(ObedientFactory(fault))


def test_an_image_that_kills_where_it_is_prepared_is_told_at_once(model):
    with pytest.raises(ModelCrash, match=r"crashed \(signal 11\)"):
        model.prepare(np.zeros((2, 3, 3), np.uint8))
    (row,) = model.predict(*batch(model, "a"))
    assert row["brightness"] == 10


def test_a_model_that_prepares_rows_is_told_from_one_that_does_not(model):
    assert model.prepare_row is None
    by_row = ModelApart(ObedientFactory(takes_rows=True))
    assert by_row.prepare_row(np.zeros((2, 3, 3), np.uint8), {"caption": "four"}) == 4
    by_row.close()


def test_closing_ends_the_child(model):
    ((row),) = model.predict(*batch(model, "a"))
    model.close()
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{row['process']}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{row['process']}")
