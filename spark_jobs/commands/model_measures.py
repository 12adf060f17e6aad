"""Read what the tables say of each CLIP model, each under its newest run key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schemas import (
    caption_overlap,
    clip_embeddings,
    cluster_assignments,
    stage_runs,
    stat_synthetic_text,
    text_removal_scores,
)
from schemas._table import TableSpec
from spark_jobs.sql.statistics import clip_score_steps
from spark_jobs.sql.steps import Step, run_steps
from spark_jobs.sql.text_removal import relative_score_steps, text_removal_steps
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.warehouse.tables import Tables

_SYNC = "vocabulary = 'caption_1gram' AND style = 'all' AND grouping = 'all'"

Measures = dict[str, float | None]


def measures_by_model(spark: SparkSession, tables: Tables, dataset: str) -> dict[str, Measures]:
    """What is known of each model that has scored a dataset, from every table that holds such scores.

    Args:
        spark: The session.
        tables: The warehouse.
        dataset: The dataset.

    Returns:
        By model, in order: `images_TYPE`, `mean_TYPE` of the six image types of the text removal; `RSA`, `RSC`
        and `co_minus_all` as `mean_`, `std_` and `share_below_zero_`; `mean_clip_score_TYPE` of the three
        image types; `mean_sync`, `std_sync`. A measure is absent where its table is.
    """
    found: dict[str, Measures] = {}
    reading = _Reading(tables, dataset)
    scores = reading.newest(text_removal_scores.TABLE)
    if scores is not None:
        assignments = reading.current(cluster_assignments.TABLE)
        if assignments is None:
            assignments = spark.createDataFrame([], cluster_assignments.TABLE.schema)
        frames = {"scores": scores, "assignments": assignments}
        by_type = ("images", "mean", "mean_over_groups", "spread_over_groups")
        _take(found, _rows(spark, text_removal_steps(), frames), by="image_type", names=by_type)
        relative = _rows(spark, relative_score_steps(), {"scores": scores})
        _take(found, relative, by="relative_score", names=("mean", "std", "share_below_zero"))
    embeddings, overlap = (
        reading.newest(clip_embeddings.TABLE),
        reading.current(caption_overlap.TABLE),
    )
    if embeddings is not None and overlap is not None:
        rows = _rows(spark, clip_score_steps(), {"overlap": overlap, "embeddings": embeddings})
        renamed = [{**row, "mean_clip_score": row["mean"]} for row in rows]
        _take(found, renamed, by="image_type", names=("mean_clip_score",))
    sync = reading.newest(stat_synthetic_text.TABLE)
    if sync is not None:
        rows = [{**row.asDict(), "of": "sync"} for row in sync.where(_SYNC).collect()]
        _take(found, rows, by="of", names=("mean", "std"))
    return dict(sorted(found.items()))


class _Reading:
    """One dataset's tables."""

    def __init__(self, tables: Tables, dataset: str) -> None:
        self._tables = tables
        self._dataset = dataset
        self._current = current_run_keys(tables)

    def current(self, spec: TableSpec) -> DataFrame | None:
        """A table's rows under its current run key; None where there are none."""
        run_key = self._current.get((self._dataset, spec.name))
        return None if run_key is None else self._tables.read(spec, dataset=self._dataset, run_key=run_key)

    def newest(self, spec: TableSpec) -> DataFrame | None:
        """Rows of every model of a table, each under one run key: the current one, else the last finished."""
        from pyspark.sql import functions as F

        if not self._tables.exists(spec):
            return None
        frame = self._tables.read(spec, dataset=self._dataset)
        ended = self._ended(spec)
        pairs = frame.select("model", "run_key").distinct().collect()
        in_time = sorted(pairs, key=lambda row: (ended.get(row["run_key"], 0.0), row["run_key"]))
        chosen: dict[str, str] = {row["model"]: row["run_key"] for row in in_time}
        if not chosen:
            return None
        wanted = F.lit(False)
        for model, run_key in chosen.items():
            wanted = wanted | ((F.col("model") == model) & (F.col("run_key") == run_key))
        return frame.where(wanted)

    def _ended(self, spec: TableSpec) -> dict[str, float]:
        """When each run key of a table was finished last, s; the current one after all others."""
        from pyspark.sql import functions as F

        ended: dict[str, float] = {}
        if self._tables.exists(stage_runs.TABLE):
            log = self._tables.read(stage_runs.TABLE, dataset=self._dataset)
            finished = log.where((F.col("event") == "finished") & (F.col("table_name") == spec.name))
            at = F.max(F.col("started_at").cast("double") + F.col("seconds")).alias("at")
            ended = {row["run_key"]: row["at"] for row in finished.groupBy("run_key").agg(at).collect()}
        current = self._current.get((self._dataset, spec.name))
        return ended if current is None else {**ended, current: float("inf")}


def _rows(spark: SparkSession, steps: list[Step], frames: Mapping[str, DataFrame]) -> list[dict[str, Any]]:
    return [row.asDict() for row in run_steps(spark, steps, frames).collect()]


def _take(
    found: dict[str, Measures], rows: Sequence[Mapping[str, Any]], *, by: str, names: Sequence[str]
) -> None:
    for row in rows:
        measures = found.setdefault(row["model"], {})
        measures.update({f"{name}_{row[by]}": row[name] for name in names})
