"""What each spotter costs and reads, beside a `readtext` loop over the same files in the same run.

Reads images of a folder of img2dataset shards with `truth.jsonl` beside it, kind by kind:

    python -m benchmarks.fast_spotting --kinds parrot photo --limit 40 --keep build/readings.jsonl

The spotters take turns, group by group (a stage's batch), in one process of one thread, so all see the same
machine. `--keep` writes each reading at once; a run that was broken off goes on where it stopped, and a kept file is
told again without reading (`--limit 0`). Words are lower-cased alphanumeric tokens, as sets per image.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.spotting_quality import DATA, TrueImage, plain_reader, recall_precision, tokens, true_images
from udfs.tokens import normalised_words

BASELINE = "readtext loop"
SPOTTERS = ("easyocr", "easyocr-fast", "rapidocr")
KINDS = ("parrot", "swapped", "title", "product", "photo", "scene")
MIN_CONFIDENCE = 0.3  # overlap.min_confidence

Line = tuple[str, float]
Group = Callable[[Sequence[TrueImage], Sequence[Path]], list[list[Line]]]
Record = dict[str, Any]


def readtext_loop() -> Group:
    """EasyOCR's own loop over files."""
    reader = plain_reader()
    return lambda _, paths: [
        [(text, float(sure)) for _, text, sure in reader.readtext(str(path))] for path in paths
    ]


def spotter_group(name: str, parts: dict[str, float], **options: Any) -> Group:
    """A registered spotter, over a group as its stage batches it; `parts` gathers what takes the time."""
    from udfs import text_spotting
    from udfs.image_codec import DecodeLimits, decode

    model: Any = text_spotting.resolve(name, **options).load()
    if hasattr(model, "_read_all"):
        spotter = model._read_all.__self__
        for part, owner, method in (
            ("gate", spotter, "_is_ruled_out"),
            ("detector, gate included", spotter, "_scores"),
            ("recogniser", spotter._recogniser, "read"),
        ):
            _timed(parts, part, owner=owner, method=method)

    def read(images: Sequence[TrueImage], _: Sequence[Path]) -> list[list[Line]]:
        prepared = [model.prepare(decode(image.data, DecodeLimits()), image.data) for image in images]
        rows = model.predict(prepared, [{}] * len(prepared))
        return [[(line["text"], line["confidence"]) for line in row["lines"]] for row in rows]

    return read


def measure(
    images: Sequence[TrueImage], variants: dict[str, Group], *, batch: int, keep: Path | None
) -> list[Record]:
    """Read every image with every variant, taking turns; return what was kept before and what is new."""
    records = kept_records(keep)
    done = {(record["variant"], record["sample_id"]) for record in records}
    names = list(variants)
    with tempfile.TemporaryDirectory() as folder:
        for number, first in enumerate(range(0, len(images), batch)):
            group = images[first : first + batch]
            paths = [Path(folder) / f"{image.sample_id}.jpg" for image in group]
            for path, image in zip(paths, group, strict=True):
                path.write_bytes(image.data)
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                if all((name, image.sample_id) in done for image in group):
                    continue
                new = measured_group(name, variants[name], group, paths)
                records += new
                _keep(keep, new)
    return records


def measured_group(
    name: str, variant: Group, group: Sequence[TrueImage], paths: Sequence[Path]
) -> list[Record]:
    """The readings of a group, with its time shared out evenly."""
    cpu, wall = time.process_time(), time.perf_counter()
    lines = variant(group, paths)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    shared = {"variant": name, "cpu": cpu / len(group), "wall": wall / len(group)}
    return [
        {**shared, "sample_id": image.sample_id, "kind": image.kind, "lines": found}
        for image, found in zip(group, lines, strict=True)
    ]


