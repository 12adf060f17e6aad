"""Open a feed by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spark_jobs.training.feeds.base import Feed, FeedSpec, Source
from spark_jobs.training.feeds.parquet import ParquetSource
from spark_jobs.training.feeds.petastorm import PetastormSource
from spark_jobs.training.feeds.webdataset import WebdatasetSource

_SOURCES: dict[str, Callable[[FeedSpec], Source]] = {
    "parquet": ParquetSource,
    "webdataset": WebdatasetSource,
    "petastorm": PetastormSource,
}


def open_feed(name: str, spec: FeedSpec, tokenise: Callable[[list[str]], Any]) -> Feed:
    """Open a feed for one process.

    Args:
        name: parquet, webdataset or petastorm.
        spec: What it reads, and for which process.
        tokenise: Captions to token tensor (pairs, context length).

    Raises:
        ConfigError: If the library it needs is not installed.
    """
    return Feed(_SOURCES[name](spec), spec, tokenise)
