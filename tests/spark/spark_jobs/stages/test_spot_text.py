"""Several spotters over one dataset, on real Spark with real weights."""

from __future__ import annotations

import io
import random

import numpy as np

from schemas import spotted_text
from spark_jobs.commands.run import check, run_stages
from spark_jobs.demo.examples import make_example
from spark_jobs.pipeline import select
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from tests.builders import Pair, write_shard
from udfs import text_spotting


def jpeg(scene):
    buffer = io.BytesIO()
    scene.image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_readings_of_two_spotters_lie_side_by_side(spark, config, tmp_path, capsys):
    scenes = [make_example("full", rng=random.Random(number), size=256) for number in range(3)]
    pairs = [Pair(f"{number:08d}", jpeg(scene), scene.caption) for number, scene in enumerate(scenes)]
    write_shard(tmp_path / "source", pairs)
    config = config.model_copy(update={"source": str(tmp_path / "source")})
    for precision in ("fp32", "int8"):
        spot = config.spot_text.model_copy(
            update={"spotter": "easyocr-fast", "detector_precision": precision}
        )
        chosen = config.model_copy(update={"spot_text": spot})
        stages = select(["ingest", "spot_text"])
        check(chosen, stages)
        run_stages(spark, chosen, stages)
        told = [line for line in capsys.readouterr().err.splitlines() if "made anew" in line]
        if precision == "fp32":
            assert not told
        else:  # before the work: reading everything once more is what a person may want to stop
            (line,) = told
            assert 'detector_precision was "fp32", is "int8"' in line
    tables = Tables(spark, config.warehouse)
    rows = tables.read(spotted_text.TABLE, dataset="test").collect()
    keys = {row["run_key"] for row in rows}
    assert len(rows) == 6 and len(keys) == 2
    assert {(row["status"], row["spotter"]) for row in rows} == {("ok", "easyocr-fast/en")}
    current = current_run_keys(tables)["test", "spotted_text"]
    latest = [row for row in rows if row["run_key"] == current]
    model = text_spotting.resolve("easyocr-fast", detector_precision="int8").load()
    prepared = [model.prepare(np.asarray(scene.image)) for scene in scenes]
    alone = [{word["text"] for word in row["words"]} for row in model.predict(prepared, [{}] * 3)]
    found = [{word["text"] for word in row["words"]} for row in latest]
    shared = sum(len(words & max(found, key=lambda other, own=words: len(own & other))) for words in alone)
    assert shared >= 0.8 * sum(map(len, alone)) > 0
