"""An image that kills the Python worker, on real Spark: its task is tried again, and it alone is a failed row."""

from __future__ import annotations

import pyarrow as pa

from tests.builders import image_bytes
from tests.crashing_model import ObedientFactory
from udfs.adapter import PHASES, ImageTask, map_images

INPUT = (
    "shard_id string, sample_id string, batch int, skip_reason string, image_uri string, image_offset long, "
    "image_length long, image_row long, caption string"
)
OUTPUT = {
    "shard_id": pa.string(),
    "sample_id": pa.string(),
    "brightness": pa.float64(),
    "process": pa.int64(),
    "status": pa.string(),
    "error": pa.string(),
    **dict.fromkeys([f"{phase}_seconds" for phase in PHASES], pa.float64()),
}
DDL = (
    "shard_id string, sample_id string, brightness double, process long, status string, error string, "
    + ", ".join(f"{phase}_seconds double" for phase in PHASES)
)


def test_the_image_that_kills_its_worker_is_the_only_one_lost(spark, tmp_path):
    captions = ["fine"] * 12
    captions[4] = "signal 11"
    captions[9] = "raise"
    rows = []
    for number, caption in enumerate(captions):
        path = tmp_path / f"{number}.png"
        path.write_bytes(image_bytes("PNG", size=(8, 8), color=(number * 10 + 10,) * 3))
        rows.append(("0", str(number), number // 4, None, str(path), None, None, None, caption))
    task = ImageTask(ObedientFactory(), pa.schema(OUTPUT))
    frame = spark.createDataFrame(rows, INPUT).coalesce(1).mapInArrow(map_images(task), DDL)
    found = {int(row["sample_id"]): row for row in frame.collect()}
    assert sorted(found) == list(range(12))
    assert {number: row["error"] for number, row in found.items() if row["status"] != "ok"} == {
        4: "model: ModelCrash: the model's process crashed (signal 11)",
        9: "model: ValueError: the model refuses",
    }
    sound = [row for number, row in found.items() if number not in (4, 9)]
    assert [row["brightness"] for row in sound] == [float(row["sample_id"]) * 10 + 10 for row in sound]
    assert len({row["process"] for row in sound}) > 1, "a child was started again after the crash"
