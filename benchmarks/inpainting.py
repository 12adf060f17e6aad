"""Inpainting around the text against `cv2.inpaint` over the whole image, on memes with their spotted words.

    python -m benchmarks.inpainting --limit 40

The two take turns image by image, and the smallest CPU time of each counts, so that other load on the machine falls
out. Every result is compared pixel for pixel. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.spotting_quality import DATA, MEME_KINDS, true_images
from benchmarks.text_removal_quality import Spotted, drawn, spotted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from udfs.inpainting import InpaintParams


def whole(image: Spotted, mask: NDArray[np.uint8], params: InpaintParams) -> NDArray[np.uint8]:
    """One call over the whole image."""
    import cv2

    filled: NDArray[np.uint8] = cv2.inpaint(image.pixels, mask, params.radius, cv2.INPAINT_TELEA)
    return filled


def compared(
    image: Spotted, polygons: Sequence[NDArray[np.float64]], params: InpaintParams, *, rounds: int
) -> tuple[float, float, float]:
    """CPU seconds of the whole-image call and of ours (drawing the mask included in both), and the mask's share.

    Raises:
        AssertionError: If a pixel differs.
    """
    from udfs.inpainting import inpaint

    def over_the_whole() -> NDArray[np.uint8]:
        return whole(image, drawn(polygons, image, params).astype(np.uint8) * 255, params)

    def around_the_text() -> NDArray[np.uint8]:
        return inpaint(image.pixels, polygons, params)

    assert np.array_equal(over_the_whole(), around_the_text()), "results differ"
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for index, function in enumerate((over_the_whole, around_the_text)):
            best[index] = min(best[index], cpu_seconds(function))
    return best[0], best[1], float(drawn(polygons, image, params).mean())


def cpu_seconds(function: Callable[[], Any]) -> float:
    """CPU time of one call in this thread, s."""
    started = time.thread_time()
    function()
    return time.thread_time() - started


def line(name: str, cases: Sequence[tuple[float, float, float]]) -> str:
    """A line of the table."""
    theirs, ours = sum(case[0] for case in cases), sum(case[1] for case in cases)
    ratios = sorted(case[0] / case[1] for case in cases)
    share = sum(case[2] for case in cases) / len(cases)
    return (
        f"| {name} | {len(cases)} | {share:.1%} | {1000 * theirs / len(cases):.1f} | {1000 * ours / len(cases):.1f} "
        f"| {theirs / ours:.2f}x | {ratios[len(ratios) // 2]:.2f}x | {ratios[0]:.2f}x to {ratios[-1]:.2f}x |"
    )


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description="Inpainting around the text against the whole image.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with truth.jsonl and webdataset/")
    parser.add_argument("--limit", type=int, default=40, help="memes")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    import cv2

    from udfs import text_spotting
    from udfs.inpainting import InpaintParams

    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore")
    model = text_spotting.resolve("easyocr").load()
    images = [
        image
        for image in spotted(true_images(arguments.data, kinds=MEME_KINDS, limit=arguments.limit), model)
        if image.words
    ]
    params, rounds = InpaintParams(), arguments.rounds
    removed = {
        "All-Emb. text": [(image, image.polygons) for image in images],
        "one word": [(image, image.polygons[:1]) for image in images],
        "a fifth of the words": [(image, image.polygons[::5]) for image in images],
        "random All-Emb. text": [
            (image, [polygon * (image.size / donor.size) for polygon in donor.polygons])
            for image, donor in zip(images, [*images[1:], images[0]], strict=True)
        ],
    }
    rows = ["| removed | images | pixels removed | whole image, ms | ours, ms | ratio | median | from, to |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, cases in removed.items():
        measured = [compared(image, polygons, params, rounds=rounds) for image, polygons in cases]
        rows.append(line(name, measured))
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
