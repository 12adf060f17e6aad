"""Stage `evaluate_clip`: what CLIP models see (zero-shot, retrieval) and what they spot (words, attack, RSA).

Models are measured on the driver; only RSA, RSC and the similarities of Fig. 9 come from a table: run stage
`remove_text` with the models before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from schemas import caption_overlap, evaluation_results, ngram_vocabulary, text_removal_scores, training_runs
from spark_jobs import tracking
from spark_jobs.clip_models import clips_of, model_notes
from spark_jobs.errors import ConfigError, ModelError
from spark_jobs.evaluation.benchmark import ensure_clip_benchmark
from spark_jobs.evaluation.measures import Measure
from spark_jobs.evaluation.suite import Suite, evaluate
from spark_jobs.evaluation.tasks import find_tasks
from spark_jobs.evaluation.words import read_words
from spark_jobs.runner.pending import Input
from spark_jobs.runner.progress import console
from spark_jobs.runner.stage import Situation, StageContract, check_dataset, need, plan_whole
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.whole_tables import Making, TableWork, run_whole
from spark_jobs.sql.steps import run_steps
from spark_jobs.sql.trained_models import relative_score_steps
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from udfs.weights import WeightsError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig
    from udfs.clip_model import ClipFactory

TABLE = evaluation_results.TABLE
_VERSION = 1
_WORDS = "caption_1gram"
_TRAINED = Input(training_runs.TABLE, {})
_RELATIVE = (text_removal_scores.TABLE, caption_overlap.TABLE)


def run(spark: SparkSession, config: RunConfig) -> StageReport:
    """Evaluate the models that lack these numbers, each in one go.

    Raises:
        ConfigError: If a task or the words are not there, or there is no model.
        ModelError: If a model's weights are not what they should be.
    """
    started = time.monotonic()
    tables = Tables(spark, config.warehouse)
    report = StageReport(stage="evaluate_clip", dataset=config.dataset_name)
    rows = _training_rows(tables)
    trained = {row["checkpoint_sha256"]: row for row in rows}
    names = config.evaluate_clip.models or tuple(
        f"{row['model']}/{row['checkpoint']}" for row in rows if row["dataset"] == config.dataset_name
    )
    clips = clips_of(config.embed, names)
    suite = _suite(tables, config, report)
    for clip in clips:
        work = _work(tables, config, clip, suite=suite, trained=trained)
        if not run_whole(tables, config.runner, (work,), report=report)[0]:
            report.notes.append(f"{clip.model_id}: up to date")
        report.notes += model_notes(clip.model_id)
    report.notes = list(dict.fromkeys(report.notes))
    report.seconds = time.monotonic() - started
    return report


def _work(
    tables: Tables, config: RunConfig, clip: ClipFactory, *, suite: Suite, trained: Mapping[str, Any]
) -> TableWork:
    reads = _relative_reads(tables, config, clip.model_id)
    decides = {
        "stage": "evaluate_clip",
        "version": _VERSION,
        "model": clip.params,
        "suite": suite.contents(),
        "reads": reads,
    }

    def compute(making: Making) -> None:
        found = _measured(making, clip, suite=suite, relative=config.evaluate_clip.relative_scores)
        training = trained.get(clip.weights.sha256)
        own = {
            "dataset": making.dataset,
            "run_key": making.run_key,
            "input_key": making.input_key,
            "evaluation": making.run_key,
            "model": clip.model_id,
            "weights": clip.weights.sha256,
            "training": training and training["training"],
        }
        frame = making.tables.rows(TABLE, [{**own, **asdict(one)} for one in found])
        making.write(TABLE, frame, where={"dataset": making.dataset, "evaluation": making.run_key})
        if training is not None:
            # Trainings are what people compare in MLflow.
            values = {f"{one.task} {one.metric}": one.value for one in found}
            tracking.metrics_of(training["mlflow_run"], values)

    return TableWork(
        stage="evaluate_clip",
        outputs=(TABLE,),
        reads=reads,
        params={"model": clip.model_id},
        decides=decides,
        is_done=lambda run_key, input_key: _is_stored(
            tables, config.dataset_name, run_key=run_key, input_key=input_key
        ),
        name=f"{TABLE.name} {clip.model_id}",
        compute=compute,
    )


def _measured(making: Making, clip: ClipFactory, *, suite: Suite, relative: bool) -> list[Measure]:
    def say(what: str) -> None:
        console.print(f"{'evaluate_clip':>12}  {clip.model_id}: {what}", markup=False)

    try:
        found, notes = evaluate(clip.load(), suite, say=say)
    except WeightsError as error:
        raise ModelError(f"evaluate_clip: {error}") from error
    making.report.notes += notes
    found += _relative(making, clip) if relative else []
    if not found:
        raise ConfigError(
            "evaluate_clip: nothing to measure: name task folders (evaluate_clip.tasks) or words "
            "(evaluate_clip.words), or run stages ngrams and remove_text before"
        )
    making.report.results |= {f"{clip.model_id} {one.task} {one.metric}": one.value for one in found}
    tracking.tags({"model": clip.model_id})
    return found


def _relative(making: Making, clip: ClipFactory) -> list[Measure]:
    """RSA, RSC and the similarities of Fig. 9, where stage remove_text has scored the dataset under this model."""
    if not making.work.reads:
        making.report.notes.append(
            f"{clip.model_id}: no RSA, RSC and Fig. 9: they need stage remove_text with --set "
            f"'remove_text.models=[{clip.configured_name}]'"
        )
        return []
    removal = making.read(text_removal_scores.TABLE)
    inputs = {
        "removal": removal.where(removal["model"] == clip.model_id),
        "overlap": making.read(caption_overlap.TABLE),
    }
    rows = run_steps(removal.sparkSession, relative_score_steps(), inputs).collect()
    found = [row.asDict() for row in rows]
    return [Measure(task=making.dataset, **row) for row in sorted(found, key=lambda row: row["metric"])]


def _relative_reads(tables: Tables, config: RunConfig, model: str) -> dict[str, str]:
    if not config.evaluate_clip.relative_scores:
        return {}
    current = current_run_keys(tables)
    keys = {spec.name: current.get((config.dataset_name, spec.name)) for spec in _RELATIVE}
    if None in keys.values():
        return {}
    name = text_removal_scores.TABLE.name
    rows = tables.read(text_removal_scores.TABLE, dataset=config.dataset_name, run_key=keys[name])
    if not rows.where(rows["model"] == model).head(1):
        return {}
    return {table: key for table, key in keys.items() if key is not None}


def _is_stored(tables: Tables, dataset: str, *, run_key: str, input_key: str) -> bool:
    if not tables.exists(TABLE):
        return False
    rows = tables.read(TABLE, dataset=dataset)
    return bool(rows.where((rows["evaluation"] == run_key) & (rows["input_key"] == input_key)).head(1))


def _training_rows(tables: Tables) -> list[Any]:
    """Trainings on any dataset: a model may be measured on another one than it was trained on."""
    if not tables.exists(training_runs.TABLE):
        return []
    rows = tables.read(training_runs.TABLE)
    wanted = ("dataset", "training", "model", "checkpoint", "checkpoint_sha256", "mlflow_run")
    return list(rows.select(*wanted).orderBy("training").collect())


def _suite(tables: Tables, config: RunConfig, report: StageReport) -> Suite:
    section = config.evaluate_clip
    tasks = find_tasks(section.tasks, section.wanted) if section.tasks is not None else []
    if section.words is not None:
        words = read_words(section.words, section.word_count)
    else:
        words = _frequent_words(tables, config, report)
    return Suite(tuple(tasks), tuple(words), section.attack, section.seed, section.batch_size)


def _frequent_words(tables: Tables, config: RunConfig, report: StageReport) -> list[str]:
    run_key = current_run_keys(tables).get((config.dataset_name, ngram_vocabulary.TABLE.name))
    if run_key is None:
        report.notes.append(
            "no Sync score and word retrieval: run stage ngrams before, or set evaluate_clip.words"
        )
        return []
    rows = tables.read(ngram_vocabulary.TABLE, dataset=config.dataset_name, run_key=run_key)
    chosen = rows.where(rows["vocabulary"] == _WORDS).orderBy("rank").limit(config.evaluate_clip.word_count)
    words = [row["gram"] for row in chosen.select("gram").collect()]
    return words if len(words) > 1 else []


def _check(config: RunConfig) -> None:
    check_dataset(config)
    section = config.evaluate_clip
    if section.tasks is not None:
        find_tasks(section.tasks, section.wanted)
        ensure_clip_benchmark()
    elif section.wanted is not None:
        raise ConfigError("evaluate_clip.wanted names tasks, but evaluate_clip.tasks no folder for them")
    if section.words is not None:
        read_words(section.words, section.word_count)
    if section.models is not None:
        clips_of(config.embed, section.models)


def _ready(situation: Situation) -> None:
    """A model is needed: named, trained before, or trained by this run.

    Raises:
        StageError: If there is none.
    """
    if situation.config.evaluate_clip.models is not None:
        return
    need(_TRAINED)(situation)


STAGE = StageContract(run, _check, _ready, plan_whole)
