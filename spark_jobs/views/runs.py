"""Views of what ran: jobs, failures, and the numbers of earlier runs."""

from __future__ import annotations

from pyspark.sql.types import ArrayType, DoubleType, LongType, StringType, TimestampType

from schemas import ALL_TABLES, stage_runs, stat_overall
from schemas._table import KEY_COLUMNS, SAMPLE_KEY, column
from spark_jobs.pipeline import maker_of
from spark_jobs.views.expressions import error_code
from spark_jobs.views.view import Relations, View

_SAMPLE_TABLES = [
    spec for spec in ALL_TABLES if {*KEY_COLUMNS, "status", "error"} <= set(spec.columns) and spec.has_run_key
]


# A timestamp in seconds since 1970.
_STARTED = "unix_micros(started_at) / 1000000"


def _failures(relations: Relations) -> str:
    rows = " UNION ALL ".join(
        f"SELECT dataset, '{spec.name}' AS table_name, '{maker_of(spec.name)}' AS maker, status, error, sample_id "
        f"FROM {relations.current(spec)} WHERE status <> 'ok'"
        for spec in _SAMPLE_TABLES
    )
    return f"""SELECT f.dataset, coalesce(l.stage, f.maker) AS stage, f.table_name, f.status,
  {error_code("f.error")} AS error_code, count(*) AS samples, min(f.error) AS an_error,
  min_by(f.sample_id, f.error) AS a_sample
FROM ({rows}) f
LEFT JOIN (
  SELECT dataset, table_name, max_by(stage, started_at) AS stage FROM {relations.current(stage_runs.TABLE)}
  WHERE event = 'finished' GROUP BY dataset, table_name
) l ON f.dataset = l.dataset AND f.table_name = l.table_name
GROUP BY 1, 2, 3, 4, 5"""


FAILURES = View(
    "failures",
    "one kind of error of one stage, and how many samples have it",
    (
        SAMPLE_KEY[0],
        column("stage", StringType(), "Stage that met it"),
        column("table_name", StringType(), "Table that holds the rows"),
        column(
            "status", StringType(), "failed: this stage could not do it; skipped: an earlier one could not"
        ),
        column(
            "error_code",
            StringType(),
            "http_404, timed_out, else the first words of the error; null without one",
        ),
        column("samples", LongType(), "Samples with it"),
        column("an_error", StringType(), "One of the errors, whole"),
        column("a_sample", StringType(), "sample_id of the sample that it happened to"),
    ),
    _failures,
    reads=(*_SAMPLE_TABLES, stage_runs.TABLE),
)


def _job_runs(relations: Relations) -> str:
    return f"""SELECT run_id, stage, dataset, min(started_at) AS started_at,
  max(ended) - min({_STARTED}) AS seconds,
  sum(rows_out) AS rows, sum(rows_failed) AS failed, sum(rows_skipped) AS skipped,
  CASE WHEN bool_or(has_failed) THEN 'failed' WHEN bool_and(has_finished) THEN 'finished' ELSE 'not_finished' END
    AS outcome,
  array_sort(collect_list(table_name)) AS tables, max(parrot_version) AS parrot_version,
  max(mlflow_run_id) AS mlflow_run_id
FROM (
  SELECT run_id, stage, dataset, table_name, min(started_at) AS started_at,
    max({_STARTED} + seconds) AS ended,
    bool_or(event = 'failed') AND NOT bool_or(event = 'finished') AS has_failed,
    bool_or(event = 'finished') AS has_finished,
    {_counted("rows_out")}, {_counted("rows_failed")}, {_counted("rows_skipped")},
    max(parrot_version) AS parrot_version, max(mlflow_run_id) AS mlflow_run_id
  FROM {relations.current(stage_runs.TABLE)}
  GROUP BY run_id, stage, dataset, table_name
) GROUP BY run_id, stage, dataset"""


def _counted(name: str) -> str:
    # Of chunks and the stage's own end what counts more: a stage that was killed has only chunks. Ingest logs each
    # sample for two tables.
    one = f"greatest(sum(IF(event = 'chunk', {name}, 0)), max(IF(event <> 'chunk', {name}, 0)))"
    return f"IF(stage = 'ingest' AND table_name = 'images', 0, {one}) AS {name}"


