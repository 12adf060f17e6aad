from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import mlflow
import pytest

from schemas import text_removal_scores
from spark_jobs.commands.compare_models import compare_models
from spark_jobs.errors import StageError
from spark_jobs.sections import TrackingConfig
from spark_jobs.warehouse.tables import Tables
from tests.removal_samples import by_image_type, drawn_rows, removal_row
from tests.table_rows import filled, put_rows

TABLE = text_removal_scores.TABLE


def put(tables, rows, run_key, **settings):
    rows = [filled(TABLE, **{**row, "run_key": run_key}) for row in rows]
    put_rows(tables, TABLE, rows, stage="remove_text", params=settings)


def test_models_of_several_run_keys_stand_side_by_side(spark, config, tmp_path, capsys):
    config = config.model_copy(update={"dataset": "d"})
    tables = Tables(spark, config.warehouse)
    only = drawn_rows(("A/a",), 40, 1)
    put(tables, only, "z")
    with pytest.raises(StageError, match=r"two models or more for dataset d, found 1 \(A/a\)") as raised:
        compare_models(spark, config, style="csv", output=tmp_path / "p.svg")
    assert "remove_text.models=[A/a" in str(raised.value)

    # The current run key has A/a again, and B; a model is never counted under two run keys.
    both = drawn_rows(("A/a", "B"), 40, 2)
    put(tables, both, "b")
    put(tables, [removal_row(0, "C", score_raw=0.5, has_text=False)], "c")
    put(tables, both, "b")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    tracked = config.model_copy(update={"tracking": TrackingConfig(enabled=True, uri=store, experiment="e")})
    compare_models(spark, tracked, style="csv", output=tmp_path / "p.svg")
    printed = capsys.readouterr().out
    found = {row["model"]: row for row in csv.DictReader(io.StringIO(printed))}
    assert list(found) == ["A/a", "B", "C"]
    expected = by_image_type(both)
    for (model, name), part in expected.groupby(["model", "type"]):
        assert int(found[model][f"images_{name}"]) == len(part)
        assert float(found[model][f"mean_{name}"]) == pytest.approx(part.score.mean(), abs=1e-12)
    for model in ("A/a", "B"):
        rsa = [row["rsa"] for row in both if row["model"] == model and row["rsa"] is not None]
        assert float(found[model]["mean_rsa"]) == pytest.approx(sum(rsa) / len(rsa), abs=1e-9)
    assert (found["C"]["mean_raw_without_text"], found["C"]["mean_rsa"]) == ("0.5", "")
    plot = (tmp_path / "p.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(plot).tag.endswith("svg")
    assert "var(--" not in plot
    assert all(re.search(f">{re.escape(model)}</text>", plot) for model in found)

    (run,) = runs_of(store, "e")
    assert (run.info.run_name, run.info.status) == ("compare-models", "FINISHED")
    assert run.data.params == {"dataset": "d", "models": "A/a, B, C"}
    for model, measures in found.items():
        numbers = {
            f"{model}/{name}": float(value) for name, value in measures.items() if name != "model" and value
        }
        logged = {name: value for name, value in run.data.metrics.items() if name.startswith(f"{model}/")}
        assert logged == pytest.approx(numbers, abs=1e-12)
    stored = {path.name: path.read_bytes() for path in artifacts_of(run, store, tmp_path / "artifacts")}
    assert stored == {"models.csv": printed.encode(), "p.svg": plot.encode()}


def test_only_scores_of_the_same_fill_and_overlap_are_compared(spark, config, tmp_path, capsys):
    config = config.model_copy(update={"dataset": "d"})
    tables = Tables(spark, config.warehouse)

    def settings(model, fill, overlap):
        return {
            "params": {"inpaint": {"fill": fill}, "models": [model]},
            "reads": {"caption_overlap": overlap},
        }

    for model, score, fill, overlap, run_key in (
        ("B", 0.25, "telea", "now", "b"),
        ("C", 0.375, "mean", "now", "c"),
        ("D", 0.5, "telea", "before", "d"),
        ("A", 0.125, "mean", "now", "a1"),
        ("A", 0.75, "telea", "now", "a2"),
    ):
        rows = [removal_row(0, model, score_raw=score, has_text=False)]
        put(tables, rows, run_key, **settings(model, fill, overlap))
    compare_models(spark, config, style="csv", output=tmp_path / "p.svg")
    captured = capsys.readouterr()
    found = {row["model"]: row["mean_raw_without_text"] for row in csv.DictReader(io.StringIO(captured.out))}
    assert found == {"A": "0.75", "B": "0.25"}
    assert "left out of text_removal_scores: C, D. Those scores are of another fill" in captured.err


def runs_of(store, experiment):
    client = mlflow.MlflowClient(store)
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def artifacts_of(run, store, folder):
    folder.mkdir()
    client = mlflow.MlflowClient(store)
    return [
        Path(client.download_artifacts(run.info.run_id, item.path, str(folder)))
        for item in client.list_artifacts(run.info.run_id)
    ]
