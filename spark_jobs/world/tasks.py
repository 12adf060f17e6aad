"""Evaluation sets of the drawn world, as folders that clip_benchmark and `parrot evaluate --tasks` read.

None of their pictures is in a pool: every task draws with a name of its own in the seed.
"""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from spark_jobs.demo.captions import NO_TEXT, caption_for
from spark_jobs.demo.lettering import draw_text
from spark_jobs.demo.scenes import COLOURS, SHAPES, Scene, draw_scene, object_boxes, plan_scene
from spark_jobs.world.pictures import LARGE, cased, draw_words, easily_seen, plan_seen_scene
from spark_jobs.world.pool import jpeg
from spark_jobs.world.vocabulary import BRANDS, FREQUENT_WORDS, HELD_OUT_PAIRS, HELD_OUT_WORDS

SHAPE_TEMPLATES = ("{c}", "a {c}", "a picture of a {c}")
COLOUR_TEMPLATES = ("a {c} shape", "a picture of a {c} shape")
PAIR_TEMPLATES = ("a {c}", "a picture of a {c}")
WORD_TEMPLATES = ("{c}",)
_SINGLE = ("single",)
_Draw = Callable[[random.Random], Image.Image]


@dataclass(frozen=True)
class ClassTask:
    """A classification.

    Attributes:
        name: Name of its folder.
        asks: What it asks.
        classes: Class names.
        templates: Captions with `{c}`.
        draw: Draws a picture of a class, by its number.
    """

    name: str
    asks: str
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    draw: Callable[[int, random.Random, int], Image.Image]


def class_tasks() -> tuple[ClassTask, ...]:
    """All classifications."""
    shapes, colours = tuple(SHAPES), tuple(COLOURS)
    pairs = tuple(sorted(HELD_OUT_PAIRS))

    def of_shape(number: int, rng: random.Random, size: int) -> Image.Image:
        return draw_scene(_seen(rng, shape=shapes[number]), rng, size=size)

    def of_colour(number: int, rng: random.Random, size: int) -> Image.Image:
        return draw_scene(_seen(rng, colour=colours[number]), rng, size=size)

    def of_pair(number: int, rng: random.Random, size: int) -> Image.Image:
        return draw_scene(_with_pair(rng, *pairs[number]), rng, size=size)

    def attacked(number: int, rng: random.Random, size: int) -> Image.Image:
        scene = _seen(rng, shape=shapes[number])
        wrong = rng.choice(
            [name for name in shapes if name != shapes[number] and len(name) <= _ATTACK_LETTERS]
        )
        image, _ = draw_text(
            draw_scene(scene, rng, size=size),
            cased((wrong,), rng),
            rng=rng,
            avoid=object_boxes(scene, size=size),
            letters=LARGE,
        )
        return image

    words = "the word on a plain ground"
    return (
        ClassTask("world_shape", "the shape, no text", shapes, SHAPE_TEMPLATES, of_shape),
        ClassTask("world_colour", "the shape's colour, no text", colours, COLOUR_TEMPLATES, of_colour),
        ClassTask(
            "world_new_pairs",
            "shape and colour that never came together",
            tuple(f"{colour} {shape}" for shape, colour in pairs),
            PAIR_TEMPLATES,
            of_pair,
        ),
        ClassTask("world_attack", "the shape, with another's name on it", shapes, SHAPE_TEMPLATES, attacked),
        _words_task("world_words_seen", f"{words}, written in the pool", FREQUENT_WORDS),
        _words_task("world_words_new", f"{words}, never written in the pool", HELD_OUT_WORDS),
        _words_task("world_brands", f"{words}, made up; the last four were never written", BRANDS),
    )


_ATTACK_LETTERS = 7


def write_tasks(folder: Path, *, per_class: int, scenes: int, size: int, seed: int) -> None:
    """Write all evaluation sets.

    Args:
        folder: Gets a folder per task.
        per_class: Pictures per class of a classification.
        scenes: Pictures of the retrieval.
        size: Side of the pictures, px.
        seed: Chooses the pictures.
    """
    for task in class_tasks():
        base = f"parrot-world/{task.name}/{seed}"
        pictures = (
            (jpeg(task.draw(number, random.Random(f"{base}/{number}/{place}"), size)), "cls", str(number))
            for place in range(per_class)
            for number in range(len(task.classes))
        )
        _write_task(folder / task.name, "classification", pictures)
        _put(folder / task.name / "classnames.txt", task.classes)
        _put(folder / task.name / "zeroshot_classification_templates.txt", task.templates)
    _write_task(folder / "world_retrieval", "retrieval", _scenes(scenes, size=size, seed=seed))


def _scenes(count: int, *, size: int, seed: int) -> Iterator[tuple[bytes, str, str]]:
    """Scenes without text whose captions differ, each fully described."""
    rng = random.Random(f"parrot-world/world_retrieval/{seed}")
    captions: set[str] = set()
    while len(captions) < count:
        scene = plan_scene(rng)
        caption = caption_for(NO_TEXT, scene, (), rng=rng)
        if caption not in captions:
            captions.add(caption)
            yield jpeg(draw_scene(scene, rng, size=size)), "txt", caption


def _words_task(name: str, asks: str, words: tuple[str, ...]) -> ClassTask:
    def draw(number: int, rng: random.Random, size: int) -> Image.Image:
        return draw_words(cased((words[number],), rng), rng=rng, size=size).image

    return ClassTask(name, asks, words, WORD_TEMPLATES, draw)


def _seen(rng: random.Random, *, shape: str | None = None, colour: str | None = None) -> Scene:
    """A scene of one shape, of a pair that the pool shows."""
    while True:
        scene = plan_seen_scene(rng, _SINGLE)
        item = scene.objects[0]
        if shape in (None, item.shape) and colour in (None, item.colour):
            return scene


def _with_pair(rng: random.Random, shape: str, colour: str) -> Scene:
    while True:
        scene = easily_seen(plan_scene(rng, _SINGLE), rng)
        if (scene.objects[0].shape, scene.objects[0].colour) == (shape, colour):
            return scene


def _write_task(folder: Path, kind: str, pictures: Iterator[tuple[bytes, str, str]]) -> None:
    (folder / "test").mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "test" / "0.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, (data, ending, text) in enumerate(pictures):
            _add(tar, f"s{number:06d}.jpg", data)
            _add(tar, f"s{number:06d}.{ending}", text.encode())
    _put(folder / "test" / "nshards.txt", ("1",))
    _put(folder / "dataset_type.txt", (kind,))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _put(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
