"""One picture of the drawn world with its caption: a scene, words on it or words alone, in a known relation."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spark_jobs.demo.captions import (
    FULL,
    NO_TEXT,
    PARTIAL,
    UNRELATED,
    caption_for,
    choose_text,
    name_object,
    with_article,
)
from spark_jobs.demo.lettering import Letters, draw_text
from spark_jobs.demo.scenes import (
    LAYOUTS,
    SIZES,
    Scene,
    draw_scene,
    object_boxes,
    plan_background,
    plan_scene,
)
from spark_jobs.world.vocabulary import FREQUENT_WORDS, HELD_OUT_PAIRS, HELD_OUT_WORDS, RARE_WORDS

if TYPE_CHECKING:
    from PIL import Image

SCENE, PARROT, WORDS, MIXED, LABELLED = "scene", "parrot", "words", "mixed", "labelled"
KINDS: Mapping[str, str] = {
    SCENE: "a scene without text, captioned by what it shows",
    PARROT: "a scene with words on it, captioned by the words alone",
    WORDS: "words on a plain ground, captioned by them",
    MIXED: "a scene with words, captioned by both",
    LABELLED: "a scene with words, captioned by the scene alone",
}
LARGE = Letters(smallest=0.17, largest=0.26, own_lines=True)
"""Letters of 8 px and more where a picture of any size is brought to 64 px."""
_RELATIONS = {PARROT: FULL, MIXED: PARTIAL, LABELLED: UNRELATED}
_LARGE_SHARE, _FREQUENT_SHARE, _SINGLE_SHARE = 0.75, 0.7, 0.6
_LEADS = ("", "", "", "a picture of ", "a drawing of ", "an illustration of ")


@dataclass(frozen=True)
class Picture:
    """A picture and what is known of it.

    Attributes:
        image: RGB, square.
        caption: Its caption.
        kind: One of `KINDS`.
        scene: What it shows.
        words: Words on it as drawn, in reading order.
    """

    image: Image.Image
    caption: str
    kind: str
    scene: Scene
    words: tuple[str, ...]


def draw_picture(kind: str, *, rng: random.Random, size: int) -> Picture:
    """Draw a picture of the pool: without held-out words and pairs.

    Args:
        kind: One of `KINDS`.
        rng: Source of all choices: the same state gives the same pixels.
        size: Side of the image, px.
    """
    if kind == WORDS:
        return draw_words(choose_words(rng), rng=rng, size=size)
    scene = plan_seen_scene(rng)
    image = draw_scene(scene, rng, size=size)
    if kind == SCENE:
        return Picture(image, scene_caption(scene, rng), kind, scene, ())
    words, letters = _choose_lettering(rng)
    image, _ = draw_text(image, words, rng=rng, avoid=object_boxes(scene, size=size), letters=letters)
    caption = caption_for(_RELATIONS[kind], scene, words, rng=rng)
    return Picture(image, caption, kind, scene, words)


def draw_words(words: Sequence[str], *, rng: random.Random, size: int) -> Picture:
    """Words on a ground without shapes, captioned by them."""
    scene = Scene(plan_background(rng), (), "")
    image, _ = draw_text(draw_scene(scene, rng, size=size), words, rng=rng, letters=LARGE)
    return Picture(image, caption_for(FULL, scene, words, rng=rng), WORDS, scene, tuple(words))


def plan_seen_scene(rng: random.Random, layouts: Sequence[str] | None = None) -> Scene:
    """A scene without a held-out pair of shape and colour.

    Args:
        rng: Source of all choices.
        layouts: Layouts to choose from; None: most scenes have one shape, so that captions can name it alone.
    """
    while True:
        scene = plan_scene(rng, layouts or (LAYOUTS[:1] if rng.random() < _SINGLE_SHARE else LAYOUTS))
        if not any((item.shape, item.colour) in HELD_OUT_PAIRS for item in scene.objects):
            return easily_seen(scene, rng)


def easily_seen(scene: Scene, rng: random.Random) -> Scene:
    """The same scene; its only shape is drawn large in three of four.

    At 64 px a small shape is 10 px wide, on grounds that move more than it does: even a classifier that is told the
    shapes did not learn them from such pictures alone (docs/world.md).
    """
    if len(scene.objects) > 1 or rng.random() >= _LARGE_SHARE:
        return scene
    item = scene.objects[0]
    extent = rng.uniform(*SIZES["large"])
    inside = (extent / 2, 1 - extent / 2)
    large = replace(
        item, size="large", extent=extent, x=_between(item.x, *inside), y=_between(item.y, *inside)
    )
    return replace(scene, objects=(large,))


def _between(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def scene_caption(scene: Scene, rng: random.Random) -> str:
    """What a scene shows: of one shape often its name alone, so that within a batch the shape decides."""
    choice = rng.random()
    if len(scene.objects) > 1:
        if choice < 0.7:
            return caption_for(NO_TEXT, scene, (), rng=rng)
        named = [name_object(item) for item in scene.objects]
        return f"{rng.choice(_LEADS)}{', '.join(named[:-1])} and {named[-1]}"
    if choice < 0.25:
        return caption_for(NO_TEXT, scene, (), rng=rng)
    item = scene.objects[0]
    lead = rng.choice(_LEADS)
    if choice < 0.75:
        return lead + with_article(item.shape)
    if choice < 0.9:
        return lead + with_article(f"{item.colour} {item.shape}")
    return lead + with_article(f"{item.colour} shape")


def choose_words(rng: random.Random) -> tuple[str, ...]:
    """One or two words that the pool may show, cased alike."""
    words: list[str] = []
    for _ in range(rng.choice((1, 1, 2))):
        pool = FREQUENT_WORDS if rng.random() < _FREQUENT_SHARE else RARE_WORDS
        words.append(rng.choice([word for word in pool if word not in words]))
    return cased(words, rng)


def cased(words: Sequence[str], rng: random.Random) -> tuple[str, ...]:
    """Words in capitals, with a capital or in small letters."""
    casing = rng.choice((str.upper, str.upper, str.title, str.lower))
    return tuple(casing(word) for word in words)


def _choose_lettering(rng: random.Random) -> tuple[tuple[str, ...], Letters]:
    """Few words in large letters, or as in the demo's corpus: up to five words, of any length and smaller."""
    if rng.random() < _LARGE_SHARE:
        return choose_words(rng), LARGE
    while True:
        words = choose_text(rng)
        if not any(word.lower() in HELD_OUT_WORDS for word in words):
            return words, Letters()