def table(records: Sequence[Record], truth: dict[int, dict[str, Any]]) -> str:
    """A Markdown table, kind by kind: cost and readings of each variant against the `readtext` loop."""
    by: dict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
    for record in records:
        by[record["kind"], record["variant"]][record["sample_id"]] = record
    kinds = [kind for kind in KINDS if (kind, BASELINE) in by]
    rows = [
        "| kind | spotter | images | CPU s | wall s | CPU against readtext | word F1 against readtext | recall "
        "| precision | text or none agrees | mean CoTR difference |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in kinds:
        for variant in dict.fromkeys(record["variant"] for record in records):
            if (kind, variant) in by:
                rows.append(_row(kind, variant, by[kind, variant], by[kind, BASELINE], truth))
    return "\n".join(rows)


def _row(
    kind: str,
    variant: str,
    own: dict[int, Record],
    base: dict[int, Record],
    truth: dict[int, dict[str, Any]],
) -> str:
    ids = sorted(own.keys() & base.keys())
    pairs = [(words_of(own[sample]), words_of(base[sample])) for sample in ids]
    shared = sum(len(one & other) for one, other in pairs)
    total = sum(len(one) + len(other) for one, other in pairs)
    agree = sum(bool(one) == bool(other) for one, other in pairs)
    cpu = statistics.mean(own[sample]["cpu"] for sample in ids)
    ratio = statistics.mean(base[sample]["cpu"] for sample in ids) / cpu
    true = {sample: tokens(" ".join(truth[sample]["transcription"] or ())) for sample in ids}
    told = [sample for sample in ids if true[sample]]
    quality = [recall_precision(words_of(own[sample]), true[sample]) for sample in told]
    recall, precision = (_mean_or_dash([each[part] for each in quality]) for part in (0, 1))
    differences = [
        one - other
        for sample in ids
        if (one := cotr(own[sample], truth[sample])) is not None
        and (other := cotr(base[sample], truth[sample])) is not None
    ]
    wall = statistics.mean(own[sample]["wall"] for sample in ids)
    f1 = 2 * shared / total if total else 1.0
    return (
        f"| {kind} | {variant} | {len(ids)} | {cpu:.3f} | {wall:.3f} | {ratio:.2f}x | {f1:.3f} | {recall} "
        f"| {precision} | {agree} of {len(ids)} | {_mean_difference(differences)} |"
    )


def cpu_ratios(records: Sequence[Record]) -> list[results.Ratio]:
    """CPU seconds of the `readtext` loop over each spotter's, over the images that both have read."""
    costs: dict[str, dict[int, float]] = defaultdict(dict)
    for each in records:
        costs[each["variant"]][each["sample_id"]] = each["cpu"]
    base = costs.pop(BASELINE, {})
    return [
        results.Ratio(
            f"{BASELINE} / {name}, CPU",
            sum(base[sample] for sample in both) / sum(own[sample] for sample in both),
        )
        for name, own in costs.items()
        if (both := base.keys() & own.keys())
    ]


def words_of(record: Record) -> set[str]:
    """Alphanumeric words of all readings."""
    return tokens(" ".join(text for text, _ in record["lines"]))


def cotr(record: Record, truth: dict[str, Any]) -> float | None:
    """CoTR of the sample's caption and the words that count; None without a caption word."""
    caption = set(normalised_words(truth["caption"]))
    sure = [text for text, confidence in record["lines"] if confidence >= MIN_CONFIDENCE]
    seen = {word for text in sure for word in normalised_words(text)}
    return len(caption & seen) / len(caption) if caption else None


def read_truth(folder: Path) -> dict[int, dict[str, Any]]:
    """What is known of each image, by sample."""
    lines = (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["sample_id"]: record for record in map(json.loads, lines)}


def kept_records(keep: Path | None) -> list[Record]:
    """What a run before has written."""
    if keep is None or not keep.exists():
        return []
    return [json.loads(line) for line in keep.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Parse the command line, measure, print the table and the parts of the fast spotter."""
    parser = argparse.ArgumentParser(description="Spotters beside a plain readtext loop.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with truth.jsonl and webdataset/")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--limit", type=int, default=10, help="images of each kind")
    parser.add_argument("--batch", type=int, default=4, help="images per batch, as spot_text.batch_size")
    parser.add_argument("--spotters", nargs="+", default=list(SPOTTERS), choices=SPOTTERS)
    parser.add_argument("--keep", type=Path, default=None, help="file of readings, JSON lines")
    arguments = parser.parse_args()
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore")
    images = interleaved(arguments.data, arguments.kinds, arguments.limit)
    parts: dict[str, float] = defaultdict(float)
    records = kept_records(arguments.keep)
    if images:
        variants = {BASELINE: readtext_loop()}
        variants |= {name: spotter_group(name, parts) for name in arguments.spotters}
        measure(images[:1], variants, batch=1, keep=None)  # warm-up
        parts.clear()
        records = measure(images, variants, batch=arguments.batch, keep=arguments.keep)
    sys.stdout.write(table(records, read_truth(arguments.data)) + "\n")
    results.record("fast_spotting", cpu_ratios(records), run=f"kinds {' '.join(arguments.kinds)}")
    whole = sum(parts.values()) - parts.get("gate", 0.0)
    for part, seconds in parts.items():
        sys.stdout.write(f"easyocr-fast: {part} {seconds / whole:.0%} of detector and recogniser\n")


def interleaved(folder: Path, kinds: Sequence[str], limit: int) -> list[TrueImage]:
    """Images of each kind in turn, group by group, so that a run that is broken off has some of each."""
    size = 4
    by_kind = [true_images(folder, kinds=(kind,), limit=limit) for kind in kinds] if limit else []
    longest = max(map(len, by_kind), default=0)
    return [
        image for first in range(0, longest, size) for each in by_kind for image in each[first : first + size]
    ]


def _timed(parts: dict[str, float], part: str, *, owner: Any, method: str) -> None:
    work = getattr(owner, method)

    def timed(*arguments: Any) -> Any:
        with _clock(parts, part):
            return work(*arguments)

    setattr(owner, method, timed)


@contextmanager
def _clock(parts: dict[str, float], part: str) -> Iterator[None]:
    began = time.process_time()
    try:
        yield
    finally:
        parts[part] += time.process_time() - began


def _keep(path: Path | None, records: Sequence[Record]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _mean_or_dash(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f}" if values else ""


def _mean_difference(values: Sequence[float]) -> str:
    """Mean with Student's 95 % interval (normal from 30 values on)."""
    if len(values) < 2:
        return ""
    half = 1.96 * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):+.4f} ± {half:.4f}"


if __name__ == "__main__":
    main()
