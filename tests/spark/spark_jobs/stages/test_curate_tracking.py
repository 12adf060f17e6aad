"""What `curate` leaves in MLflow: each subset as a dataset that can be read again."""

from __future__ import annotations

import json
import os

import pytest

from schemas import subset_members, subsets
from spark_jobs import tracking
from spark_jobs.config import load_config
from spark_jobs.stages.curate import run
from spark_jobs.warehouse.tables import Tables
from tests.measured import put_measures, synthetic
from tests.subset_oracles import first_by_hash, qualifying

FRAME = synthetic(80)
SIZE = 7


@pytest.fixture(scope="module")
def warehouse(_spark_session, tmp_path_factory):
    place = tmp_path_factory.mktemp("tracked")
    put_measures(_spark_session, place, FRAME, tables=["samples", "caption_overlap"])
    return place


def curate(spark, warehouse):
    """Dataset inputs of one tracked run, by name."""
    import mlflow

    uri = f"sqlite:///{warehouse}/mlflow.db"
    curated = {"build": ["without_text", "cotr_eq_0"], "size": SIZE}
    config = load_config(
        options={"warehouse": os.path.relpath(warehouse), "dataset": "test"},
        overrides=(f"tracking.uri={uri}", f"curate={json.dumps(curated)}"),
    )
    with tracking.parent_run(config, "curate", {}):
        run_id = tracking.current_run_id()
        run(spark, config)
    inputs = mlflow.MlflowClient(uri).get_run(run_id).inputs.dataset_inputs
    return {entry.dataset.name: entry for entry in inputs}


def test_a_subset_is_a_dataset_input_that_can_be_read_again(spark, warehouse):
    found = curate(spark, warehouse)
    assert set(found) == {f"test/without_text-{SIZE}", f"test/cotr_eq_0-{SIZE}"}
    rows = Tables(spark, str(warehouse)).read(subsets.TABLE).collect()
    hashes = {f"test/{row['subset_id']}": row["content_hash"] for row in rows}
    for name, entry in found.items():
        dataset, tags = entry.dataset, {tag.key: tag.value for tag in entry.tags}
        source = json.loads(dataset.source)
        assert dataset.digest == hashes[name]
        assert (dataset.source_type, source["path"]) == ("delta_table", f"{warehouse}/subset_members")
        assert json.loads(dataset.profile) == {"num_rows": SIZE}
        columns = json.loads(dataset.schema)["mlflow_colspec"]
        assert [column["name"] for column in columns] == ["shard_id", "sample_id"]
        assert (tags["mlflow.data.context"], tags["seed"], tags["size"]) == ("subset", "0", str(SIZE))
        # Source, version and condition are enough to have the members back.
        table = spark.read.format("delta").option("versionAsOf", source["delta_table_version"])
        members = (
            table.load(source["path"]).where(tags["where"]).select(*(column["name"] for column in columns))
        )
        expected = first_by_hash(qualifying(FRAME, name.removeprefix("test/").rpartition("-")[0]), SIZE, 0)
        assert sorted(row["sample_id"] for row in members.collect()) == sorted(expected.sample_id)
    # A run that finds its subsets up to date names them too.
    before = Tables(spark, str(warehouse)).version(subset_members.TABLE)
    again = curate(spark, warehouse)
    assert {name: entry.dataset.digest for name, entry in again.items()} == hashes
    assert Tables(spark, str(warehouse)).version(subset_members.TABLE) == before
