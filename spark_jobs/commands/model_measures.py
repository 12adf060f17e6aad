"""Read what the tables say of each CLIP model, each under its newest run key."""

from __future__ import annotations

import json
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
from spark_jobs.runner.model_run_keys import run_keys_by_model
from spark_jobs.sql.statistics import clip_score_steps
from spark_jobs.sql.steps import Step, run_steps
from spark_jobs.sql.text_removal import relative_score_steps, text_removal_steps
from spark_jobs.warehouse.views import current_run_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.warehouse.tables import Tables

_SYNC = "vocabulary = 'caption_1gram' AND style = 'all' AND grouping = 'all'"

Measures = dict[str, float | None]


def measures_by_model(
    spark: SparkSession, tables: Tables, dataset: str
) -> tuple[dict[str, Measures], dict[str, list[str]]]:
    """What is known of each model that has scored a dataset, from every table that holds such scores.

    Only scores of equal settings are compared: of one fill, one overlap, one vocabulary and font.

    Args:
        spark: The session.
        tables: The warehouse.
        dataset: The dataset.

    Returns:
        By model, in order: `images_TYPE`, `mean_TYPE` of the six image types of the text removal; `RSA`, `RSC`
        and `co_minus_all` as `mean_`, `std_` and `share_below_zero_`; `mean_clip_score_TYPE` of the three
        image types; `mean_sync`, `std_sync`. A measure is absent where its table is. And by table the models that
        were left out, because their scores are of other settings than those that the table shows.
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
    return dict(sorted(found.items())), reading.left_out


class _Reading:
    """One dataset's tables.

    Attributes:
        left_out: Models whose scores cannot be compared, by table.
    """

    def __init__(self, tables: Tables, dataset: str) -> None:
        self._tables = tables
        self._dataset = dataset
        self._current = current_run_keys(tables)
        self._logged = _logged(tables, dataset)
        self.left_out: dict[str, list[str]] = {}

    def current(self, spec: TableSpec) -> DataFrame | None:
        """A table's rows under its current run key; None where there are none."""
        run_key = self._current.get((self._dataset, spec.name))
        return None if run_key is None else self._tables.read(spec, dataset=self._dataset, run_key=run_key)

    def newest(self, spec: TableSpec) -> DataFrame | None:
        """Rows of every model of a table, each under its newest run key of equal settings.

        What is compared with is what the table shows: the current run key, else the last finished.
        """
        from pyspark.sql import functions as F

        found = run_keys_by_model(self._tables, spec, self._dataset, current=self._current)
        if not found:
            return None
        shown = self._current.get((self._dataset, spec.name)) or max(keys[-1] for keys in found.values())
        wanted_settings = self._settings(spec, shown)
        wanted = F.lit(False)
        for model, keys in found.items():
            alike = [key for key in keys if self._settings(spec, key) == wanted_settings]
            if not alike:
                self.left_out.setdefault(spec.name, []).append(model)
                continue
            wanted = wanted | ((F.col("model") == model) & (F.col("run_key") == alike[-1]))
        return self._tables.read(spec, dataset=self._dataset).where(wanted)

    def _settings(self, spec: TableSpec, run_key: str) -> Any:
        """What must be equal for two models' scores to be compared: fill, overlap, vocabulary, font, images."""
        logged = self._logged.get((spec.name, run_key), {})
        reads = dict(logged.get("reads", {}))
        if spec == stat_synthetic_text.TABLE:
            scores = self._logged.get(("synthetic_text_scores", reads.pop("synthetic_text_scores", "")), {})
            return [reads, _without_models(scores)]
        if spec == clip_embeddings.TABLE:
            return reads
        return [reads, _without_models(logged)]


def _without_models(logged: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in logged.get("params", {}).items() if name != "models"}


def _logged(tables: Tables, dataset: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What each run key was computed with and from, by table and run key."""
    if not tables.exists(stage_runs.TABLE):
        return {}
    finished = tables.read(stage_runs.TABLE, dataset=dataset).where("event = 'finished'")
    rows = finished.select("table_name", "run_key", "params").distinct().collect()
    return {(row["table_name"], row["run_key"]): json.loads(row["params"] or "{}") for row in rows}


def _rows(spark: SparkSession, steps: list[Step], frames: Mapping[str, DataFrame]) -> list[dict[str, Any]]:
    return [row.asDict() for row in run_steps(spark, steps, frames).collect()]


def _take(
    found: dict[str, Measures], rows: Sequence[Mapping[str, Any]], *, by: str, names: Sequence[str]
) -> None:
    for row in rows:
        measures = found.setdefault(row["model"], {})
        measures.update({f"{name}_{row[by]}": row[name] for name in names})
