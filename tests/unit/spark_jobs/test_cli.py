from __future__ import annotations

import pytest

from spark_jobs.errors import sentence
from spark_jobs.tracking import without_password

WORKER = """An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "/x/udfs/adapter.py", line 9, in predict_all
    raise RuntimeError(
RuntimeError: out of memory on a single image (sample 12): CUDA out of memory

During handling of the above exception, another exception occurred:
"""
JAVA = """An error occurred while calling o55.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Python worker exited unexpectedly (crashed)
\tat org.apache.spark.Some.method(Some.scala:1)
"""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError(WORKER), "RuntimeError: out of memory on a single image (sample 12): CUDA out of memory"),
        (
            ValueError(JAVA),
            "Python worker exited unexpectedly (crashed) at each attempt: the machine may lack memory",
        ),
        (KeyError("plain"), "KeyError: 'plain'"),
        (ValueError(), "ValueError"),
    ],
)
def test_an_unexpected_error_is_told_in_its_own_words(error, told):
    assert told in sentence(error)
    assert "\n" not in sentence(error)


def test_addresses_are_shown_without_passwords():
    assert without_password("https://me:secret@host/path") == "https://***@host/path"
    assert without_password("sqlite:///folder/mlflow.db") == "sqlite:///folder/mlflow.db"
