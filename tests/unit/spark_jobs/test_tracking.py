"""What MLflow's own store holds after runs: one for a job whatever its tasks, tags and numbers on each."""

from __future__ import annotations

import mlflow
import pytest

from spark_jobs import tracking
from spark_jobs.config import load_config

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def configured(store, tmp_path, **given):
    return load_config(
        options={"warehouse": str(tmp_path), "dataset": "test", "tracking": {"uri": store, **given}}
    )


def task(config, name, *, stage="embed", fails=False):
    """What `parrot run` does with MLflow."""
    with tracking.parent_run(config, name, {"stages": stage}):
        tracking.headline({}, tags={"dataset": "test"})
        with tracking.stage_run(stage):
            tracking.metrics({"rows": 3.0, "recall@5 (all)": 0.5})
        if fails:
            raise ValueError(name)
        tracking.headline({"cotr_in_total": 0.25}, tags={})


def runs(store):
    mlflow.set_tracking_uri(store)
    found = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return {run.info.run_id: run for run in found}


def named(found, name):
    return [run for run in found.values() if run.info.run_name == name]


def parent(run):
    return run.data.tags.get("mlflow.parentRunId")


def test_tasks_of_a_job_share_one_run_with_the_headline(store, tmp_path):
    job = configured(store, tmp_path, job="741")
    task(job, "first")
    with pytest.raises(ValueError, match="broken"):
        task(job, "broken", fails=True)
    assert [run.info.status for run in named(runs(store), "parrot job 741")] == ["FAILED"]
    task(job, "second", stage="statistics")
    task(configured(store, tmp_path, job="742"), "of another job")

    found = runs(store)
    (whole,) = named(found, "parrot job 741")
    assert whole.info.status == "FINISHED"
    assert (whole.data.tags["parrot.job"], whole.data.tags["dataset"]) == ("741", "test")
    assert whole.data.metrics == {"cotr_in_total": 0.25}
    for name, stage in (("first", "embed"), ("second", "statistics")):
        (one,) = named(found, name)
        assert parent(one) == whole.info.run_id
        assert one.data.params == {"stages": stage}
        (inner,) = [run for run in named(found, stage) if parent(run) == one.info.run_id]
        assert inner.data.metrics == {"rows": 3.0, "recall at 5 _all_": 0.5}  # names that MLflow takes
    (other,) = named(found, "of another job")
    assert parent(other) != whole.info.run_id


def test_a_run_that_is_no_task_stands_alone(store, tmp_path):
    task(configured(store, tmp_path), "alone")
    (alone,) = named(runs(store), "alone")
    assert parent(alone) is None
    assert alone.data.metrics == {"cotr_in_total": 0.25}
    assert alone.data.tags["dataset"] == "test"
