"""Word F1 of the spotter against human transcriptions, as a function of `min_confidence`.

    python -m benchmarks.min_confidence

reads all transcribed memes and some photos of a folder of img2dataset shards once, keeps the readings in a
temporary file, and prints a Markdown table. A second run takes the readings from that file. Words are
lower-cased alphanumeric tokens, compared as sets per image; recall, precision and F1 are of the sums over all
memes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.spotting_quality import DATA, MEME_KINDS, TrueImage, tokens, true_images

THRESHOLDS = (0.0, 0.05, *(tenth / 10 for tenth in range(1, 10)))

Word = tuple[str, float]


def readings(images: Sequence[TrueImage], factory: Any) -> dict[str, list[Word]]:
    """Words and confidences of each image, by sample id; computed once per spotter and set of images."""
    identity = json.dumps([factory.params, sorted(image.sample_id for image in images)], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    cache = Path(tempfile.gettempdir()) / f"parrot-min-confidence-{digest}.json"
    if not cache.exists():
        computed = _read(images, factory.load())
        partial = cache.with_suffix(f".{os.getpid()}.part")
        partial.write_text(json.dumps(computed), encoding="utf-8")
        partial.replace(cache)
    stored = json.loads(cache.read_text(encoding="utf-8"))
    return {key: [(text, confidence) for text, confidence in words] for key, words in stored.items()}


def kept_tokens(words: Sequence[Word], threshold: float) -> set[str]:
    """Tokens of the words whose confidence is at least the threshold."""
    return tokens(" ".join(text for text, confidence in words if confidence >= threshold))


def meme_scores(
    memes: Sequence[TrueImage], words: dict[str, list[Word]], *, threshold: float
) -> tuple[float, float, float]:
    """Recall, precision and F1 over all memes' words."""
    hits = found = true = 0
    for meme in memes:
        spotted = kept_tokens(words[str(meme.sample_id)], threshold)
        expected = tokens(meme.transcription)
        hits += len(spotted & expected)
        found += len(spotted)
        true += len(expected)
    recall, precision = hits / true, hits / found if found else 0.0
    return recall, precision, 2 * hits / (found + true)


def table(images: Sequence[TrueImage], words: dict[str, list[Word]]) -> str:
    """The sweep as a Markdown table."""
    memes = [image for image in images if image.kind in MEME_KINDS]
    photos = [image for image in images if image.kind not in MEME_KINDS]
    rows = [
        "| min_confidence | word recall | word precision | word F1 | memes without a word "
        "| words on photos | photos with a word |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for threshold in THRESHOLDS:
        recall, precision, f1 = meme_scores(memes, words, threshold=threshold)
        empty = sum(not kept_tokens(words[str(meme.sample_id)], threshold) for meme in memes)
        false = [len(kept_tokens(words[str(photo.sample_id)], threshold)) for photo in photos]
        rows.append(
            f"| {threshold:.2f} | {recall:.3f} | {precision:.3f} | {f1:.3f} | {empty} | {sum(false)} "
            f"| {sum(count > 0 for count in false)} |"
        )
    rows.append(f"\n{len(memes)} memes, {len(photos)} photos.")
    return "\n".join(rows)


def main() -> None:
    """Parse the command line, read the images, print the table."""
    parser = argparse.ArgumentParser(description="Word F1 of the spotter by min_confidence.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with truth.jsonl and webdataset/")
    parser.add_argument("--photos", type=int, default=60, help="photos to read")
    parser.add_argument("--precision", default="fp32", help="detector precision: fp32 or bf16")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    arguments = parser.parse_args()
    import torch

    from udfs import text_spotting

    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    images = [
        *true_images(arguments.data, kinds=MEME_KINDS),
        *true_images(arguments.data, kinds=("photo",), limit=arguments.photos),
    ]
    factory = text_spotting.resolve("easyocr", detector_precision=arguments.precision)
    sys.stdout.write(table(images, readings(images, factory)) + "\n")


def _read(images: Sequence[TrueImage], model: Any) -> dict[str, list[Word]]:
    from udfs.image_codec import DecodeLimits, decode

    found = {}
    for image in images:
        prepared = model.prepare(decode(image.data, DecodeLimits()), image.data)
        (result,) = model.predict([prepared], [{}])
        found[str(image.sample_id)] = [(word["text"], word["confidence"]) for word in result["words"]]
    return found


if __name__ == "__main__":
    main()
