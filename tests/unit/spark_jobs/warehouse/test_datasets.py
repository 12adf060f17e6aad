from __future__ import annotations

import pytest

from spark_jobs.errors import ConfigError
from spark_jobs.warehouse.datasets import choose_only


def test_the_only_dataset_is_meant():
    assert choose_only([("cc12m", "samples"), ("cc12m", "images")], warehouse="w") == "cc12m"


def test_a_dataset_of_trainings_alone_does_not_count_beside_one_with_samples():
    found = {("cc12m", "samples"): "r1", ("elsewhere", "training_runs"): "r2"}
    assert choose_only(found, warehouse="w") == "cc12m"
    assert choose_only([("elsewhere", "training_runs")], warehouse="w") == "elsewhere"


def test_several_datasets_are_named():
    with pytest.raises(ConfigError, match="--dataset, of cc12m, laion"):
        choose_only([("laion", "samples"), ("cc12m", "samples")], warehouse="w")


def test_an_empty_warehouse_says_how_to_fill_it():
    with pytest.raises(ConfigError, match="parrot run --source PATH --dataset NAME"):
        choose_only([], warehouse="w")
