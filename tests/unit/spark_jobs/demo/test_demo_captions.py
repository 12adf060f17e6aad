from __future__ import annotations

import random
import re

import pytest

from spark_jobs.demo.captions import (
    FULL,
    NO_TEXT,
    PARTIAL,
    RELATIONS,
    TEXT_NUMBERS,
    TEXT_WORDS,
    UNRELATED,
    caption_for,
    choose_text,
    planted_cotr,
    scene_caption,
)
from spark_jobs.demo.scenes import Background, Scene, SceneObject, plan_scene

TWO_SHAPES = Scene(
    Background("striped", ("green", "white")),
    (
        SceneObject("circle", "red", "medium", 0.5, 0.25, 0.3),
        SceneObject("arrow", "orange", "small", 0.5, 0.75, 0.2),
    ),
    "above",
)


def words_of(caption: str) -> list[str]:
    return re.findall(r"\w+", caption.lower())


def test_a_caption_names_shapes_colours_relation_and_background() -> None:
    captions = {scene_caption(TWO_SHAPES, random.Random(seed)) for seed in range(60)}
    ground = "on a striped green and white background"
    assert f"a red circle above a small orange arrow {ground}" in captions
    assert f"a picture of a small orange arrow below a red circle {ground}" in captions
    assert all("red circle" in caption and "orange arrow" in caption for caption in captions)


def test_the_article_fits_the_noun() -> None:
    captions = [scene_caption(plan_scene(rng), rng) for rng in (random.Random(seed) for seed in range(2000))]
    assert not [caption for caption in captions if re.search(r"\ba [aeiou]|\ban [^aeiou]", caption)]


def test_no_scene_caption_holds_a_word_that_may_be_rendered() -> None:
    seen = set()
    for seed in range(5000):
        rng = random.Random(seed)
        seen.update(words_of(scene_caption(plan_scene(rng), rng)))
    assert len(seen) > 60
    assert not seen & {*TEXT_WORDS, *TEXT_NUMBERS}


def test_the_vocabulary_is_a_few_hundred_words_of_three_to_nine_letters() -> None:
    vocabulary = [*TEXT_WORDS, *TEXT_NUMBERS]
    assert len(vocabulary) == len(set(vocabulary)) > 300
    assert [word for word in vocabulary if not re.fullmatch(r"[a-z]{3,9}|[2-9]{3,4}", word)] == []


def test_chosen_words_are_distinct_and_one_to_five() -> None:
    chosen = [choose_text(random.Random(seed)) for seed in range(500)]
    assert {len(words) for words in chosen} == {1, 2, 3, 4, 5}
    assert all(len({word.lower() for word in words}) == len(words) for words in chosen)
    assert {word.lower() for words in chosen for word in words} & set(TEXT_NUMBERS)


@pytest.mark.parametrize("seed", range(40))
def test_each_relation_plants_the_cotr_it_promises(seed: int) -> None:
    rng = random.Random(seed)
    scene, text = plan_scene(rng), choose_text(rng)
    rates = {
        relation: planted_cotr(
            caption_for(relation, scene, text if relation != NO_TEXT else (), rng=rng), text
        )
        for relation in RELATIONS
    }
    assert rates[NO_TEXT] == 0
    assert rates[UNRELATED] == 0
    assert rates[PARTIAL] is not None and 0 < rates[PARTIAL] < 1
    assert rates[FULL] == 1


def test_a_full_caption_is_the_rendered_words_in_order() -> None:
    captions = {
        caption_for(FULL, TWO_SHAPES, ("SUMMER", "SALE"), rng=random.Random(seed)) for seed in range(30)
    }
    assert captions == {"SUMMER SALE", "Summer Sale", "summer sale"}


def test_a_partial_caption_adds_rendered_words_and_nothing_else_of_the_vocabulary() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        text = choose_text(rng)
        others = {*TEXT_WORDS, *TEXT_NUMBERS} - {word.lower() for word in text}
        assert not others & set(words_of(caption_for(PARTIAL, plan_scene(rng), text, rng=rng)))


def test_planted_cotr_counts_distinct_lower_cased_words() -> None:
    assert planted_cotr("Big SALE sale, on a sofa", ("Sale", "TODAY")) == pytest.approx(1 / 5)
    assert planted_cotr("", ("Sale",)) is None


@pytest.mark.parametrize(
    ("relation", "text"), [("sideways", ("Sale",)), (NO_TEXT, ("Sale",)), (FULL, ()), (UNRELATED, ())]
)
def test_a_relation_that_does_not_fit_is_refused(relation: str, text: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="relation"):
        caption_for(relation, TWO_SHAPES, text, rng=random.Random(0))
