"""Drawn scenes: one to three coloured shapes on a background, planned first and painted after.

A plan (`Scene`) holds everything a caption says, so picture and caption cannot disagree. All randomness comes
from the `random.Random` that is passed in: the same state gives the same pixels.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from numpy.typing import NDArray

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (208, 32, 38),
    "orange": (240, 134, 24),
    "yellow": (248, 220, 56),
    "green": (44, 148, 62),
    "turquoise": (52, 196, 190),
    "blue": (34, 82, 196),
    "purple": (122, 48, 158),
    "pink": (244, 138, 178),
    "brown": (122, 76, 42),
    "black": (26, 26, 28),
    "white": (246, 246, 242),
    "grey": (138, 140, 144),
}
MIN_COLOUR_DISTANCE = 95.0  # RGB distance at which two of the colours above are told apart at a glance

PATTERNS = ("plain", "fading", "striped", "checked", "dotted", "grainy")
GROUNDS: dict[str, str] = {
    "meadow": "green",
    "desert": "orange",
    "beach": "yellow",
    "snowfield": "white",
    "lake": "blue",
    "field": "brown",
}
SKIES = ("blue", "grey", "pink", "orange", "black", "purple", "white")
SIZES: dict[str, tuple[float, float]] = {"small": (0.15, 0.19), "medium": (0.26, 0.32), "large": (0.42, 0.5)}
LAYOUTS = ("single", "above", "beside", "row")
PLACES: dict[str, tuple[float, float]] = {
    "in the centre": (0.5, 0.5),
    "at the top": (0.5, 0.24),
    "at the bottom": (0.5, 0.76),
    "on the left": (0.24, 0.5),
    "on the right": (0.76, 0.5),
    "in the top left corner": (0.22, 0.22),
    "in the top right corner": (0.78, 0.22),
    "in the bottom left corner": (0.22, 0.78),
    "in the bottom right corner": (0.78, 0.78),
}

_INK, _HOLE = 255, 0
_MARGIN = 0.05  # share of a shape's square left free, so that turning it cuts no corner
_Part = tuple[str, tuple[float, ...], int]


def _spokes(corners: int, inner: float, *, turn: float = -90.0) -> tuple[float, ...]:
    """Flat x, y list of a regular polygon, or of a star where `inner` is below 1, in the unit square."""
    points: list[float] = []
    steps = corners * 2
    for step in range(steps):
        radius = 0.5 if step % 2 == 0 else 0.5 * inner
        angle = math.radians(turn + 360.0 * step / steps)
        points += [0.5 + radius * math.cos(angle), 0.5 + radius * math.sin(angle)]
    return tuple(points)


def _petals(count: int) -> tuple[_Part, ...]:
    parts: list[_Part] = []
    for step in range(count):
        angle = 2 * math.pi * step / count
        x, y = 0.5 + 0.3 * math.cos(angle), 0.5 + 0.3 * math.sin(angle)
        parts.append(("ellipse", (x - 0.2, y - 0.2, x + 0.2, y + 0.2), _INK))
    return tuple(parts)


# Shapes as ink and holes on the unit square, painted in order.
SHAPES: dict[str, tuple[_Part, ...]] = {
    "circle": (("ellipse", (0, 0, 1, 1), _INK),),
    "square": (("polygon", (0.04, 0.04, 0.96, 0.04, 0.96, 0.96, 0.04, 0.96), _INK),),
    "triangle": (("polygon", (0.5, 0.02, 1, 0.94, 0, 0.94), _INK),),
    "diamond": (("polygon", (0.5, 0, 0.84, 0.5, 0.5, 1, 0.16, 0.5), _INK),),
    "hexagon": (("polygon", _spokes(6, math.cos(math.pi / 6)), _INK),),
    "star": (("polygon", _spokes(5, 0.42), _INK),),
    "sun": (("polygon", _spokes(12, 0.62), _INK),),
    "ring": (("ellipse", (0, 0, 1, 1), _INK), ("ellipse", (0.24, 0.24, 0.76, 0.76), _HOLE)),
    "cross": (
        ("polygon", (0.34, 0, 0.66, 0, 0.66, 1, 0.34, 1), _INK),
        ("polygon", (0, 0.34, 1, 0.34, 1, 0.66, 0, 0.66), _INK),
    ),
    "heart": (
        ("ellipse", (0.02, 0.06, 0.54, 0.58), _INK),
        ("ellipse", (0.46, 0.06, 0.98, 0.58), _INK),
        ("polygon", (0.075, 0.48, 0.5, 0.3, 0.925, 0.48, 0.5, 0.98), _INK),
    ),
    "moon": (("ellipse", (0, 0, 1, 1), _INK), ("ellipse", (0.3, -0.1, 1.2, 0.8), _HOLE)),
    "arrow": (("polygon", (0, 0.36, 0.56, 0.36, 0.56, 0.12, 1, 0.5, 0.56, 0.88, 0.56, 0.64, 0, 0.64), _INK),),
    "house": (
        ("polygon", (0.5, 0, 1, 0.46, 0, 0.46), _INK),
        ("polygon", (0.12, 0.46, 0.88, 0.46, 0.88, 1, 0.12, 1), _INK),
        ("polygon", (0.42, 0.66, 0.58, 0.66, 0.58, 1, 0.42, 1), _HOLE),
        ("polygon", (0.2, 0.56, 0.34, 0.56, 0.34, 0.7, 0.2, 0.7), _HOLE),
    ),
    "tree": (
        ("polygon", (0.42, 0.6, 0.58, 0.6, 0.58, 1, 0.42, 1), _INK),
        ("polygon", (0.5, 0, 0.8, 0.4, 0.2, 0.4), _INK),
        ("polygon", (0.5, 0.24, 0.9, 0.74, 0.1, 0.74), _INK),
    ),
    "flower": (*_petals(6), ("ellipse", (0.37, 0.37, 0.63, 0.63), _HOLE)),
    "cloud": (
        ("ellipse", (0, 0.4, 0.46, 0.84), _INK),
        ("ellipse", (0.2, 0.14, 0.7, 0.74), _INK),
        ("ellipse", (0.5, 0.3, 1, 0.84), _INK),
        ("polygon", (0.2, 0.6, 0.8, 0.6, 0.8, 0.84, 0.2, 0.84), _INK),
    ),
    "fish": (
        ("ellipse", (0, 0.22, 0.78, 0.78), _INK),
        ("polygon", (0.66, 0.5, 1, 0.2, 1, 0.8), _INK),
        ("ellipse", (0.14, 0.38, 0.24, 0.48), _HOLE),
    ),
    "boat": (
        ("polygon", (0, 0.66, 1, 0.66, 0.8, 0.96, 0.2, 0.96), _INK),
        ("polygon", (0.48, 0, 0.48, 0.6, 0.08, 0.6), _INK),
        ("polygon", (0.54, 0.1, 0.54, 0.6, 0.86, 0.6), _INK),
    ),
    "mushroom": (
        ("ellipse", (0.02, 0.06, 0.98, 0.98), _INK),
        ("polygon", (0, 0.54, 1, 0.54, 1, 1, 0, 1), _HOLE),
        ("polygon", (0.38, 0.52, 0.62, 0.52, 0.66, 1, 0.34, 1), _INK),
    ),
}


@dataclass(frozen=True)
class Background:
    """What lies behind the shapes.

    Attributes:
        style: One of `PATTERNS`, or one of `GROUNDS` for an outdoor scene.
        colours: Names of one or two colours; (ground, sky) for an outdoor scene. With one colour a pattern's
            second tone is a shade of it.
    """

    style: str
    colours: tuple[str, ...]


@dataclass(frozen=True)
class SceneObject:
    """One shape. `x`, `y` (centre) and `extent` (side of its square) are shares of the image's side."""

    shape: str
    colour: str
    size: str
    x: float
    y: float
    extent: float


