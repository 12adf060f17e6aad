"""A worker's model: loaded once, out of the garbage collector's way, and gone when another one comes."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass

import pytest

from udfs import adapter


class Model:
    """Refers to itself, so that only the garbage collector frees it."""

    def __init__(self):
        self.itself = self


@dataclass(frozen=True)
class Factory:
    name: str

    def load(self):
        return Model()


@pytest.fixture(autouse=True)
def nothing_loaded():
    adapter._forget()
    yield
    adapter._forget()


def test_a_model_is_loaded_once_and_not_looked_through_again():
    model = adapter.load_once(Factory("one"))
    assert adapter.load_once(Factory("one")) is model
    assert gc.get_freeze_count() > 0
    assert not any(found is model for found in gc.get_objects())


def test_another_model_takes_its_place():
    former = weakref.ref(adapter.load_once(Factory("one")))
    assert former() is not None
    adapter.load_once(Factory("two"))
    assert former() is None
