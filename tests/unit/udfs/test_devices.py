from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pyspark
import pytest

from udfs.devices import is_out_of_memory, pin_gpu


@pytest.fixture
def task(monkeypatch):
    """A stand-in for a task that Spark gave GPU 3, in a process that has not imported torch."""
    resources = {"gpu": SimpleNamespace(name="gpu", addresses=["3"])}
    context = SimpleNamespace(resources=lambda: resources)
    monkeypatch.setattr(pyspark.TaskContext, "get", classmethod(lambda cls: context))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return resources


def test_a_worker_sees_only_its_tasks_gpu(task):
    pin_gpu()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


def test_without_a_scheduled_gpu_nothing_changes(task):
    task.clear()
    pin_gpu()
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_after_torch_is_imported_it_is_too_late(task, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    pin_gpu()
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_outside_a_task_nothing_changes(task, monkeypatch):
    monkeypatch.setattr(pyspark.TaskContext, "get", classmethod(lambda cls: None))
    pin_gpu()
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected
