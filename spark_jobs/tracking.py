"""The only door to MLflow: a run for a `parrot run`, a nested run per stage; above them one for its job."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_jobs.dataset_input import DatasetInput
from spark_jobs.errors import TrackingError
from spark_jobs.warehouse.addresses import is_catalog

if TYPE_CHECKING:
    from spark_jobs.config import RunConfig

_MAX_PARAM = 6000  # MLflow refuses longer values
_MAX_TAG = 500
_JOB = "parrot.job"
_MODEL = "model"  # a run's folder with the model to register
_active = False
_job_run_id: str | None = None
_step = 0
_complained = False


def without_password(uri: str) -> str:
    """An address without the user and password it may hold."""
    return re.sub(r"//[^/@]*@", "//***@", uri)


def tracking_uri(config: RunConfig) -> str:
    """Where runs are tracked.

    Raises:
        TrackingError: If nothing says where, and the warehouse is no local folder to put a store beside.
    """
    if config.tracking.uri:
        return config.tracking.uri
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return os.environ["MLFLOW_TRACKING_URI"]
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return "databricks"
    if "://" in config.warehouse or is_catalog(config.warehouse):
        raise TrackingError(
            f"no MLflow store for the warehouse {config.warehouse}: set MLFLOW_TRACKING_URI "
            "(or --set tracking.uri=...), or switch tracking off with --set tracking.enabled=false"
        )
    return f"sqlite:///{Path(config.warehouse).resolve()}/mlflow.db"


def reach(config: RunConfig) -> str:
    """Look whether runs can be tracked, without writing anything; a file beside the warehouse is made by the first run.

    Returns:
        Where, without a password.

    Raises:
        TrackingError: If the store cannot be reached, or nothing says where it is.
    """
    uri = tracking_uri(config)
    if not uri.startswith("sqlite:"):
        import mlflow

        with _one_try(uri):
            mlflow.MlflowClient(uri).search_experiments(max_results=1)
    return without_password(uri)


def histories(uri: str, run_ids: Sequence[str], metric: str) -> dict[str, list[tuple[int, float]]]:
    """A metric of several runs by step; of runs that the store does not have, nothing.

    Args:
        uri: Address of the store.
        run_ids: Runs.
        metric: Name of the metric.

    Returns:
        By run, steps and values in the order of the steps.

    Raises:
        TrackingError: If the store cannot be reached.
    """
    import mlflow

    client = mlflow.MlflowClient(uri)
    with _one_try(uri):
        client.search_experiments(max_results=1)
    found = {}
    for run_id in run_ids:
        with contextlib.suppress(mlflow.exceptions.MlflowException):
            points = client.get_metric_history(run_id, metric)
            found[run_id] = sorted((point.step, point.value) for point in points)
    return found


@contextlib.contextmanager
def parent_run(config: RunConfig, name: str, params: Mapping[str, Any]) -> Iterator[None]:
    """Track what happens inside as one MLflow run, below that of its job if it is a task of one.

    The store is reached before anything else happens, so that a wrong address ends a run at its start.

    Raises:
        TrackingError: If the store cannot be reached.
    """
    global _active
    if not config.tracking.enabled:
        yield
        return
    import mlflow

    job = config.tracking.job
    _connect(config)
    with _job_run(job), mlflow.start_run(run_name=name, nested=job is not None):
        _active = True
        try:
            mlflow.log_params({key: str(value)[:_MAX_PARAM] for key, value in params.items()})
            yield
        finally:
            _active = False


@contextlib.contextmanager
def _job_run(job: str | None) -> Iterator[None]:
    """The run that the tasks of a job share: the one with its tag, or a new one."""
    global _job_run_id
    if job is None:
        yield
        return
    import mlflow

    found = mlflow.search_runs(
        filter_string=f"tags.`{_JOB}` = '{job}'",
        order_by=["attribute.start_time ASC"],
        max_results=1,
        output_format="list",
    )
    run_id = found[0].info.run_id if found else None
    name = None if found else f"parrot job {job}"
    with mlflow.start_run(run_id=run_id, run_name=name, tags={_JOB: job}) as run:
        _job_run_id = run.info.run_id
        try:
            yield
        finally:
            _job_run_id = None


def headline(values: Mapping[str, float], *, tags: Mapping[str, Any]) -> None:
    """Numbers and tags by which the current run is found, and the job that it is a task of."""
    if not _active or not (values or tags):
        return
    import mlflow
    from mlflow.entities import RunTag

    numbers = _numbers(values)
    words = [RunTag(name, str(value)[:_MAX_TAG]) for name, value in tags.items()]
    for run_id in filter(None, (current_run_id(), _job_run_id)):
        with _patience():
            mlflow.MlflowClient().log_batch(run_id, metrics=numbers, tags=words)


@contextlib.contextmanager
def stage_run(name: str) -> Iterator[None]:
    """Track one stage as a nested run; does nothing outside a parent run."""
    global _step
    if not _active:
        yield
        return
    import mlflow

    _step = 0
    with mlflow.start_run(run_name=name, nested=True):
        yield


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Log how long a part of a stage took."""
    started = time.monotonic()
    yield
    metrics({f"seconds {name}": time.monotonic() - started})


