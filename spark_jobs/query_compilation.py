"""Whether a local session compiles its queries: not those over a few rows, which take longer to compile than to run.

A demo of 240 samples takes 96 s with interpreted queries and 111 s with compiled ones; `statistics` alone costs as
much either way at 10,000 samples, and a quarter more interpreted at 50,000 (two cores of an EPYC).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from schemas import samples
from spark_jobs.access_mode import is_remote
from spark_jobs.session import is_local, on_cluster
from spark_jobs.warehouse.query_cache import Question

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.sections import SessionConfig
    from spark_jobs.warehouse.tables import Tables

FEW_SAMPLES = 10_000
# Interpreted and compiled. The second is the only switch for projections and predicates, and most of the gain (the
# first alone: 110 s); Spark has it for its tests, and a few of its own listings (`spark.catalog`) need compiled ones.
_SETTINGS = {
    "spark.sql.codegen.wholeStage": ("false", "true"),
    "spark.sql.codegen.factoryMode": ("NO_CODEGEN", "FALLBACK"),
}
_ROWS = Question("rows of all datasets", version=1)


@contextlib.contextmanager
def fitted_to_size(tables: Tables, config: SessionConfig) -> Iterator[Callable[[], None]]:
    """Have queries inside compiled where the warehouse has many samples, and interpreted where it has few.

    A cluster's session is left as it is, and one whose settings say something of it.

    Args:
        tables: The warehouse; without samples it has few.
        config: The session's settings.

    Yields:
        What looks again, for when there may be more samples.
    """
    if not _is_ours(tables.spark) or config.spark.keys() & _SETTINGS.keys():
        yield lambda: None
        return
    conf = tables.spark.conf
    before = {name: conf.get(name) for name in _SETTINGS}

    def fit() -> None:
        is_compiled = _samples(tables) >= FEW_SAMPLES
        for name, values in _SETTINGS.items():
            conf.set(name, values[is_compiled])

    try:
        fit()
        yield fit
    finally:
        # The session may be a notebook's. After an error it may be gone, which is not what is to be told.
        with contextlib.suppress(Exception):
            for name, value in before.items():
                conf.set(name, str(value))


def _is_ours(spark: SparkSession) -> bool:
    return not (on_cluster() or is_remote(spark)) and is_local(spark)


def _samples(tables: Tables) -> int:
    if not tables.exists(samples.TABLE):
        return 0
    return int(tables.answer(samples.TABLE, _ROWS, lambda: tables.read(samples.TABLE).count()))
