"""What the report reads of the text removal: rows of its statistics, and samples before and after."""

from __future__ import annotations

import numpy as np

from schemas import caption_overlap, clip_embeddings, samples, spotted_text, text_removal_scores
from spark_jobs.config import load_config
from spark_jobs.report.read.collect import collect
from spark_jobs.report.read.snapshot import Snapshot
from spark_jobs.stages import ingest, statistics
from spark_jobs.warehouse.tables import Tables
from tests.builders import write_captions, write_images
from tests.table_rows import filled, put_rows

RSA = [0.25, -0.125, 0.125, None]
SQUARE = [(2.0, 2.0), (10.0, 2.0), (10.0, 10.0), (2.0, 10.0)]


def test_largest_drops_and_rises_with_their_text_filled_in(spark, config, tmp_path):
    names = [f"{n:02d}.png" for n in range(len(RSA))]
    write_images(tmp_path / "source", names)
    captions = [{"file_name": name, "caption": "sale", "punsafe": 0.9} for name in names]
    write_captions(tmp_path / "source" / "captions.jsonl", captions)
    settings = load_config(
        options={"warehouse": config.warehouse, "dataset": "test", "source": str(tmp_path / "source")},
        overrides=("tracking.enabled=false", "report.samples_per_type=0", "report.removal_samples=2"),
    )
    ingest.run(spark, settings)
    tables = Tables(spark, config.warehouse)
    found = tables.read(samples.TABLE, dataset="test").orderBy("source_key").collect()
    keys = [(row["shard_id"], row["sample_id"]) for row in found]
    polygon = [{"x": x, "y": y} for x, y in SQUARE]
    word = {"text": "SALE", "confidence": 0.9, "line": 0, "polygon": polygon}
    unsure = {**word, "text": "x", "confidence": 0.1, "line": 1}
    # The reading is wider than its word: the picture after must lack all of it.
    reading = {**word, "polygon": [{"x": x + (4 if x > 2 else 0), "y": y} for x, y in SQUARE]}
    del reading["line"]
    spotted = [
        filled(
            spotted_text.TABLE,
            shard_id=shard_id,
            sample_id=sample_id,
            spotter="s",
            words=[word, unsure],
            lines=[reading, {**reading, "text": "x", "confidence": 0.1}],
            run_key="t",
        )
        for shard_id, sample_id in keys
    ]
    put_rows(tables, spotted_text.TABLE, spotted)
    overlap = [
        filled(
            caption_overlap.TABLE,
            shard_id=shard_id,
            sample_id=sample_id,
            caption_words=["sale"],
            co_emb_words=["sale"],
            text_detected=True,
            spotted_word_count=1,
            used_words=[(0, True, 0.01)],
            cotr=1.0,
            cotr_verbatim=0.0,
            fuzzy_cotr=1.0,
            image_type="concurrent",
            run_key="o",
        )
        for shard_id, sample_id in keys
    ]
    put_rows(tables, caption_overlap.TABLE, overlap)
    embeddings = [
        filled(
            clip_embeddings.TABLE,
            shard_id=shard_id,
            sample_id=sample_id,
            model="M",
            clip_score=0.25,
            run_key="e",
        )
        for shard_id, sample_id in keys
    ]
    put_rows(tables, clip_embeddings.TABLE, embeddings)
    scores = []
    for model, sign in (("A", -1), ("M", 1)):
        for (shard_id, sample_id), rsa in zip(keys, RSA, strict=True):
            row = {"shard_id": shard_id, "sample_id": sample_id, "model": model, "fill": "telea"}
            row |= {"score_raw": 0.5, "has_text": rsa is not None}
            if rsa is not None:
                row |= {
                    "score_all_removed": 0.5 - sign * rsa,
                    "rsa": sign * rsa,
                    "mask_share_all_removed": 0.1,
                }
            scores.append(filled(text_removal_scores.TABLE, **row))
    # As the runner logs a stage's parameters.
    params = {"params": {"inpaint": {"fill": "telea", "radius": 3, "dilation": 1}}, "reads": {}}
    put_rows(tables, text_removal_scores.TABLE, scores, params=params)
    statistics.run(spark, settings)

    content = collect(Snapshot.of(tables, settings.report), input_key="k")
    removal = content.datasets[0].text_removal
    assert removal.gallery_model == "M"  # the model of the embeddings
    assert [sample.rsa for sample in removal.drops] == [0.25, 0.125]
    assert [sample.rsa for sample in removal.rises] == [-0.125]
    assert [sample.before.sample_key[-6:] for sample in removal.drops] == ["00.png", "02.png"]
    for sample in (*removal.drops, *removal.rises):
        assert [reading.text for reading in sample.before.words] == ["SALE"]  # only what was removed
        assert sample.before.unsafe
        changed = (np.asarray(sample.before.pixels) != np.asarray(sample.after)).any(axis=2)
        rows, columns = np.nonzero(changed)
        assert rows.max() <= 12 < columns.max() <= 16
        assert sample.after.shape == sample.before.pixels.shape
