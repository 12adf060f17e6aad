"""Which CLIP models a run's stages resolve to, and that trained ones and random weights are not mixed."""

from __future__ import annotations

import pytest

from spark_jobs.clip_models import models_named, refuse_mixed_models
from spark_jobs.config import RunConfig
from spark_jobs.errors import ConfigError

ALL = ("embed", "remove_text", "render_text")
OPENAI = {"model": "ViT-B-32", "pretrained": "openai"}


def config(**sections: object) -> RunConfig:
    return RunConfig.model_validate({"dataset": "d", **sections})


class Scored:
    """Stands in for a warehouse: the models of the current scores, by table."""

    warehouse = "w"

    def __init__(self, models: dict[str, list[str]]) -> None:
        self.models = models

    def answer(self, spec, question, ask):
        assert question.parameters["run_key"] == f"key of {spec.name}"
        return self.models[spec.name]


@pytest.fixture
def scored(monkeypatch):
    def of(**models: list[str]) -> Scored:
        current = {("d", table): f"key of {table}" for table in models}
        monkeypatch.setattr("spark_jobs.clip_models.current_run_keys", lambda tables: current)
        return Scored(models)

    return of


@pytest.mark.parametrize("stage", ALL)
def test_every_stage_takes_the_model_of_embed_where_it_names_none(stage):
    assert models_named(config(), stage) == ["parrot-tiny/random-0"]
    assert models_named(config(embed=OPENAI), stage) == ["ViT-B-32/openai"]


def test_a_stage_may_name_its_own_models():
    settings = config(
        embed=OPENAI, remove_text={"models": ["ViT-L-14/openai", "RN50", "parrot-tiny/random-7"]}
    )
    assert models_named(settings, "remove_text") == [
        "ViT-L-14/openai",
        "RN50/random-0",
        "parrot-tiny/random-7",
    ]


@pytest.mark.parametrize(
    "settings",
    [
        config(),
        config(embed=OPENAI),
        config(embed=OPENAI, remove_text={"models": ["ViT-B-32/openai", "ViT-B-32/random-3"]}),
        config(remove_text={"models": ["parrot-tiny/random-0", "parrot-tiny/random-1"]}),
    ],
    ids=["all random", "all trained", "random weights that are spelled out", "two seeds"],
)
def test_one_kind_of_weights_is_let_pass(settings):
    refuse_mixed_models(settings, ALL)


@pytest.mark.parametrize(
    ("settings", "stage"),
    [
        (config(remove_text={"models": ["ViT-B-32/openai"]}), "embed"),
        (config(embed=OPENAI, render_text={"models": ["ViT-B-32"]}), "render_text"),
    ],
    ids=["only one stage names a model", "a name without weights"],
)
def test_a_run_that_mixes_is_refused(settings, stage):
    with pytest.raises(
        ConfigError, match=f"stage {stage} would score with random weights .*ViT-B-32/openai"
    ) as caught:
        refuse_mixed_models(settings, ALL)
    assert "--set embed.model=ViT-B-32 --set embed.pretrained=openai" in str(caught.value)


def test_a_stage_that_does_not_run_mixes_nothing():
    refuse_mixed_models(config(remove_text={"models": ["ViT-B-32/openai"]}), ["remove_text", "statistics"])
    refuse_mixed_models(config(remove_text={"models": ["ViT-B-32/openai"]}), ["embed"])


def test_random_weights_beside_trained_scores_of_another_stage_are_refused(scored):
    tables = scored(clip_embeddings=["ViT-B-32/openai"])
    with pytest.raises(ConfigError, match=r"stage remove_text .*beside ViT-B-32/openai of stage embed"):
        refuse_mixed_models(config(), ["remove_text"], tables=tables)
    refuse_mixed_models(config(embed=OPENAI), ["remove_text"], tables=tables)


def test_scores_that_the_run_replaces_count_for_nothing(scored):
    tables = scored(clip_embeddings=["ViT-B-32/openai"], text_removal_scores=["ViT-B-32/openai"])
    refuse_mixed_models(config(), ALL, tables=tables)
    with pytest.raises(ConfigError, match="of stage remove_text"):
        refuse_mixed_models(config(), ["embed"], tables=tables)


def test_random_scores_beside_random_weights_are_let_pass(scored):
    refuse_mixed_models(config(), ["remove_text"], tables=scored(clip_embeddings=["parrot-tiny/random-3"]))
