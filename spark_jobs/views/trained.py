"""View of trained models: what training on each subset gives."""

from __future__ import annotations

from pyspark.sql.types import StringType

from schemas import evaluation_results, training_runs
from schemas._table import SAMPLE_KEY, column
from spark_jobs.views.view import Relations, View

_OF_TRAINING = ("training", "subset_id", "model", "seed", "samples_seen", "loss")
_OF_EVALUATION = ("task", "metric", "value", "low", "high", "chance")


def _training_results(relations: Relations) -> str:
    columns = [
        *(f"t.{name}" for name in ("dataset", *_OF_TRAINING)),
        "e.dataset AS evaluated_on",
        *(f"e.{name}" for name in _OF_EVALUATION),
    ]
    return (
        f"SELECT {', '.join(columns)} FROM {relations.current(training_runs.TABLE)} t "
        f"JOIN {relations.current(evaluation_results.TABLE)} e ON t.training = e.training"
    )


TRAINING_RESULTS = View(
    "training_results",
    "one number about one model that was trained on a subset",
    (
        SAMPLE_KEY[0],
        *(training_runs.TABLE.schema[name] for name in _OF_TRAINING),
        column("evaluated_on", StringType(), "Dataset whose tables gave words and text removal"),
        *(evaluation_results.TABLE.schema[name] for name in _OF_EVALUATION),
    ),
    _training_results,
    reads=(training_runs.TABLE, evaluation_results.TABLE),
)
