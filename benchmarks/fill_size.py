"""Text filled in at the size that CLIP sees, against full size: what it changes of RSA, and its CPU time.

    python -m benchmarks.fill_size --limit 40 --models parrot-small:world ViT-B-32:

Images with text of the real data, read by EasyOCR (words from confidence 0.3 on; kept in a temporary file). Per image
the score lost by All-Emb. removal, S(raw) - S(removed), is computed at full size and after scaling the image so that
its shorter side is N px: the whole readings are filled with Telea's method, radius 3, in either. Told are the mean loss
with the half width of its 95 % interval, the mean and the mean absolute difference to it, both in units of the
similarity, and the CPU time of scaling and filling. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.spotting_quality import DATA, true_images
from benchmarks.text_removal_quality import Spotted, spotted

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = ("parrot", "title", "product")


def captions(data: Path) -> dict[Any, str]:
    """Caption by sample id."""
    with (data / "truth.jsonl").open(encoding="utf-8") as file:
        return {row["sample_id"]: row["caption"] for row in map(json.loads, file)}


def scaled(image: Spotted, side: int | None) -> tuple[NDArray[np.uint8], list[NDArray[np.float64]]]:
    """The image with a shorter side of so many px, and the polygons of its readings in it."""
    import cv2

    height, width = image.pixels.shape[:2]
    if side is None or min(height, width) <= side:
        return image.pixels, image.polygons()
    share = side / min(height, width)
    size = (round(width * share), round(height * share))
    factors = np.array(size) / (width, height)
    pixels = cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(pixels, np.uint8), [polygon * factors for polygon in image.polygons()]


def losses(
    images: Sequence[Spotted], texts: Sequence[str], clip: Any, side: int | None
) -> tuple[NDArray[np.float64], float]:
    """Score lost by each image, and CPU milliseconds per image of scaling and filling."""
    from udfs.inpainting import InpaintParams, inpaint

    lost, spent = [], 0.0
    for image, text in zip(images, texts, strict=True):
        started = time.thread_time()
        pixels, polygons = scaled(image, side)
        filled = inpaint(pixels, polygons, InpaintParams())
        spent += time.thread_time() - started
        vectors = clip.embed_images([clip.prepare(each) for each in (pixels, filled)])
        (caption,) = clip.embed_texts([text])
        raw, removed = (float(np.dot(vector, caption)) for vector in vectors)
        lost.append(raw - removed)
    return np.array(lost), 1000 * spent / len(images)


def main() -> None:
    """Parse the command line, read, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with truth.jsonl and webdataset/")
    parser.add_argument("--limit", type=int, default=40, help="images read")
    parser.add_argument("--sides", type=int, nargs="+", default=[448, 224, 128, 64])
    parser.add_argument("--models", nargs="+", default=["parrot-small:world", "ViT-B-32:"])
    arguments = parser.parse_args()
    import cv2
    import torch

    from udfs import text_spotting
    from udfs.clip_embedding import resolve

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore")
    images = true_images(arguments.data, kinds=KINDS, limit=arguments.limit)
    by_id = captions(arguments.data)
    found = [
        (image, by_id[true.sample_id])
        for true, image in zip(images, spotted(images, text_spotting.resolve("easyocr").load()), strict=True)
        if image.words
    ]
    read, texts = [image for image, _ in found], [text for _, text in found]
    say(
        "| model | shorter side, px | images | loss, mean | half interval | difference, mean | absolute, mean | ms |"
    )
    say("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in arguments.models:
        model, _, pretrained = name.partition(":")
        with tempfile.TemporaryDirectory() as folder:
            clip = resolve(model, pretrained or None, cache_dir=folder).load()
        whole: NDArray[np.float64] | None = None
        for side in (None, *arguments.sides):
            lost, spent = losses(read, texts, clip, side)
            whole = lost if whole is None else whole
            half = 1.96 * lost.std(ddof=1) / len(lost) ** 0.5
            change = lost - whole
            say(
                f"| {model} {pretrained or 'random'} | {side or 'full'} | {len(lost)} | {lost.mean():.4f} | {half:.4f} "
                f"| {change.mean():+.4f} | {np.abs(change).mean():.4f} | {spent:.1f} |"
            )


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
