from __future__ import annotations

import pytest
import yaml

from spark_jobs.config import RunConfig, load_config
from spark_jobs.errors import ConfigError
from spark_jobs.warehouse.addresses import is_catalog


def test_later_sources_win_file_then_options_then_set(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("dataset: from-file\nembed:\n  model: RN50\n  batch_size: 8\n")
    config = load_config(str(file), options={"dataset": "option"}, overrides=("embed.batch_size=16",))
    assert (config.dataset, config.embed.model, config.embed.batch_size) == ("option", "RN50", 16)


def test_an_option_that_is_not_given_leaves_the_file_alone(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("limit: 3\n")
    assert load_config(str(file), options={"limit": None}).limit == 3


def test_options_of_a_section_leave_its_other_settings_alone(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("curate:\n  size: 3\n  seed: 1\nreport:\n  output: from-file.html\n")
    options = {"curate": {"seed": 2, "control": None}, "report": {"output": None}}
    config = load_config(str(file), options=options)
    assert (config.curate.size, config.curate.seed, config.curate.control) == (3, 2, False)
    assert config.report.output == "from-file.html"
    file.write_text("report: 5\n")
    with pytest.raises(ConfigError, match=r"report: .*found 5"):
        load_config(str(file), options={"report": {"output": "x.html"}})


def test_override_values_are_yaml_and_may_hold_equal_signs():
    config = load_config(
        overrides=("spot_text.languages=[en, fr]", "tracking.uri=http://host?a=b", "limit=2")
    )
    assert config.spot_text.languages == ("en", "fr")
    assert config.tracking.uri == "http://host?a=b"
    assert config.limit == 2


def test_all_faults_are_reported_together_with_the_valid_keys():
    overrides = ("embed.modle=RN50", "images.max_pixels=0", "nonsense", "overlap.min_confidence=2")
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=overrides)
    message = str(caught.value)
    assert "4 fault(s)" in message
    assert "embed.modle: unknown key. Did you mean model? Valid keys: model, pretrained" in message
    assert "images.max_pixels" in message
    assert "nonsense: expected section.key=value" in message
    assert "overlap.min_confidence" in message
    assert "found 2" in message


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "x'y", "-x", "a" * 101])
def test_a_dataset_name_must_be_fit_for_a_partition(name):
    with pytest.raises(ConfigError, match="a dataset name is"):
        load_config(options={"dataset": name})


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content):
    file = tmp_path / "run.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        load_config(str(file))


def test_the_configuration_survives_a_round_trip():
    config = load_config(overrides=("embed.model=RN50", "spot_text.languages=[en, de]", "limit=7"))
    text = yaml.safe_dump(config.model_dump(mode="json"))
    assert RunConfig.model_validate(yaml.safe_load(text)) == config


def test_a_value_cannot_be_changed_after_validation():
    with pytest.raises(ValueError, match="frozen"):
        load_config().limit = 3


@pytest.mark.parametrize(
    ("warehouse", "expected"),
    [("main.parrot", True), ("./warehouse", False), ("s3://bucket/a.b", False), ("warehouse", False)],
)
def test_catalogs_are_told_from_folders(warehouse, expected):
    assert is_catalog(warehouse) is expected


def test_an_existing_folder_with_a_dot_is_a_folder(tmp_path, monkeypatch):
    (tmp_path / "ware.house").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_catalog("ware.house")
