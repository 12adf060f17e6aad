"""A `parrot run` over several datasets: one after the other, and what reads all of them once, at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spark_jobs import log
from spark_jobs.config import RunConfig
from spark_jobs.errors import ConfigError, ParrotError, StageError, sentence
from spark_jobs.pipeline import Stage
from spark_jobs.runner.progress import console

RunOne = Callable[[RunConfig, list[Stage]], None]
"""Runs stages by a configuration of one dataset."""


def per_dataset(config: RunConfig) -> list[RunConfig]:
    """A configuration for each dataset that is meant: the one that is named, else all that are listed.

    Raises:
        ConfigError: If a source is given, several datasets are listed, and nothing says whose it is.
    """
    if config.dataset is not None or not config.datasets:
        listed = {one.name: one.source for one in config.datasets}
        source = config.source or listed.get(config.dataset or "")
        return [config.model_copy(update={"source": source, "datasets": ()})]
    if config.source is not None:
        names = ", ".join(one.name for one in config.datasets)
        raise ConfigError(f"source is given, and datasets lists {names}: say whose it is with --dataset NAME")
    return [
        config.model_copy(
            update={
                "dataset": one.name,
                "source": one.source,
                "datasets": (),
                "tracking": config.tracking.model_copy(update={"job": _job(config, one.name)}),
            }
        )
        for one in config.datasets
    ]


def run_each(config: RunConfig, stages: Sequence[Stage], run_one: RunOne) -> None:
    """Run the stages for every dataset that is meant; one that fails does not keep the others from being run.

    Stages that work on no single dataset (the report) run once, after the last one, where any dataset was run.

    Args:
        config: Configuration of all.
        stages: In order.
        run_one: Checks and runs stages by a configuration of one dataset.

    Raises:
        ParrotError: If a dataset failed; of several, when all have had their turn.
    """
    datasets = per_dataset(config)
    own = [stage for stage in stages if stage.needs_dataset]
    shared = [stage for stage in stages if not stage.needs_dataset]
    if len(datasets) == 1 or not own:
        run_one(datasets[0] if len(datasets) == 1 else _of_all(config), list(stages))
        return
    faults: dict[str, Exception] = {}
    for number, one in enumerate(datasets, 1):
        _say(f"dataset {one.dataset} ({number} of {len(datasets)})")
        try:
            run_one(one, own)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other datasets are no part of it
            faults[one.dataset_name] = error
            _complain(one.dataset_name, error)
    if shared and len(faults) < len(datasets):
        run_one(_of_all(config), shared)
    if faults:
        raise StageError(
            f"{len(faults)} of {len(datasets)} datasets failed: {', '.join(faults)} (why is said above). What was "
            "finished is kept; the same command continues"
        ) from ExceptionGroup("datasets that failed", list(faults.values()))


def _of_all(config: RunConfig) -> RunConfig:
    return config.model_copy(update={"datasets": ()})


def _job(config: RunConfig, dataset: str) -> str | None:
    """The job whose tasks share a run of MLflow: one for each dataset, so that numbers of one do not hide another's."""
    return f"{config.tracking.job} {dataset}" if config.tracking.job else None


def _say(what: str) -> None:
    if log.is_json():
        log.record("info", what)
    else:
        console.print(f"[bold]{what}[/bold]")


def _complain(dataset: str, error: Exception) -> None:
    told = str(error) if isinstance(error, ParrotError) else sentence(error)
    if log.is_json():
        log.record("error", told, dataset=dataset)
    else:
        console.print(f"error: dataset {dataset}: {told}", markup=False, soft_wrap=True)