JOB_RUNS = View(
    "job_runs",
    "one stage of one `parrot run` on one dataset",
    (
        column("run_id", StringType(), "One `parrot run`"),
        column("stage", StringType(), "Stage name"),
        SAMPLE_KEY[0],
        column("started_at", TimestampType(), "Start, UTC"),
        column("seconds", DoubleType(), "Wall time until its last entry in the log, s"),
        column("rows", LongType(), "Rows written, of any status, of all its tables; of ingest its samples"),
        column("failed", LongType(), "Rows with status failed among them"),
        column("skipped", LongType(), "Rows with status skipped among them"),
        column("outcome", StringType(), "finished, failed, or not_finished: it runs still, or was killed"),
        column("tables", ArrayType(StringType()), "Tables that it wrote"),
        column("parrot_version", StringType(), "Version of the code"),
        column("mlflow_run_id", StringType(), "MLflow run of the stage, where tracked"),
    ),
    _job_runs,
    reads=(stage_runs.TABLE,),
)

_OVERALL = [
    field.name for field in stat_overall.TABLE.result_fields() if not field.name.endswith(("_low", "_high"))
]


def _stat_history(relations: Relations) -> str:
    """From the log, which keeps the numbers of each run; of runs that an older version logged, from the tables."""
    with_interval = set(stat_overall.TABLE.columns)
    stacked = ", ".join(
        f"'{name}', array(double({name}), "
        + ", ".join(
            f"double({end})" if end in with_interval else "double(NULL)"
            for end in (f"{name}_low", f"{name}_high")
        )
        + ")"
        for name in _OVERALL
    )
    ended = f"timestamp_seconds({_STARTED} + seconds)"
    return f"""WITH log AS (
  SELECT dataset, table_name, run_key, run_id, {ended} AS finished_at, results,
    row_number() OVER (PARTITION BY dataset, table_name, run_key ORDER BY started_at DESC) AS age,
    bool_or(size(map_keys(results)) > 0) OVER (PARTITION BY dataset, table_name, run_key) AS is_kept
  FROM {relations.current(stage_runs.TABLE)} WHERE event = 'finished'
)
SELECT dataset, finished_at, run_id, table_name, run_key, number, try_element_at(results, number) AS value,
  try_element_at(results, concat(number, '_low')) AS low,
  try_element_at(results, concat(number, '_high')) AS high
FROM log LATERAL VIEW explode(map_keys(results)) numbers AS number
WHERE NOT number RLIKE '_(low|high)$'
UNION ALL
SELECT o.dataset, l.finished_at, l.run_id, '{stat_overall.TABLE.name}', o.run_key, o.number, o.value, o.low, o.high
FROM (
  SELECT dataset, run_key, number, element_at(try_element_at(found, number), 1) AS value,
    element_at(try_element_at(found, number), 2) AS low, element_at(try_element_at(found, number), 3) AS high
  FROM (SELECT dataset, run_key, map({stacked}) AS found FROM {relations.every(stat_overall.TABLE)})
  LATERAL VIEW explode(map_keys(found)) numbers AS number
) o
JOIN log l ON l.dataset = o.dataset AND l.run_key = o.run_key AND l.table_name = '{stat_overall.TABLE.name}'
  AND l.age = 1 AND NOT coalesce(l.is_kept, false)
WHERE o.value IS NOT NULL"""


STAT_HISTORY = View(
    "stat_history",
    "one published number of one dataset as one run of stage statistics found it",
    (
        SAMPLE_KEY[0],
        column("finished_at", TimestampType(), "When it was computed, UTC"),
        column("run_id", StringType(), "The `parrot run`"),
        column("table_name", StringType(), "Statistics table that showed it"),
        column("run_key", StringType(), "Run key: equal settings and models have equal ones"),
        column(
            "number",
            StringType(),
            "Column of that table, after the row's key where it has several: concurrent.mean",
        ),
        column("value", DoubleType(), "The number"),
        column("low", DoubleType(), "Lower end of its 95 % interval; null without one"),
        column("high", DoubleType(), "Upper end of its 95 % interval; null without one"),
    ),
    _stat_history,
    reads=(stage_runs.TABLE, stat_overall.TABLE),
)
