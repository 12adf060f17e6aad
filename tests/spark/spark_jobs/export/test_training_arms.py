"""Arms of the same size are exports of the same size: nothing in them that a trainer cannot read."""

from __future__ import annotations

import json
import tarfile

import pytest

from spark_jobs.commands.export import ExportOptions, order
from spark_jobs.config import load_config
from spark_jobs.export.job import run_export
from spark_jobs.stages.curate import run as curate
from spark_jobs.warehouse.tables import Tables
from tests.exported import put_arms

SIZE = 4


@pytest.fixture
def warehouse(spark, tmp_path):
    """Samples of which every second cannot be trained on: a broken image, or a caption without a word."""
    return put_arms(spark, tmp_path)


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
