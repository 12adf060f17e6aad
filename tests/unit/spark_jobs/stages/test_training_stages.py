"""What the stages of training and evaluation write, without Spark: whole rows, and SQL that another engine runs too."""

import math
from dataclasses import asdict
from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
import pytest

from schemas import evaluation_results, training_runs
from spark_jobs.errors import ConfigError
from spark_jobs.evaluation.measures import Measure
from spark_jobs.sql.trained_models import relative_score_steps
from spark_jobs.stages import train_clip
from spark_jobs.training.config import TrainClipConfig
from spark_jobs.training.job import Job, Result
from spark_jobs.training.recipe import recipe_of

KEYS = {"dataset", "run_key", "input_key"}


def test_a_training_fills_every_column(tmp_path):
    recipe = recipe_of(TrainClipConfig(seed=3), feed="parquet")
    job = Job("k", {}, recipe, {}, "export", "inventory", "first.pt", "a" * 64, {}, 1, None, 2, 500)
    manifest = SimpleNamespace(identity={"subset_id": "s", "dataset": "d"})
    export = SimpleNamespace(manifest=manifest, content_hash="c")
    prepared = SimpleNamespace(job=job, folder=tmp_path, export=export)
    result = Result("b" * 64, 10, 20, 0.5, 4.0, 5.0, 0.1, {"no caption": 1}, 19)
    row = train_clip._row(prepared, result)
    assert set(row) | KEYS == set(training_runs.TABLE.columns)
    assert (row["seed"], row["checkpoint"]) == (3, str(tmp_path / "k.safetensors"))


def test_a_measure_fills_every_column_of_its_own():
    own = {"evaluation", "model", "weights", "training"}
    assert set(asdict(Measure("t", "m", 0.5, 3))) | own | KEYS == set(evaluation_results.TABLE.columns)


def test_checkpoints_need_a_folder():
    config = SimpleNamespace(train_clip=TrainClipConfig(), warehouse="s3://bucket/w", is_catalog=False)
    with pytest.raises(ConfigError, match=r"train_clip\.output"):
        train_clip._output(config)


def test_relative_scores_are_those_of_pandas():
    rng = np.random.default_rng(1)
    count = 60
    removal = pd.DataFrame(
        rng.normal(0.2, 0.1, (count, 3)), columns=["score_raw", "score_all_removed", "score_co_removed"]
    )
    removal["rsa"] = removal.score_raw - removal.score_all_removed
    removal["rsc"] = removal.score_raw - removal.score_co_removed
    removal["shard_id"], removal["sample_id"] = "0", [str(number) for number in range(count)]
    removal["status"] = ["failed" if number == 7 else "ok" for number in range(count)]
    overlap = removal[["shard_id", "sample_id"]].copy()
    overlap["image_type"] = ["no_text", "text", "concurrent"] * (count // 3)
    overlap["cotr"] = np.where(overlap.image_type == "concurrent", rng.uniform(0, 1, count), 0.0)
    overlap["status"] = "ok"
    connection = duckdb.connect()
    connection.register("removal", removal)
    connection.register("overlap", overlap)
    names = {"removal": "removal", "overlap": "overlap"}
    for step in relative_score_steps():
        connection.execute(f"CREATE TABLE {step.name} AS {step.sql.format(**names)}")
        names[step.name] = step.name
    found = connection.execute(f"SELECT * FROM {step.name}").df().set_index("metric")
    scored = removal.merge(overlap, on=["shard_id", "sample_id"], suffixes=("", "_o")).query("status == 'ok'")
    parrots, text = scored[scored.cotr >= 0.5], scored[scored.image_type != "no_text"]
    expected = {
        "similarity_without_text": scored[scored.image_type == "no_text"].score_raw,
        "similarity_parrot": parrots.score_raw,
        "similarity_parrot_all_removed": parrots.score_all_removed,
        "similarity_parrot_co_removed": parrots.score_co_removed,
        "rsa": text.rsa,
        "rsc": text.rsc,
        "rsa_parrot": parrots.rsa,
        "rsc_parrot": parrots.rsc,
    }
    assert set(found.index) == set(expected)
    for metric, values in expected.items():
        half = 1.959964 * values.std() / math.sqrt(len(values))
        assert found.value[metric] == pytest.approx(values.mean())
        assert found.samples[metric] == len(values)
        assert (found.low[metric], found.high[metric]) == pytest.approx(
            (values.mean() - half, values.mean() + half)
        )
