"""Read the measures of a subset from the tables: one frame with a row per sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from schemas import TABLES
from schemas._table import KEY_COLUMNS
from spark_jobs.errors import StageError
from spark_jobs.subsets.measures import Measure
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_jobs.warehouse.tables import Tables


def is_costly(upstream: Mapping[str, str], wanted: Iterable[Measure]) -> bool:
    """Whether the frame of measures costs more to make twice than to keep: joins, Python workers."""
    return len(upstream) > 1 or any(measure.worker for measure in wanted)


def measures_frame(
    tables: Tables,
    dataset: str,
    *,
    upstream: Mapping[str, str],
    wanted: Iterable[Measure],
    models: Mapping[str, str] | None = None,
) -> DataFrame:
    """One row per sample: the key, and a column for each measure wanted. Reads only the tables of `upstream`.

    A sample without a row in a table has nulls there.

    Args:
        tables: The warehouse.
        dataset: The dataset.
        upstream: Run key by table.
        wanted: The measures.
        models: CLIP model by table that holds several; where none is named, that of `clip_embeddings`.
    """
    from pyspark.sql import functions as F

    frame: DataFrame | None = None
    for table, run_key in upstream.items():
        own = [measure for measure in sorted(set(wanted)) if measure.table == table]
        rows = _of_one_model(tables, dataset, table, run_key=run_key, model=(models or {}).get(table))
        rows = rows.selectExpr(*KEY_COLUMNS, *(f"{measure.sql} AS {measure.column}" for measure in own))
        for measure in own:
            if measure.worker is not None:
                computed = F.pandas_udf(measure.worker.load(), "string")  # type: ignore[attr-defined]
                rows = rows.withColumn(measure.column, computed(F.col(measure.column)))
        frame = rows if frame is None else frame.join(rows, list(KEY_COLUMNS), "left")
    assert frame is not None, "samples are always read"
    return frame


def _of_one_model(tables: Tables, dataset: str, table: str, *, run_key: str, model: str | None) -> DataFrame:
    """A table's rows; of those that hold several models side by side, one: as named, else that of `clip_embeddings`.

    Raises:
        StageError: If there are several models and none is that of `clip_embeddings`.
    """
    rows = tables.read(TABLES[table], dataset=dataset, run_key=run_key, whole=True)
    if "model" not in TABLES[table].key:
        return rows
    if model is not None:
        return rows.where(rows["model"] == model)
    models = _models(rows)
    if len(models) < 2:
        return rows
    embedded = current_run_keys(tables).get((dataset, "clip_embeddings"))
    own = tables.read(TABLES["clip_embeddings"], dataset=dataset, run_key=embedded)
    shared = [model for model in models if embedded is not None and model in _models(own)]
    if not shared:
        raise StageError(
            f"table {table} of dataset {dataset} holds several models ({', '.join(models)}), and none is that of "
            "clip_embeddings: run `parrot run embed` with the one that the subset is meant for"
        )
    return rows.where(rows["model"] == shared[0])


def _models(rows: DataFrame) -> list[str]:
    return sorted(row["model"] for row in rows.select("model").distinct().collect())
