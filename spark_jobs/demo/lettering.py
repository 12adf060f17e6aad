"""Words rendered onto a picture, legibly, with the polygon of each."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spark_jobs.demo.scenes import COLOURS, RGB, tint

if TYPE_CHECKING:
    from numpy.typing import NDArray

FONT_FILES = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSansMono-Bold.ttf",
)
MIN_FONT_SHARE = 20 / 320  # of the image's side; smaller text is lost on spotters
MAX_FONT_SHARE = 44 / 320
LINE_LETTERS = (13, 16, 19)  # tried in turn; at the last one any five words of nine letters take three lines
MAX_LINES = 3
MIN_CONTRAST = 4.5  # WCAG 2 contrast ratio of legible text
OUTLINE_CONTRAST = 10.0  # a rim of less contrast blurs with the letter
PLACES_TRIED = 16
_PLATE, _OUTLINE, _BARE = "plate", "outline", "bare"

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class PlantedWord:
    """A rendered word.

    Attributes:
        text: The word as drawn.
        polygon: Corners in px of the image (x right, y down) and clipped to it, clockwise from the word's top
            left.
    """

    text: str
    polygon: tuple[Point, Point, Point, Point]


@dataclass(frozen=True)
class Letters:
    """How large words are set, and in which lines.

    Attributes:
        smallest: Smallest font size, share of the image's side.
        largest: Largest.
        own_lines: Whether each word has a line of its own.
    """

    smallest: float = MIN_FONT_SHARE
    largest: float = MAX_FONT_SHARE
    own_lines: bool = False


@dataclass(frozen=True)
class _Style:
    font_file: str
    font_size: int
    ink: RGB
    edge: RGB | None
    plate: RGB | None
    angle: float


@dataclass(frozen=True)
class _Block:
    """Text set in lines on a layer of its own; the words' boxes are in px of the layer."""

    layer: Image.Image
    boxes: tuple[Box, ...]


def break_lines(words: Sequence[str]) -> list[list[str]]:
    """Set words in at most `MAX_LINES` lines, as short as `LINE_LETTERS` allows.

    Raises:
        ValueError: If the words need more lines.
    """
    for letters in LINE_LETTERS:
        lines: list[list[str]] = []
        for word in words:
            if lines and len(" ".join([*lines[-1], word])) <= letters:
                lines[-1].append(word)
            else:
                lines.append([word])
        if len(lines) <= MAX_LINES:
            return lines
    raise ValueError(f"expected words for at most {MAX_LINES} lines, found {len(lines)} lines: {lines}")


def draw_text(
    image: Image.Image,
    words: Sequence[str],
    *,
    rng: random.Random,
    avoid: Sequence[Box] = (),
    letters: Letters = Letters(),
) -> tuple[Image.Image, tuple[PlantedWord, ...]]:
    """Render words onto a copy of an image: on a plate, outlined, or bare where the ground is calm.

    Args:
        image: RGB picture; not changed.
        words: The words in reading order.
        rng: Source of font, size, colours, angle and place.
        avoid: Boxes, px, that the text should leave free as far as it can.
        letters: Sizes and lines.

    Returns:
        The picture with text, and its words with their polygons, in the same order.

    Raises:
        ValueError: If the words do not fit into the picture at the smallest legible size.
    """
    lines = [[word] for word in words] if letters.own_lines else break_lines(words)
    angle = rng.uniform(-7, 7) if rng.random() < 0.3 else 0.0
    font_file, font_size = _fit_font(image.width, lines, angle, rng=rng, letters=letters)
    width, height = _turned_size(_block_size(font_file, font_size, lines), angle)
    place = _choose_place(image.size, (width, height), avoid, rng=rng)
    centre_x, centre_y = (place[0] + place[2]) / 2, (place[1] + place[3]) / 2
    under = image.crop((round(place[0]), round(place[1]), round(place[2]), round(place[3])))
    ink, edge, plate = _choose_colours(under, rng)
    block = _set_block(lines, _Style(font_file, font_size, ink, edge, plate, angle))

    layer = block.layer
    if angle:
        layer = layer.rotate(angle, resample=Image.Resampling.BICUBIC, expand=True)
    left, top = round(centre_x - layer.width / 2), round(centre_y - layer.height / 2)
    lettered = image.copy()
    lettered.paste(layer, (left, top), layer)
    centre = (left + layer.width / 2, top + layer.height / 2)
    polygons = [_place_box(box, block.layer.size, centre, angle=angle) for box in block.boxes]
    return lettered, tuple(
        PlantedWord(word, _clip(polygon, image.size)) for word, polygon in zip(words, polygons, strict=True)
    )


@functools.cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    # The basic layout gives the same pixels whether or not Pillow finds libraqm on a machine.
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _edge_width(font_size: int) -> int:
    return max(1, round(font_size / 14))


