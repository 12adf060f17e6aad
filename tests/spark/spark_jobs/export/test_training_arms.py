"""Arms of the same size are exports of the same size: nothing in them that a trainer cannot read."""

from __future__ import annotations

import json
import tarfile

import pytest

from schemas import caption_overlap
from spark_jobs.commands.export import ExportOptions, order
from spark_jobs.config import load_config
from spark_jobs.export.job import run_export
from spark_jobs.stages.curate import run as curate
from spark_jobs.warehouse.tables import Tables
from tests.exported import drawn, put_subset
from tests.table_rows import filled, put_rows

SIZE = 4


@pytest.fixture
def warehouse(spark, tmp_path):
    """Samples of which every second cannot be trained on: a broken image, or a caption without a word."""
    frame = drawn(tmp_path / "source", count=24)
    frame["caption"] = ["?!" if number % 4 == 1 else f"NO {number}" for number in range(len(frame))]
    put_subset(spark, tmp_path / "warehouse", frame)
    tables, spec = Tables(spark, str(tmp_path / "warehouse")), caption_overlap.TABLE
    rows = [
        filled(
            spec,
            shard_id=row.shard_id,
            sample_id=row.sample_id,
            run_key="o",
            **(
                {"status": "skipped", "error": "spot_text: damaged"}
                if number % 4 == 3
                else {
                    "image_type": ["no_text", "concurrent"][number % 8 == 2],
                    "text_detected": number % 8 == 2,
                    "spotted_word_count": int(number % 8 == 2),
                    "cotr": None if number % 4 == 1 else float(number % 8 == 2),
                    "cotr_reason": "no_words" if number % 4 == 1 else None,
                }
            ),
        )
        for number, row in enumerate(frame.itertuples())
    ]
    put_rows(tables, spec, rows, stage="overlap")
    for number, uri in enumerate(frame.uri):
        if number % 4 == 3 and number % 3 == 2:  # an image file of its own
            with open(uri, "wb"):
                pass
    return tmp_path / "warehouse"


def test_arms_of_a_size_export_as_many_samples(spark, warehouse, tmp_path):
    values = {"build": ["random", "without_text"], "size": SIZE, "control": True}
    config = load_config(
        options={"warehouse": str(warehouse), "dataset": "test"},
        overrides=("tracking.enabled=false", f"curate={json.dumps(values)}"),
    )
    curate(spark, config)
    tables = Tables(spark, str(warehouse))
    arms = [name for base in values["build"] for name in (f"{base}-{SIZE}", f"{base}-{SIZE}-control")]
    for name in arms:
        to = tmp_path / name
        outcome = run_export(tables, order(config, name, ExportOptions(str(to), "webdataset")))
        with tarfile.open(to / "00000.tar") as tar:
            members = tar.getnames()
            captions = [
                tar.extractfile(member).read().decode() for member in members if member.endswith(".txt")
            ]
        images = [member for member in members if not member.endswith((".txt", ".json"))]
        assert (len(captions), len(images)) == (SIZE, SIZE), name
        assert all(caption.startswith("NO ") for caption in captions), name
        assert outcome.manifest.unreadable == [], name
