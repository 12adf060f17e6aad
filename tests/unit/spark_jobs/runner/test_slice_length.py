from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from spark_jobs.runner.slices import slice_length
from spark_jobs.session import task_slots


@pytest.mark.parametrize(
    ("samples", "length"),
    [
        ([4] * 8, 1),  # a batch is the least
        ([320], 2),
        ([317, 1], 2),
        ([640], 4),
        ([100_000], 4),
        ([], 1),
    ],
)
def test_a_core_has_twenty_slices_where_the_batches_are_there(samples, length):
    found = slice_length(samples, batch_size=4, most=4, slots=2)
    assert found == length
    batches = sum(math.ceil(count / 4) for count in samples)
    assert batches < 40 or batches / found >= 40


@pytest.mark.parametrize(
    ("master", "parallelism", "slots"),
    [
        ("local", 9, 1),
        ("local[2]", 9, 2),
        ("local[16,2]", 9, 16),
        ("yarn", 48, 48),
        ("spark://host:7077", 0, 1),
    ],
)
def test_slots_are_those_of_the_master(master, parallelism, slots):
    context = SimpleNamespace(master=master, defaultParallelism=parallelism)
    assert task_slots(SimpleNamespace(sparkContext=context)) == slots


def test_all_cores_of_this_machine(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert task_slots(SimpleNamespace(sparkContext=SimpleNamespace(master="local[*,2]"))) == 6