def _block_size(font_file: str, font_size: int, lines: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Width and height of the set text with its padding, px."""
    font = _font(font_file, font_size)
    width = math.ceil(max(font.getlength(" ".join(line)) for line in lines))
    padding = _padding(font_size)
    return width + 2 * padding, _line_height(font) * len(lines) + 2 * padding


def _padding(font_size: int) -> int:
    return max(3, round(font_size * 0.35))


def _line_height(font: ImageFont.FreeTypeFont) -> int:
    ascent, descent = font.getmetrics()
    return round((ascent + descent) * 1.12)


def _turned_size(size: tuple[int, int], angle: float) -> tuple[float, float]:
    cosine, sine = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    return size[0] * cosine + size[1] * sine, size[0] * sine + size[1] * cosine


def _fit_font(
    side: int, lines: Sequence[Sequence[str]], angle: float, *, rng: random.Random, letters: Letters
) -> tuple[str, int]:
    """A font and the largest size up to a random wish at which the turned block fits into the picture."""
    smallest = math.ceil(letters.smallest * side)
    wish = rng.randint(smallest, max(smallest, round(letters.largest * side)))
    for font_file in rng.sample(
        FONT_FILES, len(FONT_FILES)
    ):  # the bold ones are too wide for the longest lines
        for size in range(wish, smallest - 1, -1):
            if max(_turned_size(_block_size(font_file, size, lines), angle)) <= side * 0.98:
                return font_file, size
    raise ValueError(f"expected words that fit {side} px at a font size of {smallest} px, found {lines}")


def _choose_place(
    image_size: tuple[int, int], block_size: tuple[float, float], avoid: Sequence[Box], *, rng: random.Random
) -> Box:
    """Of some random places within the picture, the one that covers least of the boxes to avoid."""
    free_x, free_y = image_size[0] - block_size[0], image_size[1] - block_size[1]
    places = []
    for _ in range(PLACES_TRIED):
        left, top = free_x * rng.uniform(0.03, 0.97), free_y * rng.uniform(0.03, 0.97)
        places.append((left, top, left + block_size[0], top + block_size[1]))
    return min(places, key=lambda place: sum(_shared_area(place, box) for box in avoid))


def _shared_area(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def _choose_colours(under: Image.Image, rng: random.Random) -> tuple[RGB, RGB | None, RGB | None]:
    """Ink, edge and plate colour with enough contrast to each other and to what lies under the text."""
    kind = rng.choice((_PLATE, _PLATE, _OUTLINE, _BARE))
    inks = [tint(name, rng) for name in COLOURS]
    if kind == _BARE:
        levels = _luminance(np.asarray(under, dtype=np.float64).reshape(-1, 3))
        low, high = np.percentile(levels, (1, 99))
        clear = [
            ink
            for ink in inks
            if min(_contrast(_luminance_of(ink), low), _contrast(_luminance_of(ink), high)) >= MIN_CONTRAST
        ]
        if clear and _contrast(low, high) < 2:
            return rng.choice(clear), None, None
        kind = _PLATE
    if kind == _OUTLINE:
        ink = rng.choice([one for one in inks if _contrast_of(one, _black_or_white(one)) >= OUTLINE_CONTRAST])
        return ink, _black_or_white(ink), None
    ink = rng.choice(inks)
    plates = [other for other in inks if _contrast_of(ink, other) >= MIN_CONTRAST]
    return ink, None, rng.choice(plates or [_black_or_white(ink)])


def _black_or_white(ink: RGB) -> RGB:
    """The stronger contrast: at least 4.58 for any colour."""
    white, black = (255, 255, 255), (0, 0, 0)
    return white if _contrast_of(ink, white) > _contrast_of(ink, black) else black


def _set_block(lines: Sequence[Sequence[str]], style: _Style) -> _Block:
    font = _font(style.font_file, style.font_size)
    padding, line_height = _padding(style.font_size), _line_height(font)
    width, height = _block_size(style.font_file, style.font_size, lines)
    edge_width = _edge_width(style.font_size) if style.edge else 0
    # A transparent layer takes the ink's colour, so that turning it mixes no foreign colour into the rim.
    ground = (*style.plate, 255) if style.plate else (*(style.edge or style.ink), 0)
    layer = Image.new("RGBA", (width, height), ground)
    pen = ImageDraw.Draw(layer)
    boxes = []
    for number, line in enumerate(lines):
        text = " ".join(line)
        x = padding + (width - 2 * padding - font.getlength(text)) / 2
        baseline = padding + line_height * number + font.getmetrics()[0]
        for index, word in enumerate(line):
            start = x + font.getlength(" ".join([*line[:index], ""]) if index else "")
            place: dict[str, Any] = {"xy": (start, baseline), "text": word, "font": font, "anchor": "ls"}
            pen.text(**place, fill=style.ink, stroke_width=edge_width, stroke_fill=style.edge)
            boxes.append(pen.textbbox(**place, stroke_width=edge_width))
    return _Block(layer, tuple(boxes))


def _place_box(box: Box, layer_size: tuple[int, int], centre: Point, *, angle: float) -> list[Point]:
    """Corners of a layer's box in the picture, after the layer was turned about its centre (y is down)."""
    left, top, right, bottom = box
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    points = []
    for x, y in ((left, top), (right, top), (right, bottom), (left, bottom)):
        away_x, away_y = x - layer_size[0] / 2, y - layer_size[1] / 2
        turned_x, turned_y = away_x * cosine + away_y * sine, away_y * cosine - away_x * sine
        points.append((centre[0] + turned_x, centre[1] + turned_y))
    return points


def _clip(polygon: Sequence[Point], size: tuple[int, int]) -> tuple[Point, Point, Point, Point]:
    a, b, c, d = (
        (round(min(max(x, 0.0), size[0]), 2), round(min(max(y, 0.0), size[1]), 2)) for x, y in polygon
    )
    return a, b, c, d


def _luminance(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative luminance (WCAG 2) of (n, 3) sRGB levels, 0 to 1."""
    share = pixels / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]))


@functools.lru_cache(maxsize=4096)  # a picture's dozen inks are compared with each other again and again
def _luminance_of(colour: RGB) -> float:
    return float(_luminance(np.array([colour], dtype=np.float64))[0])


def _contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def _contrast_of(one: RGB, other: RGB) -> float:
    return _contrast(_luminance_of(one), _luminance_of(other))
