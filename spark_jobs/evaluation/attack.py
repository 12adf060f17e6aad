"""Typographic attack: the name of a wrong class is written on each image; does the model see or read?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spark_jobs.evaluation.measures import Measure, share
from spark_jobs.evaluation.tasks import Task, pixels_of
from udfs.text_rendering import default_font

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from udfs.clip_model import ClipModel

_HEIGHT_SHARE = 0.14  # of the shorter side: letters of 9 px at 64 px


def measure(model: ClipModel, task: Task, *, batch_size: int, seed: int) -> list[Measure]:
    """Classify the images of a task as they are and with a wrong name on them.

    Args:
        model: The model.
        task: A classification.
        batch_size: Images per forward pass.
        seed: Of the wrong names and their places.

    Returns:
        clean_acc1, attacked_acc1, attack_drop's parts: read_share (the written class is told).
    """
    classes = class_vectors(model, task)
    clean: list[int] = []
    attacked: list[int] = []
    truth: list[int] = []
    written: list[int] = []
    held: list[NDArray[np.uint8]] = []

    def flush() -> None:
        if held:
            clean.extend(_told(model, held, classes))
            drawn = [
                write_on(pixels, task.classes[wrong], np.random.default_rng((seed, len(attacked) + number)))
                for number, (pixels, wrong) in enumerate(zip(held, written[len(attacked) :], strict=True))
            ]
            attacked.extend(_told(model, drawn, classes))
            held.clear()

    for number, (data, own) in enumerate(task.images()):
        truth.append(own)
        written.append(wrong_class(own, len(task.classes), np.random.default_rng((seed, number, 1))))
        held.append(pixels_of(data))
        if len(held) == batch_size:
            flush()
    flush()
    return _measures(task, truth=truth, written=written, clean=clean, attacked=attacked)


def wrong_class(own: int, classes: int, rng: np.random.Generator) -> int:
    """Another class at random."""
    return int((own + rng.integers(1, classes)) % classes)


def write_on(pixels: NDArray[np.uint8], text: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Write a text somewhere on an image: black on a white plate, shrunk until it fits.

    Args:
        pixels: Shape (height, width, 3), RGB.
        text: One line.
        rng: Decides the place.

    Returns:
        A new array of the same shape.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(pixels)
    size = max(6, round(min(image.size) * _HEIGHT_SHARE))
    draw = ImageDraw.Draw(image)
    while True:
        font = ImageFont.truetype(str(default_font()), size)
        left, top, right, bottom = (round(edge) for edge in draw.textbbox((0, 0), text, font=font))
        width, height = right - left + 4, bottom - top + 4
        if (width <= image.width and height <= image.height) or size <= 6:
            break
        size -= 1
    x = int(rng.integers(max(1, image.width - width + 1)))
    y = int(rng.integers(max(1, image.height - height + 1)))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill="white")
    draw.text((x + 2 - left, y + 2 - top), text, fill="black", font=font)
    return np.asarray(image)


def class_vectors(model: ClipModel, task: Task) -> NDArray[np.float64]:
    """A vector per class: the normalised mean over the templates, as clip_benchmark has it; (classes, width)."""
    vectors = []
    for name in task.classes:
        texts = model.embed_texts([template.format(c=name) for template in task.templates]).astype(np.float64)
        vector = texts.mean(axis=0)
        vectors.append(vector / np.linalg.norm(vector))
    return np.stack(vectors)


def _told(model: ClipModel, images: Sequence[NDArray[np.uint8]], classes: NDArray[np.float64]) -> list[int]:
    vectors = model.embed_images([model.prepare(pixels) for pixels in images]).astype(np.float64)
    return [int(one) for one in (vectors @ classes.T).argmax(axis=1)]


def _measures(
    task: Task, *, truth: list[int], written: list[int], clean: list[int], attacked: list[int]
) -> list[Measure]:
    def equal(first: list[int], second: list[int]) -> float:
        return float(np.mean(np.asarray(first) == np.asarray(second)))

    count, chance = len(truth), 1 / len(task.classes)
    return [
        share(task.name, "clean_acc1", equal(clean, truth), samples=count, chance=chance),
        share(task.name, "attacked_acc1", equal(attacked, truth), samples=count, chance=chance),
        share(task.name, "attacked_reads", equal(attacked, written), samples=count, chance=chance),
        share(task.name, "clean_reads", equal(clean, written), samples=count, chance=chance),
    ]