@dataclass(frozen=True)
class Scene:
    """What a picture shows, and all that a caption may say of it.

    Attributes:
        background: What lies behind.
        objects: One to three shapes: top to bottom for layout `above`, else left to right.
        layout: One of `LAYOUTS`.
        place: Key of `PLACES` for a single shape, else empty.
    """

    background: Background
    objects: tuple[SceneObject, ...]
    layout: str
    place: str = ""


def plan_scene(rng: random.Random, layouts: Sequence[str] = LAYOUTS) -> Scene:
    """Choose background, shapes, colours, sizes and places; the layout is one of those given."""
    background = plan_background(rng)
    layout = rng.choice(layouts)
    if layout == "single":
        place = rng.choice(tuple(PLACES))
        spots = [PLACES[place]]
        sizes = ["small", "medium", "large"] if place == "in the centre" else ["small", "medium"]
    elif layout == "row":
        place, spots, sizes = "", [(0.19, 0.5), (0.5, 0.5), (0.81, 0.5)], ["small", "medium"]
    else:
        place, sizes = "", ["small", "medium", "medium", "large"]
        spots = [(0.5, 0.26), (0.5, 0.75)] if layout == "above" else [(0.26, 0.5), (0.74, 0.5)]
    taken = list(background.colours)
    shapes = rng.sample(tuple(SHAPES), len(spots))
    objects = []
    for shape, (x, y) in zip(shapes, spots, strict=True):
        colour = _clear_colour(rng, taken)
        size = rng.choice(sizes)
        extent = rng.uniform(*SIZES[size])
        objects.append(SceneObject(shape, colour, size, x + _jitter(rng), y + _jitter(rng), extent))
    return Scene(background, tuple(objects), layout, place)


