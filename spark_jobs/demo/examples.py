"""One drawn image-text pair: scene, rendered text and caption in a chosen relation."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_jobs.demo.captions import NO_TEXT, caption_for, choose_text
from spark_jobs.demo.lettering import Point, draw_text
from spark_jobs.demo.scenes import draw_scene, object_boxes, plan_scene

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Example:
    """A drawn image-text pair.

    Attributes:
        image: RGB, square.
        caption: The pair's caption.
        words: Rendered words as drawn, in reading order.
        polygons: Four corners of each word, px of the image.
    """

    image: Image.Image
    caption: str
    words: tuple[str, ...]
    polygons: tuple[tuple[Point, ...], ...]


def make_example(relation: str, *, rng: random.Random, size: int) -> Example:
    """Draw one pair whose caption stands in `relation` to the rendered text.

    Args:
        relation: Key of `captions.RELATIONS`.
        rng: Source of all choices: the same state gives the same pixels.
        size: Side of the image, px.

    Raises:
        ValueError: If there is no such relation, or the image is too small for its text.
    """
    scene = plan_scene(rng)
    image = draw_scene(scene, rng, size=size)
    if relation == NO_TEXT:
        return Example(image, caption_for(relation, scene, (), rng=rng), (), ())
    text = choose_text(rng)
    image, planted = draw_text(image, text, rng=rng, avoid=object_boxes(scene, size=size))
    caption = caption_for(relation, scene, text, rng=rng)
    return Example(image, caption, text, tuple(word.polygon for word in planted))