def metrics(values: Mapping[str, float], step: int | None = None) -> None:
    """Log numbers of the current run, at a step of their own or at the next one."""
    global _step
    if _active and values:
        import mlflow

        if step is None:
            _step += 1
        with _patience():
            named = {_metric_name(name): value for name, value in values.items()}
            mlflow.log_metrics(named, step=_step if step is None else step)


def metrics_of(run_id: str | None, values: Mapping[str, float]) -> None:
    """Log numbers of an earlier run, which are known only now; nothing where this store does not have it.

    Args:
        run_id: The run; None: it was not tracked.
        values: Number by name.
    """
    if not _active or run_id is None or not values:
        return
    import mlflow

    with _patience():
        try:
            mlflow.MlflowClient().log_batch(run_id, metrics=_numbers(values))
        except mlflow.exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise


def _numbers(values: Mapping[str, float]) -> list[Any]:
    """Numbers as MLflow's client takes them."""
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    return [Metric(_metric_name(name), value, now, 0) for name, value in values.items()]


def _metric_name(name: str) -> str:
    """A name that MLflow takes (letters, digits and `_-. :/`): `recall@5` is `recall at 5` there."""
    return re.sub(r"[^\w\-. :/]", "_", name.replace("@", " at "))


def tags(values: Mapping[str, Any]) -> None:
    """Tag the current run."""
    if _active and values:
        import mlflow

        with _patience():
            mlflow.set_tags({key: str(value)[:_MAX_TAG] for key, value in values.items()})


def params(values: Mapping[str, Any]) -> None:
    """Log parameters of the current run."""
    if _active and values:
        import mlflow

        with _patience():
            mlflow.log_params({key: str(value)[:_MAX_PARAM] for key, value in values.items()})


def artifact(path: str) -> None:
    """Keep a local file with the current run."""
    if _active:
        import mlflow

        with _patience():
            mlflow.log_artifact(path)


def checkpoint(path: str, *, architecture: str, register_as: str | None) -> None:
    """Keep a model's file with the current run, and register it where a name is given.

    Unity Catalog takes only folders that hold an `MLmodel` with a signature, and finds a model by its whole name alone.

    Args:
        path: The weights.
        architecture: open_clip's name of the model.
        register_as: Name of the registered model, made where it is not there; in Unity Catalog `catalog.schema.name`.
    """
    if not register_as:
        artifact(path)
    elif _active:
        import mlflow

        with _patience():
            mlflow.log_artifact(path, _MODEL)
            mlflow.log_text(_description(architecture, os.path.basename(path)), f"{_MODEL}/MLmodel")
            client = mlflow.MlflowClient()
            try:
                client.get_registered_model(register_as)
            except mlflow.MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                client.create_registered_model(register_as)
            client.create_model_version(register_as, mlflow.get_artifact_uri(_MODEL), current_run_id())


