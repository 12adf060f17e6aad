from __future__ import annotations

import math
import random

import numpy as np
import pytest

from spark_jobs.demo.captions import scene_caption
from spark_jobs.demo.scenes import (
    COLOURS,
    PATTERNS,
    PLACES,
    SHAPES,
    Background,
    Scene,
    SceneObject,
    draw_scene,
    object_boxes,
    plan_scene,
)


def nearest_colour(pixel: np.ndarray) -> str:
    return min(COLOURS, key=lambda name: math.dist(COLOURS[name], tuple(float(v) for v in pixel)))


def one_shape(shape: str, colour: str, background: Background, *, extent: float = 0.4) -> Scene:
    return Scene(
        background, (SceneObject(shape, colour, "large", 0.5, 0.5, extent),), "single", "in the centre"
    )


def test_equal_seeds_paint_equal_pixels_and_other_seeds_other_ones() -> None:
    def paint(seed: int) -> bytes:
        rng = random.Random(seed)
        return draw_scene(plan_scene(rng), rng, size=96).tobytes()

    assert paint(5) == paint(5)
    assert len({paint(seed) for seed in range(20)}) == 20


def test_scenes_have_the_size_asked_for() -> None:
    rng = random.Random(0)
    image = draw_scene(plan_scene(rng), rng, size=150)
    assert (image.size, image.mode) == ((150, 150), "RGB")


@pytest.mark.parametrize("colour", sorted(COLOURS))
def test_a_shape_is_painted_in_the_colour_that_is_named(colour: str) -> None:
    ground = "white" if colour != "white" else "black"
    scene = one_shape("circle", colour, Background("plain", (ground,)))
    pixels = np.asarray(draw_scene(scene, random.Random(1), size=200))
    assert nearest_colour(pixels[100, 100]) == colour
    assert nearest_colour(pixels[5, 5]) == ground


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_every_shape_covers_a_good_part_of_its_square_and_nothing_outside(shape: str) -> None:
    scene = one_shape(shape, "black", Background("plain", ("white",)))
    pixels = np.asarray(draw_scene(scene, random.Random(3), size=200), dtype=np.int64)
    dark = pixels.sum(axis=2) < 250
    rows, columns = np.nonzero(dark)
    assert 0.15 < dark.sum() / 80**2 < 0.95
    assert min(rows.min(), columns.min()) >= 59
    assert max(rows.max(), columns.max()) <= 141


def test_shapes_look_different() -> None:
    def mask(shape: str) -> np.ndarray:
        scene = one_shape(shape, "black", Background("plain", ("white",)), extent=0.9)
        return np.asarray(draw_scene(scene, random.Random(7), size=64)).sum(axis=2) < 300

    masks = {shape: mask(shape) for shape in SHAPES}
    names = sorted(masks)
    pairs = [(one, other) for i, one in enumerate(names) for other in names[i + 1 :]]
    assert len(names) >= 10
    closest = min((masks[a] ^ masks[b]).sum() / (masks[a] | masks[b]).sum() for a, b in pairs)
    assert closest > 0.12


@pytest.mark.parametrize("style", ["fading", "striped", "checked", "dotted"])
def test_a_background_of_two_colours_shows_both(style: str) -> None:
    scene = one_shape("circle", "black", Background(style, ("red", "white")), extent=0.1)
    pixels = np.asarray(draw_scene(scene, random.Random(2), size=120)).reshape(-1, 3)
    seen = {nearest_colour(pixel) for pixel in pixels[::7]}
    assert {"red", "white"} <= seen


def test_outdoors_the_sky_is_above_the_ground() -> None:
    scene = one_shape("circle", "black", Background("meadow", ("green", "pink")), extent=0.1)
    pixels = np.asarray(draw_scene(scene, random.Random(2), size=120))
    assert (nearest_colour(pixels[4, 60]), nearest_colour(pixels[115, 60])) == ("pink", "green")


def test_plans_use_the_whole_repertoire() -> None:
    scenes = [plan_scene(random.Random(seed)) for seed in range(1500)]
    assert {item.shape for scene in scenes for item in scene.objects} == set(SHAPES)
    assert {item.colour for scene in scenes for item in scene.objects} == set(COLOURS)
    assert {scene.background.style for scene in scenes} > set(PATTERNS)
    assert {scene.place for scene in scenes} == {*PLACES, ""}
    assert {len(scene.objects) for scene in scenes} == {1, 2, 3}


def test_shapes_stand_out_from_their_background() -> None:
    for seed in range(300):
        scene = plan_scene(random.Random(seed))
        for item in scene.objects:
            for ground in scene.background.colours:
                assert math.dist(COLOURS[item.colour], COLOURS[ground]) > 60, (seed, item, ground)


def test_there_are_tens_of_thousands_of_distinct_captions() -> None:
    captions = set()
    for seed in range(20_000):
        rng = random.Random(seed)
        captions.add(scene_caption(plan_scene(rng), rng))
    assert len(captions) > 17_000


def test_object_boxes_are_in_pixels_around_the_centres() -> None:
    scene = one_shape("star", "red", Background("plain", ("blue",)), extent=0.5)
    assert object_boxes(scene, size=200) == [(50.0, 50.0, 150.0, 150.0)]
