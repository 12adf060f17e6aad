"""Stage `evaluate_clip`: what is stored of a trained model, against open_clip's own answers."""

from __future__ import annotations

import numpy as np
import pytest

from schemas import caption_overlap, evaluation_results, text_removal_scores
from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError
from spark_jobs.runner.run_log import RunLog
from spark_jobs.stages import evaluate_clip, train_clip
from spark_jobs.warehouse.tables import Tables
from tests.table_rows import filled
from tests.task_folders import NAMES, write_task
from tests.training_export import COLOURS, TINY, coloured_pairs, in_process, register_tiny, write_export

TABLE = evaluation_results.TABLE
RSA = (0.1, 0.3, 0.2)


@pytest.fixture(scope="module")
def base(_spark_session, tmp_path_factory):
    """A trained model, a task of three colours, and scores of removed text under the model."""
    register_tiny()
    folder = tmp_path_factory.mktemp("evaluate")
    write_export(folder / "export", coloured_pairs(), rows_per_file=5)
    pixels = [np.full((20, 20, 3), COLOURS[name], np.uint8) for name in NAMES]
    write_task(folder / "tasks", "colours", [(one, number) for number, one in enumerate(pixels)] * 4)
    (folder / "words.txt").write_text("sale\nnew\nparrot\n")
    config = configured(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_clip, "_start", lambda *_: in_process)
        train_clip.run(_spark_session, config)
    (trained,) = Tables(_spark_session, config.warehouse).read(train_clip.TABLE).collect()
    put_removal(_spark_session, config.warehouse, f"{TINY}/{trained['training']}.safetensors")
    return folder, trained


def configured(folder, *overrides):
    return load_config(
        options={
            "warehouse": str(folder / "warehouse"),
            "dataset": "test",
            "train_clip": {
                "export": str(folder / "export"),
                "model": TINY,
                "batch_size": 4,
                "samples_seen": 400,
                "warmup_steps": 2,
                "lr": 5e-3,
                "threads": 1,
            },
            "evaluate_clip": {"tasks": str(folder / "tasks"), "words": str(folder / "words.txt")},
        },
        overrides=("tracking.enabled=false", f"embed.cache_dir={folder / 'weights'}", *overrides),
    )


def put_removal(spark, warehouse, model):
    """Scores of three images with text under the model, and of one under another."""
    tables = Tables(spark, warehouse)
    removal, overlap = text_removal_scores.TABLE, caption_overlap.TABLE
    scored = [
        filled(removal, shard_id="0", sample_id=str(number), model=name, score_raw=0.5, rsa=rsa, fill="telea")
        for name, values in ((model, RSA), ("other/weights", (-9.0,)))
        for number, rsa in enumerate(values)
    ]
    typed = [
        filled(overlap, shard_id="0", sample_id=str(number), image_type="concurrent", cotr=1.0)
        for number in range(len(RSA))
    ]
    for spec, rows, stage in ((removal, scored, "remove_text"), (overlap, typed, "overlap")):
        tables.create(spec)
        frame = spark.createDataFrame(rows, spec.schema, verifySchema=False)
        tables.replace(spec, frame, dataset="test", run_key="r")
        log = RunLog(tables, spec, stage=stage, dataset="test", run_key="r", params={})
        log.add("finished", seconds=0.0, shards=0, counts={})


def results(spark, folder):
    rows = Tables(spark, str(folder / "warehouse")).read(TABLE).collect()
    return {(row["task"], row["metric"]): row for row in rows}


@pytest.fixture(scope="module")
def evaluated(_spark_session, base):
    pytest.importorskip("clip_benchmark", reason="clip_benchmark comes with the extra `evaluate`")
    folder, trained = base
    report = evaluate_clip.run(_spark_session, configured(folder))
    return folder, trained, report, results(_spark_session, folder)


def test_accuracy_is_what_open_clip_gives_for_the_checkpoint(evaluated):
    import open_clip
    import torch
    from PIL import Image

    _, trained, _, rows = evaluated
    model, _, transform = open_clip.create_model_and_transforms(TINY, pretrained=trained["checkpoint"])
    model.eval()
    tokens = open_clip.get_tokenizer(TINY)
    with torch.no_grad():
        images = torch.stack([transform(Image.new("RGB", (20, 20), COLOURS[name])) for name in NAMES])
        seen = torch.nn.functional.normalize(model.encode_image(images), dim=-1)
        said = [
            torch.nn.functional.normalize(
                model.encode_text(tokens([f"a {name} thing", name]), normalize=True).mean(0), dim=0
            )
            for name in NAMES
        ]
    told = (seen @ torch.stack(said).T).argmax(1)
    accuracy = float((told == torch.arange(3)).float().mean())
    row = rows["colours", "acc1"]
    assert row["value"] == pytest.approx(accuracy)
    assert (row["samples"], row["chance"]) == (12, pytest.approx(1 / 3))
    assert row["low"] <= row["value"] <= row["high"]
    assert rows["colours", "clean_acc1"]["value"] == pytest.approx(accuracy)


def test_rows_name_their_model_training_and_weights(evaluated):
    _, trained, _, rows = evaluated
    assert {row["training"] for row in rows.values()} == {trained["training"]}
    assert {row["weights"] for row in rows.values()} == {trained["checkpoint_sha256"]}
    assert {row["model"] for row in rows.values()} == {f"{TINY}/{trained['training']}.safetensors"}
    assert {"attacked_acc1", "attacked_reads"} <= {metric for task, metric in rows if task == "colours"}
    words = {metric: row for (task, metric), row in rows.items() if task == "synthetic_text"}
    assert {"sync_score", "sync_wrong", "sync_margin", "word_retrieval@1"} <= set(words)
    assert words["word_retrieval@1"]["chance"] == pytest.approx(1 / 3)


def test_text_removal_is_told_of_the_models_own_scores(evaluated):
    rows = evaluated[3]
    assert rows["test", "rsa"]["value"] == pytest.approx(sum(RSA) / 3)
    assert (rows["test", "rsa_parrot"]["samples"], rows["test", "similarity_parrot"]["value"]) == (3, 0.5)
    assert rows["test", "rsa"]["low"] < sum(RSA) / 3 < rows["test", "rsa"]["high"]


def test_what_is_measured_is_not_measured_again_until_a_task_changes(spark, evaluated, monkeypatch):
    folder, _, _, rows = evaluated
    version = Tables(spark, str(folder / "warehouse")).version(TABLE)
    with monkeypatch.context() as patch:
        patch.setattr(evaluate_clip, "evaluate", lambda *_, **__: pytest.fail("measured again"))
        report = evaluate_clip.run(spark, configured(folder))
    assert any("up to date" in note for note in report.notes)
    assert Tables(spark, str(folder / "warehouse")).version(TABLE) == version
    (folder / "words.txt").write_text("sale\nnew\n")
    evaluate_clip.run(spark, configured(folder, "evaluate_clip.tasks=null"))
    stored = Tables(spark, str(folder / "warehouse")).read(TABLE)
    assert stored.select("evaluation").distinct().count() == 2
    assert stored.count() > len(rows)


def test_nothing_to_measure_is_an_error(spark, base):
    config = configured(
        base[0],
        "evaluate_clip.tasks=null",
        "evaluate_clip.words=null",
        "evaluate_clip.relative_scores=false",
    )
    with pytest.raises(ConfigError, match="nothing to measure"):
        evaluate_clip.run(spark, config)
