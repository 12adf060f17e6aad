"""What MLflow's own store holds after runs: one for a job whatever its tasks, tags and numbers on each."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest

from spark_jobs import tracking
from spark_jobs.commands.run import headline_of
from spark_jobs.config import load_config
from spark_jobs.dataset_input import DatasetInput
from spark_jobs.runner.progress import StageProgress
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.statistics import relative_scores_of

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
        tracking.headline({"cotr_in_total": 0.25, "rsa model@1": 0.5}, tags={})


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
    assert whole.data.metrics == {"cotr_in_total": 0.25, "rsa model at 1": 0.5}
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
    assert alone.data.metrics == {"cotr_in_total": 0.25, "rsa model at 1": 0.5}
    assert alone.data.tags["dataset"] == "test"


def test_chunks_are_tracked_at_the_samples_done(store, tmp_path):
    with (
        tracking.parent_run(configured(store, tmp_path), "chunks", {}),
        tracking.stage_run("chunked stage"),
        StageProgress("embed", total=70) as progress,
    ):
        progress.chunk_done(samples=50, failed=1)
        progress.chunk_done(samples=20, failed=2)
    (run,) = named(runs(store), "chunked stage")
    failed = mlflow.MlflowClient(store).get_metric_history(run.info.run_id, "samples_failed")
    assert [(point.step, point.value) for point in failed] == [(50, 1.0), (70, 3.0)]


def test_tables_that_were_read_are_inputs_at_their_version(store, tmp_path):
    with tracking.parent_run(configured(store, tmp_path), "reading", {}):
        for version in (3, 4):
            tracking.dataset_input(
                DatasetInput(
                    name="test/samples",
                    location=str(tmp_path / "samples"),
                    version=version,
                    digest=f"version-{version}",
                    columns=("sample_id",),
                    rows=None,
                    context="read",
                    tags={"where": "dataset = 'test'"},
                )
            )
    (run,) = named(runs(store), "reading")
    inputs = mlflow.MlflowClient(store).get_run(run.info.run_id).inputs.dataset_inputs
    told = [{tag.key: tag.value for tag in each.tags} for each in inputs]
    assert told == [{"mlflow.data.context": "read", "where": "dataset = 'test'"}] * 2
    sources = [json.loads(each.dataset.source) for each in inputs]
    assert sorted(source["delta_table_version"] for source in sources) == [3, 4]
    assert {source["path"] for source in sources} == {str(tmp_path / "samples")}


def test_rsa_and_its_interval_are_headlines_of_a_run():
    row = {"model": "ViT-B-32/openai", "mean": 0.03, "mean_low": 0.02, "mean_high": 0.04}
    scores = relative_scores_of(
        [
            {**row, "relative_score": "rsa"},
            {**row, "relative_score": "raw_minus_random_all"},
            {**row, "relative_score": "rsc", "mean": None, "mean_low": None, "mean_high": None},
        ]
    )
    assert scores == {
        "rsa ViT-B-32/openai": 0.03,
        "rsa ViT-B-32/openai low": 0.02,
        "rsa ViT-B-32/openai high": 0.04,
    }
    report = StageReport(stage="statistics", dataset="test", results={**scores, "samples_failed": 1.0})
    other = StageReport(stage="deduplicate", dataset="test", results={"rsa of something else": 1.0})
    assert headline_of([other, report]) == scores


def test_a_model_is_registered_as_unity_catalog_wants_it(store, tmp_path, monkeypatch):
    from mlflow.store._unity_catalog.registry.rest_store import UcModelRegistryStore

    def refused(self, *_, filter_string=None, **__):
        raise AssertionError("Unity Catalog knows no filter")

    monkeypatch.setattr(mlflow.MlflowClient, "search_registered_models", refused)
    weights = tmp_path / "epoch_1.pt"
    weights.write_bytes(b"weights")
    with tracking.parent_run(configured(store, tmp_path), "train", {}), tracking.stage_run("train_clip"):
        for _ in range(2):
            tracking.checkpoint(str(weights), architecture="ViT-B-32", register_as="main.parrot.clip")
    client = mlflow.MlflowClient(store)
    versions = client.search_model_versions("name = 'main.parrot.clip'")
    assert sorted(version.version for version in versions) == [1, 2]
    folder = mlflow.artifacts.download_artifacts(
        artifact_uri=versions[0].source, dst_path=str(tmp_path / "got")
    )
    UcModelRegistryStore._validate_model_signature(None, folder)
    flavour = mlflow.models.Model.load(folder).flavors["open_clip"]
    assert flavour["architecture"] == "ViT-B-32"
    assert Path(folder, flavour["weights"]).read_bytes() == b"weights"


def test_a_model_that_is_not_registered_is_a_file_of_its_run(store, tmp_path):
    weights = tmp_path / "epoch_1.pt"
    weights.write_bytes(b"weights")
    with tracking.parent_run(configured(store, tmp_path), "alone", {}), tracking.stage_run("train_clip"):
        run_id = tracking.current_run_id()
        tracking.checkpoint(str(weights), architecture="ViT-B-32", register_as=None)
    assert [item.path for item in mlflow.MlflowClient(store).list_artifacts(run_id)] == ["epoch_1.pt"]


def test_numbers_that_are_known_later_are_logged_to_their_run(store, tmp_path):
    with tracking.parent_run(configured(store, tmp_path), "train", {}), tracking.stage_run("train_clip"):
        tracking.tags({"mlflow.runName": "train_clip random seed 0"})
        earlier = tracking.current_run_id()
    with (
        tracking.parent_run(configured(store, tmp_path), "evaluate", {}),
        tracking.stage_run("evaluate_clip"),
    ):
        tracking.metrics_of(earlier, {"words recall@1": 0.5})
        tracking.metrics_of("0" * 32, {"words recall@1": 0.5})  # of another store
        tracking.metrics_of(None, {"words recall@1": 0.5})
    kept = mlflow.MlflowClient(store).get_run(earlier)
    assert (kept.info.run_name, kept.data.metrics) == ("train_clip random seed 0", {"words recall at 1": 0.5})