def draw_scene(scene: Scene, rng: random.Random, *, size: int) -> Image.Image:
    """Paint a planned scene.

    Args:
        scene: The plan.
        rng: Source of what a caption does not tell: tints, angles, shading, grain.
        size: Side of the square image, px.

    Returns:
        RGB image of `size` x `size` px.
    """
    image = Image.fromarray(_paint_background(scene.background, rng, size))
    for item in scene.objects:
        _paint_object(image, item, rng)
    return image


def object_boxes(scene: Scene, *, size: int) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of each shape's square in an image of side `size`, px."""
    return [
        (
            (item.x - item.extent / 2) * size,
            (item.y - item.extent / 2) * size,
            (item.x + item.extent / 2) * size,
            (item.y + item.extent / 2) * size,
        )
        for item in scene.objects
    ]


def tint(colour: str, rng: random.Random, *, spread: int = 12) -> RGB:
    """A named colour, each channel moved by up to `spread` levels."""
    red, green, blue = (min(255, max(0, c + rng.randint(-spread, spread))) for c in COLOURS[colour])
    return red, green, blue


def _jitter(rng: random.Random) -> float:
    return rng.uniform(-0.04, 0.04)


def _clear_colour(rng: random.Random, taken: list[str]) -> str:
    """A colour well apart from the taken ones, or the one farthest from them."""

    def clearance(name: str) -> float:
        return min(math.dist(COLOURS[name], COLOURS[other]) for other in taken)

    free = [name for name in COLOURS if clearance(name) >= MIN_COLOUR_DISTANCE]
    return rng.choice(free) if free else max(COLOURS, key=clearance)


def plan_background(rng: random.Random) -> Background:
    """Choose what lies behind."""
    if rng.random() < 0.3:
        ground = rng.choice(tuple(GROUNDS))
        sky = rng.choice([name for name in SKIES if name != GROUNDS[ground]])
        return Background(ground, (GROUNDS[ground], sky))
    style = rng.choice(PATTERNS)
    first = rng.choice(tuple(COLOURS))
    two_colours = style == "fading" or (style in {"striped", "checked", "dotted"} and rng.random() < 0.5)
    if two_colours:
        return Background(style, (first, _clear_colour(rng, [first])))
    return Background(style, (first,))


def _paint_background(background: Background, rng: random.Random, size: int) -> NDArray[np.uint8]:
    first = np.asarray(tint(background.colours[0], rng), dtype=np.float32)
    if len(background.colours) > 1:
        second = np.asarray(tint(background.colours[1], rng), dtype=np.float32)
    else:
        away = 255.0 if first.mean() < 128 else 0.0  # a shade of the only colour, lighter or darker
        second = first + (away - first) * rng.uniform(0.18, 0.3)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    share = _FIELDS.get(background.style, _outdoor_field)(x, y, rng)
    pixels = first + (second - first) * share[:, :, np.newaxis]
    if background.style == "grainy":
        pixels += _grain(rng, size, strength=22.0)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _grain(rng: random.Random, size: int, *, strength: float) -> NDArray[np.float32]:
    numbers = np.random.default_rng(rng.getrandbits(64))
    return numbers.standard_normal((size, size, 1), dtype=np.float32) * np.float32(strength)


