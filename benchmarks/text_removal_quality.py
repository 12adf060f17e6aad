"""Is removed text gone? Text spotting run again on text-removal images of memes.

    python -m benchmarks.text_removal_quality --limit 40 --dilations 0 2 4 --radii 3 --random

Per setting, the share of an image's spotted words (at or above the minimum confidence, lower-cased alphanumeric
tokens, as sets) that is found again after All-Emb. removal, and words that were not there before: with whole
readings filled, as the stage does, and (`--masks words`) with the polygons of words. At the end, for the first
setting, random removal: words that the donor's polygons do not hit, and how many of them are found again. Prints
Markdown. The first readings are kept in a temporary file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.spotting_quality import DATA, MEME_KINDS, TrueImage, tokens, true_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from udfs.inpainting import InpaintParams

MIN_CONFIDENCE = 0.3


@dataclass(frozen=True)
class Spotted:
    """An image, its pixels, its words at or above the minimum confidence, and the readings that hold them."""

    pixels: NDArray[np.uint8]
    words: list[dict[str, Any]]
    lines: list[dict[str, Any]]

    @property
    def size(self) -> NDArray[np.float64]:
        """Width and height, px."""
        return np.array(self.pixels.shape[1::-1], np.float64)

    def polygons(self, masks: str = "readings") -> list[NDArray[np.float64]]:
        """The polygons of `readings` or of `words`, px."""
        from udfs.geometry import from_points

        of = {"readings": self.lines, "words": self.words}[masks]
        return [from_points(item["polygon"]) for item in of]


def spotted(images: Sequence[TrueImage], model: Any) -> list[Spotted]:
    """Read the images; readings are computed once per set of images."""
    from udfs.image_codec import DecodeLimits, decode

    identity = json.dumps([image.sample_id for image in images])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    cache = Path(tempfile.gettempdir()) / f"parrot-text-and-lines-{digest}.json"
    pixels = [decode(image.data, DecodeLimits()) for image in images]
    if not cache.exists():
        cache.write_text(json.dumps([text_of(model, image) for image in pixels]), encoding="utf-8")
    texts = json.loads(cache.read_text(encoding="utf-8"))
    return [Spotted(image, **text) for image, text in zip(pixels, texts, strict=True)]


def text_of(model: Any, pixels: NDArray[np.uint8]) -> dict[str, list[dict[str, Any]]]:
    """Words and readings of an image at or above the minimum confidence."""
    (result,) = model.predict([model.prepare(pixels)], [{}])
    return {
        name: [item for item in result[name] if item["confidence"] >= MIN_CONFIDENCE]
        for name in ("words", "lines")
    }


def all_tokens(words: Sequence[dict[str, Any]]) -> set[str]:
    """Tokens of words."""
    return tokens(" ".join(word["text"] for word in words))


def after_removal(images: Sequence[Spotted], model: Any, params: InpaintParams, *, masks: str) -> str:
    """A line of the table: what is still read after All-Emb. removal."""
    from udfs.inpainting import inpaint, mask_share, regions_of

    before = again = new = with_words = 0
    shares = []
    for image in images:
        height, width = image.pixels.shape[:2]
        polygons = image.polygons(masks)
        regions = regions_of(polygons, width=width, height=height, params=params)
        shares.append(mask_share(regions, width=width, height=height))
        found = all_tokens(text_of(model, inpaint(image.pixels, polygons, params))["words"])
        known = all_tokens(image.words)
        before += len(known)
        again += len(found & known)
        new += len(found - known)
        with_words += bool(found)
    return (
        f"| {params.fill} | {masks} | {params.dilation} | {params.radius} | {sum(shares) / len(shares):.1%} | {before} "
        f"| {again} ({again / before:.1%}) | {new} | {with_words} of {len(images)} |"
    )


def after_random_removal(images: Sequence[Spotted], model: Any, params: InpaintParams) -> str:
    """What is read of the words that the next image's polygons, kept off the text, do not hit."""
    from udfs.inpainting import inpaint
    from udfs.placement import kept_off

    missed = again = hit = hit_again = 0
    for image, donor in zip(images, [*images[1:], images[0]], strict=True):
        height, width = image.pixels.shape[:2]
        scaled = [polygon * (image.size / donor.size) for polygon in donor.polygons()]
        polygons = kept_off(scaled, image.polygons(), width=width, height=height, dilation=params.dilation)
        removed = drawn(polygons, image, params)
        found = all_tokens(text_of(model, inpaint(image.pixels, polygons, params))["words"])
        is_hit = [
            bool((drawn([polygon], image, None) & removed).any()) for polygon in image.polygons("words")
        ]
        spared = all_tokens([word for word, is_it in zip(image.words, is_hit, strict=True) if not is_it])
        others = all_tokens(image.words) - spared
        missed, again = missed + len(spared), again + len(spared & found)
        hit, hit_again = hit + len(others), hit_again + len(others & found)
    return (
        f"Random All-Emb. removal: of {missed} words that it does not hit {again} are read again "
        f"({again / max(missed, 1):.1%}); of {hit} that it touches, {hit_again} ({hit_again / max(hit, 1):.1%})."
    )


def drawn(
    polygons: Sequence[NDArray[np.float64]], image: Spotted, params: InpaintParams | None
) -> NDArray[np.bool_]:
    """Pixels that polygons cover, with the dilation of `params` or none."""
    from udfs.inpainting import InpaintParams, regions_of

    height, width = image.pixels.shape[:2]
    mask = np.zeros((height, width), bool)
    for region in regions_of(
        polygons, width=width, height=height, params=params or InpaintParams(dilation=0)
    ):
        mask[region.place] |= region.mask > 0
    return mask


def main() -> None:
    """Parse the command line, read, print the table."""
    parser = argparse.ArgumentParser(description="What is read after text removal.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with truth.jsonl and webdataset/")
    parser.add_argument("--limit", type=int, default=40, help="memes to read")
    parser.add_argument("--fills", nargs="+", default=["telea"])
    parser.add_argument("--dilations", type=int, nargs="+", default=[0, 1, 2, 3, 5])
    parser.add_argument("--radii", type=int, nargs="+", default=[3])
    parser.add_argument("--masks", nargs="+", choices=("readings", "words"), default=["readings"])
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--random", action="store_true", help="random removal too, with the first setting")
    arguments = parser.parse_args()
    import torch

    from udfs import text_spotting
    from udfs.inpainting import InpaintParams

    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    model = text_spotting.resolve("easyocr").load()
    images = spotted(true_images(arguments.data, kinds=MEME_KINDS, limit=arguments.limit), model)
    say(
        "| fill | filled | dilation | radius | pixels removed | words before | read again | new words "
        "| images with a word |"
    )
    say("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    settings = [
        InpaintParams(fill, radius, dilation)
        for fill in arguments.fills
        for radius in arguments.radii
        for dilation in arguments.dilations
    ]
    for masks in arguments.masks:
        for params in settings:
            say(after_removal(images, model, params, masks=masks))
    if arguments.random:
        say("\n" + after_random_removal(images, model, settings[0]))


def say(line: str) -> None:
    """Print a line at once: a setting takes minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
