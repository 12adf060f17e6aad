"""Stage `spot_text` on local Spark beside a `readtext` loop in as many processes, over the same files.

    python -m benchmarks.whole_stage --kinds parrot title product photo --limit 15
    python -m benchmarks.whole_stage --kinds photo --limit 40

The stage is all that `parrot run spot_text` does once Spark and the models stand: its plan, slices, one fused call,
commit and log. The loop's processes have loaded EasyOCR too, take the files in turns, and use one thread each, as
Spark's workers do. The first half of the files goes through the loop before the stages, the second half after
them, so that both see the same machine. Recall and precision are against the human transcriptions of the memes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.fast_spotting import KINDS, interleaved
from benchmarks.results import Ratio, record
from benchmarks.spotting_quality import DATA, TrueImage, plain_reader, recall_precision, tokens
from benchmarks.stage_run import session_of, start_all, stored_dataset
from benchmarks.timing import Seconds, timed
from tests.builders import Pair

if TYPE_CHECKING:
    from spark_jobs.config import RunConfig

GOALS = {"easyocr-fast": "6x mixed, 12x photos", "easyocr": "1.0x"}
_reader: Any = None

Texts = dict[int, str]


@dataclass(frozen=True)
class Outcome:
    """What one side took, and what it read by sample; of the stage also seconds of its workers by phase."""

    seconds: Seconds
    texts: Texts
    phases: Mapping[str, float]


def load_reader() -> None:
    """EasyOCR in a process of the loop, with one thread."""
    global _reader
    import cv2
    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _reader = plain_reader()


def read_file(path: str) -> str:
    """All readings of a file."""
    return " ".join(text for _, text, _ in _reader.readtext(path))


def as_loop(pool: ProcessPoolExecutor, images: Sequence[TrueImage], folder: Path) -> Outcome:
    """The files through the processes, each taking the next one when it is done."""
    paths = [folder / f"{image.sample_id}.jpg" for image in images]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(image.data)
    texts, seconds = timed(lambda: list(pool.map(read_file, map(str, paths))))
    return Outcome(seconds, {image.sample_id: text for image, text in zip(images, texts, strict=True)}, {})


def configured(
    root: Path, dataset: str, images: Sequence[TrueImage], arguments: argparse.Namespace
) -> RunConfig:
    """A dataset of these images, to be ingested."""
    pairs = [
        Pair(f"{image.sample_id:09d}", image.data, columns={"SAMPLE_ID": image.sample_id}) for image in images
    ]
    return stored_dataset(root, dataset, pairs, arguments=arguments)


def as_stage(spark: Any, config: RunConfig, spotter: str) -> Outcome:
    """The stage over a dataset that was ingested before."""
    from pyspark.sql import functions as F

    from schemas import samples, spotted_text
    from spark_jobs.stages.spot_text import run
    from spark_jobs.warehouse.tables import Tables
    from spark_jobs.warehouse.views import current_run_keys

    section = config.spot_text.model_copy(update={"spotter": spotter})
    config = config.model_copy(update={"spot_text": section})
    report, seconds = timed(lambda: run(spark, config))
    tables, dataset = Tables(spark, config.warehouse), config.dataset_name
    texts = F.expr("array_join(transform(lines, line -> line.text), ' ')").alias("text")
    rows = tables.read(spotted_text.TABLE, dataset=dataset, run_key=report.run_keys["spotted_text"])
    described = tables.read(
        samples.TABLE, dataset=dataset, run_key=current_run_keys(tables)[dataset, "samples"]
    )
    found = rows.select("sample_id", texts).join(described.select("sample_id", "source_id"), "sample_id")
    return Outcome(
        seconds, {int(row["source_id"]): row["text"] or "" for row in found.collect()}, report.phase_seconds
    )


def measure(images: Sequence[TrueImage], arguments: argparse.Namespace) -> dict[str, Outcome]:
    """Both sides, in turn: half of the loop, the stages, the other half."""
    from spark_jobs.stages import ingest

    half = len(images) // 2
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(arguments.cores, initializer=load_reader) as pool,
    ):
        start_all(pool, arguments.cores)
        root = Path(folder)
        config = configured(root, "images", images, arguments)
        with session_of(config) as spark:
            ingest.run(spark, config)
            # Each worker loads each spotter before it counts; other images, so nothing of the dataset is done.
            warm = configured(root, "warm", images[: 4 * arguments.cores], arguments)
            ingest.run(spark, warm)
            first = as_loop(pool, images[:half], root)
            found = {}
            for spotter in arguments.spotters:
                as_stage(spark, warm, spotter)
                found[spotter] = as_stage(spark, config, spotter)
            second = as_loop(pool, images[half:], root)
    loop = Outcome(first.seconds + second.seconds, first.texts | second.texts, {})
    return {"readtext loop": loop, **found}


def quality(images: Sequence[TrueImage], texts: Texts) -> str:
    """Recall and precision against the transcriptions, or empty without any."""
    told = [image for image in images if tokens(image.transcription)]
    each = [recall_precision(tokens(texts[image.sample_id]), tokens(image.transcription)) for image in told]
    if not each:
        return ""
    return ", ".join(f"{statistics.mean(pair[part] for pair in each):.3f}" for part in (0, 1))


def table(images: Sequence[TrueImage], outcomes: Mapping[str, Outcome]) -> str:
    """A Markdown table of both sides."""
    loop = outcomes["readtext loop"].seconds
    rows = [
        "| way | images | wall s | CPU s | wall ratio | CPU ratio | recall, precision | workers, s by phase |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for name, found in outcomes.items():
        phases = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in found.phases.items())
        rows.append(
            f"| {name} | {len(found.texts)} | {found.seconds.wall:.1f} | {found.seconds.cpu:.1f} "
            f"| {loop.wall / found.seconds.wall:.2f}x | {loop.cpu / found.seconds.cpu:.2f}x "
            f"| {quality(images, found.texts)} | {phases} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Parse the command line, measure, print the table, record the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with truth.jsonl and webdataset/")
    parser.add_argument("--kinds", nargs="+", default=["parrot", "title", "product", "photo"], choices=KINDS)
    parser.add_argument("--limit", type=int, default=15, help="images of each kind")
    parser.add_argument("--spotters", nargs="+", default=["easyocr-fast", "easyocr"])
    parser.add_argument("--cores", type=int, default=2, help="Spark's cores, and processes of the loop")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--set", action="append", help="section.key=value of the configuration")
    arguments = parser.parse_args()
    images = interleaved(arguments.data, arguments.kinds, arguments.limit)
    outcomes = measure(images, arguments)
    sys.stdout.write(table(images, outcomes) + "\n")
    loop = outcomes["readtext loop"].seconds
    run = f"{len(images)} images ({' '.join(arguments.kinds)}), {arguments.cores} cores"
    for spotter in arguments.spotters:
        seconds = outcomes[spotter].seconds
        record(
            "whole_stage",
            [
                Ratio(f"readtext loop / {spotter}, wall", loop.wall / seconds.wall, GOALS.get(spotter, "")),
                Ratio(f"readtext loop / {spotter}, CPU", loop.cpu / seconds.cpu, GOALS.get(spotter, "")),
            ],
            run=run,
        )


if __name__ == "__main__":
    main()