def _description(architecture: str, weights: str) -> str:
    """The `MLmodel` of weights for open_clip: images (batch, 3, height, width) become vectors (batch, width)."""
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    image = TensorSpec(np.dtype("float32"), (-1, 3, -1, -1), "image")
    vector = TensorSpec(np.dtype("float32"), (-1, -1), "image_vector")
    signature = ModelSignature(inputs=Schema([image]), outputs=Schema([vector]))
    flavour = {"architecture": architecture, "weights": weights}
    return str(Model(_MODEL, current_run_id(), flavors={"open_clip": flavour}, signature=signature).to_yaml())


def dataset_input(given: DatasetInput) -> None:
    """Log a dataset input of the current run."""
    if not _active:
        return
    import mlflow
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.types import ColSpec, Schema

    class Profiled(MetaDataset):  # type: ignore[misc]
        """MLflow shows a profile of any dataset, but lets none of metadata have one."""

        def to_dict(self) -> dict[str, str]:
            profile = {} if given.rows is None else {"num_rows": given.rows}
            return {**super().to_dict(), "profile": json.dumps(profile)}

    if is_catalog(given.location.rpartition(".")[0]):
        place = {"delta_table_name": given.location}
    else:  # whoever reads the store stands in another folder
        place = {"path": given.location if ":/" in given.location else os.path.abspath(given.location)}
    with _patience():
        if given.version is None:
            source = resolve_dataset_source(os.path.abspath(given.location))
        else:
            source = DeltaDatasetSource(**place, delta_table_version=given.version)
        schema = Schema([ColSpec("string", name) for name in given.columns])
        dataset = Profiled(source=source, name=given.name, digest=given.digest, schema=schema)
        values = {key: str(value)[:_MAX_TAG] for key, value in given.tags.items()}
        mlflow.log_input(dataset, context=given.context, tags=values)


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """A store that fails in the middle of a night's run costs its entries, not the run; it is said once."""
    global _complained
    try:
        yield
    except Exception as error:  # noqa: BLE001 - MLflow raises its own, requests' and SQLAlchemy's errors
        if not _complained:
            logging.getLogger("parrot").warning("MLflow does not take entries: %s", error)
        _complained = True


def current_run_id() -> str | None:
    """Id of the current MLflow run, or None where nothing is tracked."""
    if not _active:
        return None
    import mlflow

    run = mlflow.active_run()
    return run.info.run_id if run else None


def _connect(config: RunConfig) -> None:
    import mlflow

    uri = tracking_uri(config)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="mlflow")
    with _one_try(uri):
        mlflow.set_tracking_uri(uri)
        _set_experiment(config, uri)


@contextlib.contextmanager
def _one_try(uri: str) -> Iterator[None]:
    """Inside, one quick try decides whether the store can be reached; the run itself keeps MLflow's patience."""
    patience = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    saved = {key: os.environ.get(key) for key in patience}
    os.environ.update(patience)
    try:
        yield
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0][:300]
        raise TrackingError(
            f"the MLflow store at {without_password(uri)} cannot be reached: {reason}\n"
            "Check MLFLOW_TRACKING_URI (or tracking.uri), or switch tracking off with --set tracking.enabled=false"
        ) from error
    finally:
        for key, value in saved.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def _set_experiment(config: RunConfig, uri: str) -> None:
    import mlflow

    name = config.tracking.experiment
    if uri.startswith("sqlite:///") and mlflow.get_experiment_by_name(name) is None:
        # MLflow would put artifacts into ./mlruns of whoever happens to run it.
        folder = Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts"
        mlflow.create_experiment(name, artifact_location=folder.as_uri())
    mlflow.set_experiment(name)
