"""Settings of the demo: what its tasks resolve to."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_jobs.clip_models import models_named
from spark_jobs.demo.run import demo_config


def resolved(*overrides):
    config = demo_config(Path("demo"), source="corpus", overrides=overrides)
    return {stage: models_named(config, stage) for stage in ("embed", "remove_text")}


def test_the_demo_scores_with_the_clip_that_comes_along():
    own = ["parrot-small/world"]
    assert resolved() == resolved("embed.batch_size=3") == {"embed": own, "remove_text": own}


@pytest.mark.parametrize(
    ("overrides", "model"),
    [
        (("embed.model=ViT-B-32", "embed.pretrained=openai"), "ViT-B-32/openai"),
        (("embed.model=parrot-tiny",), "parrot-tiny/random-0"),
    ],
)
def test_another_model_is_taken_as_it_is_named(overrides, model):
    assert {name for names in resolved(*overrides).values() for name in names} == {model}


@pytest.mark.parametrize(
    ("overrides", "spotter"),
    [
        ((), "easyocr-fast"),
        (("spot_text.batch_size=2",), "easyocr-fast"),
        (("spot_text.spotter=easyocr",), "easyocr"),
        (("spot_text.spotter=rapidocr",), "rapidocr"),
        (("spot_text.detector_precision=bf16",), "easyocr"),
    ],
)
def test_the_demo_reads_with_the_faster_spotter_unless_another_is_named(overrides, spotter):
    assert demo_config(Path("demo"), source="corpus", overrides=overrides).spot_text.spotter == spotter
