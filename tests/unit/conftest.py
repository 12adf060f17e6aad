"""In unit tests a warning is an error: ours are mended, these are other people's."""

from __future__ import annotations

from pathlib import Path

import pytest

FILTERS = (
    "error",
    # webdataset leaves the tar that it has read to the garbage collector.
    r"ignore:unclosed file <_io.BufferedReader name=.*\.tar.>:ResourceWarning",
    # What the garbage collector finds unclosed or unawaited, it reports in whichever test it happens to run.
    "ignore::pytest.PytestUnraisableExceptionWarning",
    # clip_benchmark takes an array of one number for a number.
    "ignore:Conversion of an array with ndim > 0 to a scalar is deprecated:DeprecationWarning:clip_benchmark",
    # MLflow's store asks SQLAlchemy for it.
    "ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning",
    # torch wants TorchScript no more; OpenAI's checkpoints are nothing else.
    r"ignore:.*torch\.jit\..* is deprecated:DeprecationWarning",
    # fsspec of Databricks' runtimes (2023.5) dates files in memory in a way that Python 3.12 deprecates.
    r"ignore:datetime\.datetime\.utcnow\(\) is deprecated:DeprecationWarning:fsspec",
)
FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; later filters go before earlier ones."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(*FILTERS))
