"""`parrot study` end to end: from its YAML to table, plot and MLflow runs; then nothing is left to do."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

import pytest

from schemas import (
    caption_overlap,
    evaluation_results,
    images,
    samples,
    spotted_text,
    text_removal_scores,
    training_runs,
)
from spark_jobs.commands.study import StudyRun, print_plan, run_study
from spark_jobs.config import load_config
from spark_jobs.stages import train_clip
from spark_jobs.study.definition import read_study
from spark_jobs.warehouse.tables import Tables
from tests.builders import image_bytes
from tests.exported import put_arms
from tests.notebooks import run_notebook
from tests.table_rows import filled, put_rows
from tests.training_export import TINY, in_process, register_tiny

YAML = """
study: captions
subsets: [random, without_text]
size: 4
models: [{model}]
seeds: [0, 1]
train: {{samples_seen: 16, batch_size: 4, warmup_steps: 1, threads: 1}}
evaluate: {{words: {words}, attack: false}}
relative_on: signs
"""
SIGNS = 3


def put_signs(spark, warehouse, folder):
    """Dataset `signs`: images whose captions are the text on them, read and compared."""
    folder.mkdir()
    tables = Tables(spark, str(warehouse))
    word = [("SALE", 0.9, [(2.0, 2.0), (40.0, 2.0), (40.0, 16.0), (2.0, 16.0)], 0)]
    own = {
        samples.TABLE: {"caption": "sale"},
        images.TABLE: {},
        spotted_text.TABLE: {
            "spotter": "s", "words": word, "lines": [word[0][:3]], "image_width": 64, "image_height": 48,
        },
        caption_overlap.TABLE: {
            "image_type": "concurrent", "cotr": 1.0, "text_detected": True, "used_words": [(0, True, None)],
        },
    }  # fmt: skip
    for number in range(SIGNS):
        data = image_bytes("PNG", color=(80 * number, 90, 120), text="SALE")
        (folder / f"{number}.png").write_bytes(data)
    for spec, values in own.items():
        rows = [
            filled(spec, dataset="signs", shard_id="0", sample_id=str(number), run_key=spec.name, **values)
            for number in range(SIGNS)
        ]
        if spec is images.TABLE:
            rows = [
                filled(
                    spec, dataset="signs", shard_id="0", sample_id=str(number), run_key=spec.name,
                    image_uri=str(folder / f"{number}.png"),
                )
                for number in range(SIGNS)
            ]  # fmt: skip
        put_rows(tables, spec, rows, stage=spec.name)


@pytest.fixture(scope="module")
def run(_spark_session, tmp_path_factory):
    """The study as the command line hands it over; trainings are done in this process."""
    register_tiny()
    root = tmp_path_factory.mktemp("study")
    warehouse = put_arms(_spark_session, root)
    put_signs(_spark_session, warehouse, root / "signs")
    words, file = root / "words.txt", root / "study.yaml"
    words.write_text("sale\nnew\nparrot\n")
    file.write_text(YAML.format(model=TINY, words=words))
    config = load_config(
        options={"warehouse": str(warehouse), "dataset": "test"},
        overrides=(f"tracking.uri=sqlite:///{root}/mlflow.db", f"embed.cache_dir={root / 'weights'}"),
    )
    return StudyRun(read_study(file), config, root / "studies")


@pytest.fixture(scope="module")
def compared(_spark_session, run):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_clip, "_start", lambda *_: in_process)
        return run_study(_spark_session, run)


def trainings(spark, run):
    return Tables(spark, run.config.warehouse).read(training_runs.TABLE).collect()


def test_a_dry_run_names_every_cell_and_does_nothing(spark, run, capsys):
    print_plan(spark, run)
    said = capsys.readouterr()
    assert said.out.count("to do") == 4
    assert "4 trainings to do; nothing trained yet" in said.err
    assert not Tables(spark, run.config.warehouse).exists(training_runs.TABLE)
    assert not run.folder.exists()


def test_every_cell_is_trained_on_its_own_export(spark, run, compared):
    rows = trainings(spark, run)
    assert {(row["subset_id"], row["seed"]) for row in rows} == {
        (f"{subset}-4", seed) for subset in ("random", "without_text") for seed in (0, 1)
    }
    assert len({row["checkpoint_sha256"] for row in rows}) == 4
    assert {row["samples_per_epoch"] for row in rows} == {4}
    assert len({row["content_hash"] for row in rows}) == 2


def test_table_and_plot_hold_mean_and_spread_over_seeds(spark, run, compared):
    subset_of = {row["training"]: row["subset_id"].rpartition("-")[0] for row in trainings(spark, run)}
    measured = Tables(spark, run.config.warehouse).read(evaluation_results.TABLE).collect()
    with (run.folder / "captions.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert {row["metric"] for row in table} >= {"sync_margin", "word_retrieval@1"}
    for row in table:
        values = [
            one["value"]
            for one in measured
            if (one["metric"], one["task"]) == (row["metric"], row["task"])
            and subset_of[one["training"]] == row["subset"]
        ]
        assert len(values) == int(row["seeds"]) == 2
        assert float(row["mean"]) == pytest.approx(statistics.fmean(values))
        assert float(row["spread"]) == pytest.approx(statistics.stdev(values))
    assert "<svg" in (run.folder / "captions.svg").read_text()


def test_rsa_is_that_of_the_dataset_that_the_study_names(spark, run, compared):
    tables = Tables(spark, run.config.warehouse)
    removal = tables.read(text_removal_scores.TABLE).collect()
    assert {row["dataset"] for row in removal} == {"signs"}
    cell_of = {
        f"{row['model']}/{Path(row['checkpoint']).name}": row["subset_id"].rpartition("-")[0]
        for row in trainings(spark, run)
    }
    found = {one.subset: one for one in compared if one.metric == "rsa"}
    assert set(found) == {"random", "without_text"}
    for subset, one in found.items():
        lost = [row["rsa"] for row in removal if cell_of[row["model"]] == subset]
        assert (one.task, one.seeds, len(lost)) == ("signs", 2, 2 * SIGNS)
        assert one.mean == pytest.approx(statistics.fmean(lost), abs=1e-6)


def test_each_cell_is_an_mlflow_run_with_its_tags(run, compared):
    import mlflow

    client = mlflow.MlflowClient(run.config.tracking.uri)
    experiment = client.get_experiment_by_name(run.config.tracking.experiment)
    found = client.search_runs(
        [experiment.experiment_id], "tags.study = 'captions' and tags.subset LIKE '%'", max_results=100
    )
    cells = {(one.data.tags["subset"], one.data.tags["model"], one.data.tags["seed"]) for one in found}
    assert cells == {(subset, TINY, seed) for subset in ("random", "without_text") for seed in "01"}


def test_what_a_model_measures_stands_at_its_training_in_mlflow(spark, run, compared):
    import mlflow

    client = mlflow.MlflowClient(run.config.tracking.uri)
    trained = Tables(spark, run.config.warehouse).read(training_runs.TABLE).collect()
    kept = {row["training"]: client.get_run(row["mlflow_run"]) for row in trained}
    assert {one.info.run_name for one in kept.values()} == {
        f"train_clip {subset}-4 {TINY} seed {seed}"
        for subset in ("random", "without_text")
        for seed in (0, 1)
    }
    margins = {}
    for one in kept.values():
        margins.setdefault(one.data.tags["subset"], []).append(one.data.metrics["synthetic_text sync_margin"])
    means = {f"{one.subset}-4": one.mean for one in compared if one.metric == "sync_margin"}
    assert {subset: statistics.fmean(found) for subset, found in margins.items()} == pytest.approx(means)


def test_the_notebook_shows_the_studys_table_and_curves(spark, run, compared):
    seen = run_notebook(
        "06_training.py", run.config.warehouse, dataset="test", mlflow=run.config.tracking.uri
    )
    assert "4 of 4 trainings are tracked in MLflow" in seen.text
    assert "compared with random-4" in seen.text
    (one,) = [one for one in compared if (one.metric, one.subset) == ("sync_margin", "without_text")]
    (line,) = [
        line.split()
        for line in seen.text.splitlines()
        if {"sync_margin", "without_text-4"} <= set(line.split())
    ]
    assert [float(cell) for cell in line[5:8]] == pytest.approx(
        [one.mean, one.spread, one.difference], abs=1e-4
    )
    curves, panels = seen.figures
    assert len(curves) > 1  # a scale is drawn: there are losses
    assert {"sync_margin, synthetic_text", "random-4", "without_text-4"} <= set(panels)


def test_a_finished_study_has_nothing_to_do(spark, run, compared, monkeypatch, capsys):
    def started(*_args):
        raise AssertionError("started")

    monkeypatch.setattr(train_clip, "_start", lambda *_: started)
    before = (run.folder / "captions.csv").read_bytes()
    assert run_study(spark, run) == compared
    assert (run.folder / "captions.csv").read_bytes() == before
    print_plan(spark, run)
    assert "every cell is trained" in capsys.readouterr().err
