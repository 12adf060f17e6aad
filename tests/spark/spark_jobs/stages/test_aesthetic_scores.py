"""Stage `aesthetic` on written vectors: scores of the module, one row per sample, models that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from schemas import aesthetic_scores, clip_embeddings
from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError, ModelError, StageError
from spark_jobs.runner.model_run_keys import newest_by_model
from spark_jobs.runner.outdated import outdated_tables, read_made_from
from spark_jobs.stages.aesthetic import run
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from tests.table_rows import filled, put_rows

OUTPUT = aesthetic_scores.TABLE
COUNT = 40


def put_embeddings(spark, warehouse, vectors, *, model, run_key):
    """Rows 0 failed to embed, 1 is not finite."""
    rows = []
    for n, vector in enumerate(vectors.tolist()):
        found = {"image_vector": [float("nan")] * len(vector) if n == 1 else vector}
        found = {"status": "failed", "error": "damaged"} if n == 0 else found
        key = {"shard_id": f"{n % 3:05d}", "sample_id": f"{n:08d}", "model": model, "run_key": run_key}
        rows.append(filled(clip_embeddings.TABLE, **key, **found))
    put_rows(Tables(spark, str(warehouse)), clip_embeddings.TABLE, rows, stage="embed")


def configured(warehouse, *overrides):
    options = {"warehouse": str(warehouse), "dataset": "test"}
    return load_config(options=options, overrides=("tracking.enabled=false", *overrides))


def drawn(width):
    vectors = np.random.default_rng(2).standard_normal((COUNT, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_scores_models_and_refusals(spark, tmp_path):
    torch.manual_seed(1)
    module, path = torch.nn.Linear(512, 1), tmp_path / "b32.pth"
    torch.save(module.state_dict(), path)
    torch.save(torch.nn.Linear(768, 1).state_dict(), tmp_path / "l14.pth")
    warehouse, vectors = tmp_path / "w", drawn(512)
    config = configured(warehouse, f"aesthetic.head={path}")
    with pytest.raises(ConfigError, match=r"name a head .* --set aesthetic\.head=FILE"):
        run(spark, configured(warehouse))
    with pytest.raises(ModelError, match="aesthetic: No weight file at"):
        run(spark, configured(warehouse, "aesthetic.head=/none.pth"))
    with pytest.raises(StageError, match=r"no finished table clip_embeddings: run `parrot run embed` first"):
        run(spark, config)

    put_embeddings(spark, warehouse, vectors, model="ViT-B-32/openai", run_key="openai")
    with pytest.raises(StageError, match=r"takes image vectors of 768 .* have 512 \(ViT-B-32/openai\)"):
        run(spark, configured(warehouse, f"aesthetic.head={tmp_path / 'l14.pth'}"))
    assert not Tables(spark, str(warehouse)).exists(OUTPUT)
    report = run(spark, config)
    assert (report.rows, report.failed, report.skipped, report.notes) == (COUNT, 1, 1, [])
    rows = Tables(spark, str(warehouse)).read(OUTPUT).collect()
    rows = sorted(rows, key=lambda row: row["sample_id"])
    assert [(row["status"], row["error"], row["aesthetic_score"]) for row in rows[:2]] == [
        ("skipped", "embed: damaged", None),
        ("failed", "the image vector is not finite", None),
    ]
    with torch.inference_mode():
        expected = module(torch.from_numpy(vectors))[:, 0].numpy()
    np.testing.assert_allclose([row["aesthetic_score"] for row in rows[2:]], expected[2:], atol=2e-5)
    assert {(row["head"], row["status"]) for row in rows[2:]} == {("b32.pth", "ok")}
    assert run(spark, config).did_nothing

    put_embeddings(spark, warehouse, vectors, model="ViT-B-32/laion2b_s34b_b79k", run_key="laion")
    assert run(spark, config).did_nothing, "the vectors that the head was made for are still there"
    named = configured(warehouse, f"aesthetic.head={path}", "aesthetic.model=ViT-B-32/laion2b_s34b_b79k")
    other = run(spark, named)
    assert other.run_keys != report.run_keys
    (note,) = other.notes
    assert "made for ViT-B-32/openai, the image vectors are of ViT-B-32/laion2b_s34b_b79k" in note
    with pytest.raises(StageError, match=r"no scores of ViT-L-14/openai; it has those of ViT-B-32/laion2b"):
        run(spark, configured(warehouse, f"aesthetic.head={path}", "aesthetic.model=ViT-L-14/openai"))


def test_a_head_finds_the_vectors_of_its_model_beside_those_that_were_embedded_last(spark, tmp_path):
    """The paper scores with ViT-B-32 and rates aesthetics with ViT-L-14."""
    torch.manual_seed(1)
    path = tmp_path / "l14.pth"
    torch.save(torch.nn.Linear(768, 1).state_dict(), path)
    warehouse = tmp_path / "w"
    put_embeddings(spark, warehouse, drawn(768), model="ViT-L-14/openai", run_key="l14")
    put_embeddings(spark, warehouse, drawn(512), model="ViT-B-32/openai", run_key="b32")
    report = run(spark, configured(warehouse, f"aesthetic.head={path}"))
    assert (report.rows, report.failed, report.notes) == (COUNT, 1, [])
    tables = Tables(spark, str(warehouse))
    current = current_run_keys(tables)
    assert current["test", "clip_embeddings"] == "b32"
    newest = newest_by_model(tables, "test", current=current)
    assert newest["clip_embeddings"] == {"l14", "b32"}
    assert outdated_tables("test", current, read_made_from(tables), newest=newest) == {}
    assert set(outdated_tables("test", current, read_made_from(tables))) == {"aesthetic_scores"}
