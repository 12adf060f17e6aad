from __future__ import annotations

import pytest
from pyspark import SparkFiles

from spark_jobs.runner.ship_files import ship_file
from udfs.weights import WeightFile, described, local_path


@pytest.fixture
def linked_weights(tmp_path):
    """Two models' files of one name, as a hub's cache keeps them: links to files named by their hash."""
    files = []
    for number in range(2):
        blob = tmp_path / f"blob{number}"
        blob.write_bytes(b"weights of model %d" % number)
        link = tmp_path / f"model{number}" / "open_clip_model.safetensors"
        link.parent.mkdir()
        link.symlink_to(blob)
        files.append(described(link))
    return files


def test_linked_files_of_one_name_reach_the_workers(spark, linked_weights, tmp_path):
    for file in linked_weights:
        ship_file(spark, file)
    elsewhere = [WeightFile(file.name, file.sha256, tmp_path / "not here") for file in linked_weights]

    def read(number):
        return local_path(elsewhere[number]).read_bytes()

    found = spark.sparkContext.parallelize(range(2), 2).map(read).collect()
    assert found == [b"weights of model 0", b"weights of model 1"]
    assert SparkFiles.get(linked_weights[0].staged_name) != SparkFiles.get(linked_weights[1].staged_name)
