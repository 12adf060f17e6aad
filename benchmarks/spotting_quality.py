"""Our spotter beside a plain `readtext` loop over the same files: word recall, precision, seconds.

Reads the memes with a human transcription in a folder of img2dataset shards, with `truth.jsonl` beside it:

    python -m benchmarks.spotting_quality --limit 30

The variants take turns image by image in one process, so all of them see the same machine. Words are
lower-cased alphanumeric tokens, compared as sets; recall and precision are means over images.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.results import Ratio, record

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "laion_like"
MEME_KINDS = ("parrot", "swapped")
BASELINE = "readtext loop"

_TOKEN = re.compile(r"[^\W_]+")

Reader = Callable[[Path], list[str]]


@dataclass(frozen=True)
class TrueImage:
    """An image with what is known of it: stored bytes, kind, human transcription (empty: none)."""

    sample_id: int
    kind: str
    transcription: str
    data: bytes


@dataclass
class Scores:
    """What one variant did, image by image."""

    seconds: list[float] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)
    precision: list[float] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)


def tokens(text: str) -> set[str]:
    """Lower-cased alphanumeric tokens."""
    return set(_TOKEN.findall(text.lower()))


def true_images(folder: Path, *, kinds: Sequence[str], limit: int | None = None) -> list[TrueImage]:
    """Images of the given kinds in the folder's shards, in shard order; memes only where transcribed.

    Raises:
        FileNotFoundError: If the folder lacks `truth.jsonl` or shards.
    """
    with (folder / "truth.jsonl").open(encoding="utf-8") as file:
        truth = {row["sample_id"]: row for row in map(json.loads, file)}
    shards = sorted((folder / "webdataset").glob("*.tar"))
    if not shards:
        raise FileNotFoundError(f"No shards (*.tar) in {folder / 'webdataset'}.")
    found = []
    for sample_id, data in _members(shards):
        row = truth[sample_id]
        transcription = " ".join(row["transcription"] or ())
        if row["kind"] in kinds and (row["kind"] not in MEME_KINDS or tokens(transcription)):
            found.append(TrueImage(sample_id, row["kind"], transcription, data))
        if limit is not None and len(found) == limit:
            break
    return found


def recall_precision(found: set[str], true: set[str]) -> tuple[float, float]:
    """Word recall and precision of one image; an image without found words has precision 0."""
    hits = len(found & true)
    return hits / len(true), hits / len(found) if found else 0.0


def plain_reader() -> Any:
    """EasyOCR itself, as a user of it has it on a CPU."""
    import easyocr

    from udfs.weights import easyocr_english_weights

    folder = str(easyocr_english_weights()[0].path.parent)
    return easyocr.Reader(
        ["en"], gpu=False, model_storage_directory=folder, download_enabled=False, verbose=False
    )


def readers() -> dict[str, Reader]:
    """The variants: name -> function from an image file to its line texts."""
    from udfs import text_spotting

    plain = plain_reader()
    variants: dict[str, Reader] = {
        BASELINE: lambda path: [text for _, text, _ in plain.readtext(str(path)) if text.strip()]
    }
    for precision in ("fp32", "bf16"):
        model = text_spotting.resolve("easyocr", detector_precision=precision).load()
        variants[f"parrot {precision}"] = _spotter_reader(model)
    return variants


def measure(images: Sequence[TrueImage], variants: dict[str, Reader]) -> dict[str, Scores]:
    """Run every variant over every image, taking turns."""
    scores = {name: Scores() for name in variants}
    names = list(variants)
    with tempfile.TemporaryDirectory() as folder:
        for index, image in enumerate(images):
            path = Path(folder) / f"{image.sample_id}.jpg"
            path.write_bytes(image.data)
            true = tokens(image.transcription)
            start = index % len(names)
            for name in names[start:] + names[:start]:
                began = time.perf_counter()
                texts = variants[name](path)
                score = scores[name]
                score.seconds.append(time.perf_counter() - began)
                recall, precision = recall_precision(tokens(" ".join(texts)), true)
                score.recall.append(recall)
                score.precision.append(precision)
                score.texts.append(texts)
    return scores


def table(scores: dict[str, Scores]) -> str:
    """The scores as a Markdown table; speed and readings against the baseline."""
    base = scores[BASELINE]
    rows = [
        "| variant | images | s per image | speed | recall | precision | same readings |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, score in scores.items():
        same = sum(ours == theirs for ours, theirs in zip(score.texts, base.texts, strict=True))
        rows.append(
            f"| {name} | {len(score.seconds)} | {_mean(score.seconds):.2f} "
            f"| {sum(base.seconds) / sum(score.seconds):.2f}x "
            f"| {_mean(score.recall):.4f} | {_mean(score.precision):.4f} | {same} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description="Our spotter beside a plain readtext loop.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with truth.jsonl and webdataset/")
    parser.add_argument("--limit", type=int, default=None, help="memes to read (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    images = true_images(arguments.data, kinds=MEME_KINDS, limit=arguments.limit)
    variants = readers()
    measure(images[:1], variants)  # warm-up
    scores = measure(images, variants)
    sys.stdout.write(table(scores) + "\n")
    base = sum(scores[BASELINE].seconds)
    ratios = [
        Ratio(f"{BASELINE} / {name}, wall", base / sum(score.seconds))
        for name, score in scores.items()
        if name != BASELINE
    ]
    record("spotting_quality", ratios, run=f"{len(images)} memes")


def _members(shards: Sequence[Path]) -> Iterator[tuple[int, bytes]]:
    for shard in shards:
        with tarfile.open(shard) as tar:
            parts: dict[str, dict[str, bytes]] = {}
            for member in tar.getmembers():
                key, _, kind = member.name.partition(".")
                file = tar.extractfile(member)
                parts.setdefault(key, {})[kind] = file.read() if file else b""
        for part in parts.values():
            yield json.loads(part["json"])["SAMPLE_ID"], part["jpg"]


def _spotter_reader(model: Any) -> Reader:
    from udfs.image_codec import DecodeLimits, decode

    def read(path: Path) -> list[str]:
        data = path.read_bytes()
        image = model.prepare(decode(data, DecodeLimits()), data)
        (result,) = model.predict([image], [{}])
        return [line["text"] for line in result["lines"]]

    return read


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