def _plain_field(x: NDArray[np.float32], y: NDArray[np.float32], rng: random.Random) -> NDArray[np.float32]:
    return np.zeros_like(x)


def _fading_field(x: NDArray[np.float32], y: NDArray[np.float32], rng: random.Random) -> NDArray[np.float32]:
    angle = rng.uniform(0, 2 * math.pi)
    ramp = x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle))
    low, high = ramp.min(), ramp.max()
    return np.asarray((ramp - low) / (high - low), dtype=np.float32)


def _striped_field(x: NDArray[np.float32], y: NDArray[np.float32], rng: random.Random) -> NDArray[np.float32]:
    angle, period = rng.choice([0.0, 0.5, 0.25, 0.75]) * math.pi, rng.uniform(0.12, 0.22)
    along = x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle))
    return np.asarray(np.floor(along / period * 2) % 2, dtype=np.float32)


def _checked_field(x: NDArray[np.float32], y: NDArray[np.float32], rng: random.Random) -> NDArray[np.float32]:
    side = rng.uniform(0.1, 0.17)
    return np.asarray((np.floor(x / side) + np.floor(y / side)) % 2, dtype=np.float32)


def _dotted_field(x: NDArray[np.float32], y: NDArray[np.float32], rng: random.Random) -> NDArray[np.float32]:
    period = rng.uniform(0.1, 0.16)
    radius = period * rng.uniform(0.2, 0.32)
    squared = (x % period - period / 2) ** 2 + (y % period - period / 2) ** 2
    return np.asarray(squared < radius**2, dtype=np.float32)


def _outdoor_field(x: NDArray[np.float32], y: NDArray[np.float32], rng: random.Random) -> NDArray[np.float32]:
    """Share of sky: 1 above a wavy horizon, 0 below."""
    horizon = rng.uniform(0.5, 0.68)
    waves = rng.uniform(0.0, 0.04) * np.sin(x * rng.uniform(4, 12) + rng.uniform(0, 6))
    return np.asarray(y < horizon + waves, dtype=np.float32)


_Field = Callable[["NDArray[np.float32]", "NDArray[np.float32]", random.Random], "NDArray[np.float32]"]
# Each gives the second colour's share per pixel, 0 to 1, from x and y as shares of the side.
_FIELDS: dict[str, _Field] = {
    "plain": _plain_field,
    "fading": _fading_field,
    "striped": _striped_field,
    "checked": _checked_field,
    "dotted": _dotted_field,
    "grainy": _plain_field,
}


def _paint_object(image: Image.Image, item: SceneObject, rng: random.Random) -> None:
    side = max(8, round(item.extent * image.width))
    mask = _shape_mask(item.shape, side, rng.uniform(-9, 9))
    left, top = round(item.x * image.width - side / 2), round(item.y * image.height - side / 2)
    if rng.random() < 0.35:
        offset = max(1, side // 20)
        shadow = mask.point(lambda level: level // 3)
        image.paste((0, 0, 0), (left + offset, top + offset), shadow)
    light, deep = 1.0 + rng.uniform(0, 0.1), 1.0 - rng.uniform(0, 0.2)
    ramp = np.linspace(light, deep, side, dtype=np.float32)[:, np.newaxis, np.newaxis]
    colour = np.asarray(tint(item.colour, rng), dtype=np.float32)
    shaded = np.broadcast_to(np.clip(ramp * colour, 0, 255), (side, side, 3)).astype(np.uint8)
    image.paste(Image.fromarray(shaded), (left, top), mask)


def _shape_mask(shape: str, side: int, angle: float) -> Image.Image:
    """Coverage of a shape, (side, side) px, turned by `angle` degrees; drawn doubled, for soft edges."""
    full = side * 2
    mask = Image.new("L", (full, full), _HOLE)
    pen = ImageDraw.Draw(mask)
    for kind, points, ink in SHAPES[shape]:
        scaled = [(_MARGIN + value * (1 - 2 * _MARGIN)) * (full - 1) for value in points]
        if kind == "ellipse":
            pen.ellipse(scaled, fill=ink)
        else:
            pen.polygon(scaled, fill=ink)
    return mask.rotate(angle, resample=Image.Resampling.BILINEAR).reduce(2)
