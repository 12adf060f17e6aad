"""The weights that come along: which file, how large, and that they know the drawn scenes."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from spark_jobs.clip_models import is_random, model_notes
from spark_jobs.demo.captions import NO_TEXT
from spark_jobs.demo.examples import make_example
from udfs.clip_embedding import resolve
from udfs.weights import WeightsError

CARD = Path(__file__).resolve().parents[3] / "docs" / "world.md"


@pytest.fixture(scope="module")
def factory(tmp_path_factory):
    return resolve("parrot-small", "world", cache_dir=tmp_path_factory.mktemp("weights"))


def test_the_card_names_the_file_and_it_is_small(factory):
    assert factory.model_id == "parrot-small/world"
    assert factory.weights.sha256 in re.findall(r"[0-9a-f]{64}", CARD.read_text(encoding="utf-8"))
    assert factory.weights.path.stat().st_size <= 25_000_000


def test_a_reader_is_told_what_its_scores_are_worth():
    assert not is_random("parrot-small/world")
    (note,) = model_notes("parrot-small/world")
    assert "photographs mean nothing" in note


def test_a_matching_caption_beats_a_wrong_one_on_scenes_without_text(factory):
    drawn = [make_example(NO_TEXT, rng=random.Random(f"held out {n}"), size=224) for n in range(60)]
    model = factory.load()
    images = model.embed_images([model.prepare(np.asarray(one.image)) for one in drawn])
    scores = images @ model.embed_texts([one.caption for one in drawn]).T
    wins = np.diag(scores)[:, None] > scores
    assert wins.sum() / (60 * 59) >= 0.9


def test_a_program_loads_it_as_the_card_says():
    (program,) = re.findall(r"```python\n(.*?)```", CARD.read_text(encoding="utf-8"), flags=re.DOTALL)
    asked = "\nprint(model.visual.output_dim, tuple(tokenizer(['a star']).shape))"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program + asked],
        cwd=CARD.parents[1], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.stdout == "128 (1, 32)\n", ran.stderr


def test_open_clip_loads_the_file_itself(factory):
    import open_clip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, _, _ = open_clip.create_model_and_transforms(
            "parrot-small", pretrained=str(factory.weights.path)
        )
    own = factory.network("cpu").state_dict()
    assert all((value == own[name]).all() for name, value in model.state_dict().items())


def test_other_tags_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="has no pretrained weights 'worlds'"):
        resolve("parrot-small", "worlds", cache_dir=tmp_path)
