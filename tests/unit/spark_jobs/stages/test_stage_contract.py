"""What every stage finds before any work starts, and what a dry run knows of the stages before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spark_jobs.clip_models import model_notes
from spark_jobs.config import RunConfig, load_config
from spark_jobs.errors import ConfigError, ExportError, ModelError, ParrotError, SourceError, StageError
from spark_jobs.pipeline import STAGES
from spark_jobs.runner.stage import Situation, StageContract, StagePlan
from spark_jobs.stages import load_stage
from tests.builders import image_bytes
from tests.training_export import write_export

NAMES = [stage.name for stage in STAGES]
# One fault that each stage can find in the configuration; with the error and what it must say.
BROKEN: dict[str, tuple[dict[str, Any], type[ParrotError], str]] = {
    "ingest": ({"source": "/no/such/source"}, SourceError, "/no/such/source"),
    "download": ({"warehouse": "some.catalog"}, ConfigError, "download.output"),
    "embed": ({"embed": {"model": "no-such-model"}}, ModelError, "no-such-model"),
    "cluster": ({"cluster": {"k": 4000, "sample_size": 1000}}, ConfigError, "4000"),
    "deduplicate": ({"dataset": None}, ConfigError, "--dataset"),
    "aesthetic": ({}, ConfigError, "aesthetic.head"),
    "spot_text": ({"spot_text": {"spotter": "no-such-spotter"}}, ModelError, "no-such-spotter"),
    "overlap": ({"dataset": None}, ConfigError, "--dataset"),
    "remove_text": ({"remove_text": {"models": ["no-such-model/tag"]}}, ModelError, "no-such-model"),
    "ngrams": ({"dataset": None}, ConfigError, "--dataset"),
    "render_text": ({"render_text": {"font": "/no/such/font.ttf"}}, ConfigError, "font.ttf"),
    "statistics": ({"dataset": None}, ConfigError, "--dataset"),
    "curate": ({"curate": {"build": ["no-such-subset"]}}, ConfigError, "no-such-subset"),
    "train_clip": (
        {"train_clip": {"export": "/no/such/export"}},
        ExportError,
        "no export in /no/such/export",
    ),
    "evaluate_clip": (
        {"evaluate_clip": {"tasks": "/no/such/tasks"}},
        ConfigError,
        "no folder /no/such/tasks",
    ),
    "report": ({"warehouse": "some.catalog"}, ConfigError, "report.output"),
}


def configured(**values: Any) -> RunConfig:
    return load_config(options={"dataset": "d", **values})


@pytest.fixture
def installed(monkeypatch):
    """As if img2dataset were there."""
    monkeypatch.setattr("spark_jobs.stages.download.check_installed", lambda: None)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", NAMES)
def test_a_broken_configuration_is_found_before_any_work(name):
    values, error, said = BROKEN[name]
    with pytest.raises(error, match=said):
        load_stage(name).check(configured(**values))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", NAMES)
def test_a_sound_configuration_passes(name, tmp_path):
    stages_own = {"aesthetic": {"aesthetic": {"head": str(head_file(tmp_path))}}, "curate": {"curate": BUILD}}
    if name == "train_clip":
        stages_own[name] = {name: training(tmp_path)}
    load_stage(name).check(configured(warehouse=str(tmp_path / "w"), **stages_own.get(name, {})))


def training(folder):
    pairs = [(image_bytes(), "a picture")] * 2
    export = write_export(folder / "export", pairs, dataset="d")
    return {"export": export, "batch_size": 2, "samples_seen": 2}


BUILD = {"build": ["own"], "subsets": [{"id": "own", "predicate": "caption_overlap.cotr > 0.5"}]}


def head_file(folder):
    import torch

    path = folder / "head.pth"
    torch.save({"weight": torch.ones(1, 512), "bias": torch.zeros(1)}, path)
    return path


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"report"}))
def test_every_stage_but_the_report_wants_a_dataset(name):
    with pytest.raises(ConfigError, match="--dataset"):
        load_stage(name).check(configured(dataset=None))


def test_download_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"parrot-captions\[download\]"):
        load_stage("download").check(configured())


@pytest.mark.parametrize("where", ["folder", "file/report.html"])
def test_a_report_needs_a_file_that_can_be_written(where, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    config = configured(report={"output": str(tmp_path / where)})
    with pytest.raises(ConfigError, match=r"report\.output"):
        load_stage("report").check(config)


def test_a_file_that_keeps_no_contract_is_told(monkeypatch):
    monkeypatch.delattr("spark_jobs.stages.overlap.STAGE")
    with pytest.raises(TypeError, match="STAGE"):
        load_stage("overlap")


def test_a_model_whose_name_holds_a_comma_is_one_model():
    from schemas import samples
    from spark_jobs.runner.pending import ShardWork

    names = ("ViT-B-32/my, own.pt", "parrot-tiny/random-0")
    work = ShardWork("embed", samples.TABLE, (), {}, lambda inputs: inputs, models=names)
    assert work.model == "ViT-B-32/my, own.pt, parrot-tiny/random-0"
    assert [bool(model_notes(model)) for model in work.models] == [False, True]


# -- what is missing in the warehouse

REQUIRED = {
    "download": {"samples"},
    "embed": {"samples", "images"},
    "cluster": {"clip_embeddings"},
    "deduplicate": {"clip_embeddings", "cluster_assignments"},
    "aesthetic": {"clip_embeddings"},
    "spot_text": {"samples", "images"},
    "overlap": {"samples", "spotted_text"},
    "remove_text": {"samples", "images", "spotted_text", "caption_overlap"},
    "ngrams": {"samples"},
    "render_text": {"ngram_vocabulary"},
    "curate": {"samples", "caption_overlap"},
    "evaluate_clip": {"training_runs"},
}


class NoTables:
    """A warehouse without a table."""

    def exists(self, spec):
        return False

    def answer_each(self, specs, questions, ask):
        assert not list(specs)
        return {}


def situation(tables: set[str], **values: Any) -> Situation:
    current = {("d", table): "key" for table in tables}
    return Situation(NoTables(), configured(curate=BUILD, **values), current)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "lacking"), [(name, one) for name in REQUIRED for one in sorted(REQUIRED[name])]
)
def test_a_table_that_no_stage_before_makes_is_found_before_any_work(name, lacking):
    load_stage(name).ready(situation(REQUIRED[name]))
    with pytest.raises(StageError, match=lacking):
        load_stage(name).ready(situation(REQUIRED[name] - {lacking}))
    load_stage(name).ready(situation(REQUIRED[name] - {lacking}).done({lacking}))


def test_datasets_that_are_fitted_together_must_all_be_embedded():
    settings = {"datasets": ["d", "other"]}
    with pytest.raises(StageError, match="dataset other"):
        load_stage("cluster").ready(situation({"clip_embeddings"}, cluster=settings))


def test_vectors_of_two_models_are_found_before_any_work_unless_they_are_embedded_anew():
    found = replace(
        situation(set(), cluster={"datasets": ["d", "other"]}),
        current={("d", "clip_embeddings"): "one", ("other", "clip_embeddings"): "two"},
    )
    with pytest.raises(StageError, match="embedded with other models"):
        load_stage("cluster").ready(found)
    load_stage("cluster").ready(found.done(["clip_embeddings"]))


# -- plans


def test_a_plan_is_what_the_next_stage_finds():
    before = situation({"samples"})
    after = before.planned(
        ["images", "samples"], StagePlan({"s1": 3, "s2": None}, run_keys={"images": "new"})
    )
    assert after.current == {("d", "samples"): "key", ("d", "images"): "new"}
    assert after.pending_of(["images", "clip_embeddings"]) == {"s1": 3, "s2": None}
    assert before.pending_of(["images"]) == {}


def test_a_stage_that_cannot_be_planned_changes_nothing():
    before = situation({"samples"})
    assert before.planned(["images"], StagePlan({"s1": 3}, instead="cannot run")) is before


@pytest.mark.parametrize(
    "name", ["deduplicate", "ngrams", "statistics", "curate", "train_clip", "evaluate_clip", "report"]
)
def test_work_on_whole_tables_cannot_tell_shards(name):
    stage = load_stage(name)
    assert isinstance(stage, StageContract)
    assert stage.plan(situation(set())).instead == "if its tables changed"
    assert stage.inputs == ()
