"""Text removal around the text against `cv2.inpaint` over the whole image, as stage `remove_text` does it.

    python -m benchmarks.inpainting --warehouse WAREHOUSE --dataset laion_like

takes every image with text of a profiled dataset, with the text that was spotted, the overlap and the donors that
the stage would take, and makes the four variants of each: by four whole-image calls, and as the stage does, which
shares between variants what is equal. Every result is compared pixel for pixel. The two take turns image by image
on one thread, and the smallest CPU time of each counts, so that other load on the machine falls out. Without a
warehouse, one is made of a shard of the real data (minutes: text is spotted). Prints a Markdown table, by kind of
image.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.results import Ratio, record
from benchmarks.spotting_quality import DATA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spark_jobs.config import RunConfig
    from udfs.inpainting import InpaintParams

Polygons = Mapping[str, Sequence["NDArray[np.float64]"]]
Images = dict[str, "NDArray[np.uint8]"]


@dataclass(frozen=True)
class Case:
    """What one image cost, CPU seconds: by whole-image calls, by us, and what of the first are the calls alone."""

    kind: str
    whole: float
    ours: float
    nothing: float
    share: float


@contextmanager
def profiled(arguments: argparse.Namespace) -> Iterator[tuple[Any, RunConfig]]:
    """A session, and the configuration of a dataset whose text was spotted and compared with the captions."""
    from spark_jobs.config import load_config
    from spark_jobs.session import open_session
    from spark_jobs.stages import ingest, overlap, spot_text

    with tempfile.TemporaryDirectory() as folder:
        config = load_config(
            options={
                "warehouse": str(arguments.warehouse or Path(folder) / "warehouse"),
                "dataset": arguments.dataset,
                "source": str(arguments.data / "webdataset"),
                "limit": arguments.limit,
            },
            overrides=("tracking.enabled=false",),
        )
        spark = open_session(config.session)
        try:
            if arguments.warehouse is None:
                for stage in (ingest, spot_text, overlap):
                    stage.run(spark, config)
            yield spark, config
        finally:
            spark.stop()


def stage_rows(spark: Any, config: RunConfig) -> list[dict[str, Any]]:
    """Samples as the stage sees them: reference, caption, `text` and donors; and the source's own id."""
    from schemas import samples
    from spark_jobs.runner.pending import sample_shards
    from spark_jobs.stages.remove_text import INPUTS, with_donors
    from spark_jobs.warehouse.tables import Tables
    from spark_jobs.warehouse.views import current_run_keys

    tables, dataset = Tables(spark, config.warehouse), config.dataset_name
    current = current_run_keys(tables)
    keys = ["shard_id", "sample_id"]

    def read(spec: Any) -> Any:
        return tables.read(spec, dataset=dataset, run_key=current[dataset, spec.name])

    joined = read(samples.TABLE).select(*keys, "source_id")
    for item in INPUTS:
        columns = [f"{column} AS {name}" for name, column in item.columns.items()]
        joined = joined.join(read(item.spec).selectExpr(*keys, *columns), keys)
    rows = with_donors(joined, seed=config.remove_text.seed).where("overlap_status = 'ok'").orderBy(*keys)
    found = [row.asDict(recursive=True) for row in rows.collect()]
    shards = sample_shards({row["shard_id"]: row for row in found}, config.limit)
    return [row for row in found if row["shard_id"] in shards]


def with_pixels(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], NDArray[np.uint8]]]:
    """Each row with its decoded image."""
    from schemas.images import REFERENCE_COLUMNS
    from udfs.image_codec import DecodeLimits, decode
    from udfs.image_refs import ImageRef, read_images

    for row in rows:
        (data,) = read_images([ImageRef(*(row[name] for name in REFERENCE_COLUMNS))], max_bytes=10**8)
        assert isinstance(data, bytes), data
        yield row, decode(data, DecodeLimits())


def kinds_of(data: Path) -> dict[str, str]:
    """Kind by the source's own id, where the data's truth is there."""
    truth = data / "truth.jsonl"
    if not truth.exists():
        return {}
    with truth.open(encoding="utf-8") as file:
        return {str(row["sample_id"]): row["kind"] for row in map(json.loads, file)}


def clipped_variants(row: dict[str, Any], pixels: NDArray[np.uint8]) -> Polygons:
    """The polygons of each variant, clipped to the image; without those that have no area in it."""
    from udfs.geometry import clip_to_image
    from udfs.text_removal import variant_polygons

    height, width = pixels.shape[:2]
    found = variant_polygons(row, width=width, height=height)
    clipped = {
        name: [clip_to_image(p, width=width, height=height) for p in polygons]
        for name, polygons in found.items()
    }
    return {name: [p for p in polygons if len(p)] for name, polygons in clipped.items()}


def whole_mask(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Clipped polygons on a mask of the whole image; the half px puts centres at integer coordinates."""
    import cv2

    mask = np.zeros(shape[:2], np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.rint((polygon - 0.5) * 16).astype(np.int32)], 255, shift=4)
    return mask


def by_whole_calls(pixels: NDArray[np.uint8], variants: Polygons, radius: int) -> Images:
    """Each variant by one call over the whole image; polygons are there already clipped."""
    import cv2

    filled = {}
    for name, polygons in variants.items():
        mask = whole_mask(polygons, pixels.shape)
        if mask.any():
            filled[name] = cv2.inpaint(pixels, mask, radius, cv2.INPAINT_TELEA)
    return filled


def around_the_text(pixels: NDArray[np.uint8], row: dict[str, Any], params: InpaintParams) -> Images:
    """Each variant as `RemovalModel.prepare_row` makes it, from the polygons as the tables hold them."""
    from udfs.inpainting import fill_regions, regions_of
    from udfs.text_removal import variant_polygons

    height, width = pixels.shape[:2]
    done: dict[Any, NDArray[np.uint8]] = {}
    filled = {}
    for name, polygons in variant_polygons(row, width=width, height=height).items():
        regions = regions_of(polygons, width=width, height=height, params=params)
        if regions:
            filled[name] = fill_regions(pixels, regions, params, done=done)
    return filled


def measured(
    row: dict[str, Any], pixels: NDArray[np.uint8], params: InpaintParams, *, kind: str, rounds: int
) -> Case:
    """Measure one image.

    Raises:
        AssertionError: If a pixel differs.
    """
    variants = clipped_variants(row, pixels)
    dot = {
        name: [np.array([(9.0, 9), (11, 9), (11, 11), (9, 11)])] for name, found in variants.items() if found
    }
    functions: tuple[Callable[[], Images], ...] = (
        lambda: by_whole_calls(pixels, variants, params.radius),
        lambda: around_the_text(pixels, row, params),
        lambda: by_whole_calls(pixels, dot, params.radius),
    )
    expected, found = functions[0](), functions[1]()
    assert expected.keys() == found.keys(), row["sample_id"]
    assert all(np.array_equal(expected[name], found[name]) for name in expected), row["sample_id"]
    best = [float("inf")] * len(functions)
    for _ in range(rounds):
        for index, function in enumerate(functions):
            best[index] = min(best[index], cpu_seconds(function))
    shares = [float((whole_mask(polygons, pixels.shape) > 0).mean()) for polygons in variants.values()]
    return Case(kind, *best, share=sum(shares) / len(shares))


def cpu_seconds(function: Callable[[], Any]) -> float:
    """CPU time of one call in this thread, s."""
    started = time.thread_time()
    function()
    return time.thread_time() - started


def line(name: str, cases: Sequence[Case]) -> str:
    """A line of the table."""
    count = len(cases)
    whole, ours, nothing = (
        1000 * sum(getattr(case, field) for case in cases) / count for field in ("whole", "ours", "nothing")
    )
    ratios = np.array([case.whole / case.ours for case in cases])
    low, middle, high = np.percentile(ratios, (5, 50, 95))
    share = sum(case.share for case in cases) / count
    return (
        f"| {name} | {count} | {share:.1%} | {whole:.1f} | {ours:.1f} | {whole / ours:.2f}x "
        f"| {middle:.2f}x | {low:.2f}x to {high:.2f}x | {np.mean(ratios >= 3):.1%} | {1 - nothing / whole:.1%} |"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What says which samples are taken."""
    parser.add_argument("--warehouse", type=Path, help="of a profiled dataset; none: one is made")
    parser.add_argument("--dataset", default="laion_like")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with truth.jsonl and webdataset/")
    parser.add_argument("--limit", type=int, help="shards")


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description="Text removal around the text against whole-image calls.")
    add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    import cv2

    from udfs.inpainting import InpaintParams

    warnings.filterwarnings("ignore")
    if arguments.warehouse is None and arguments.limit is None:
        arguments.limit = 1
    with profiled(arguments) as (spark, config):
        rows = [row for row in stage_rows(spark, config) if row["text"] is not None]
    cv2.setNumThreads(1)
    kinds = kinds_of(arguments.data)
    cases = [
        measured(
            row,
            pixels,
            InpaintParams(),
            kind=kinds.get(row["source_id"], "unknown"),
            rounds=arguments.rounds,
        )
        for row, pixels in with_pixels(rows)
    ]
    out = [
        "| kind | images | pixels removed | whole image, ms | ours, ms | ratio | median | 5 % to 95 % | 3x or more "
        "| spent on removed pixels |"
    ]
    out.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind in sorted({case.kind for case in cases}):
        out.append(line(kind, [case for case in cases if case.kind == kind]))
    out.append(line("all", cases))
    sys.stdout.write("\n".join(out) + "\n")
    ratio = sum(case.whole for case in cases) / sum(case.ours for case in cases)
    record("inpainting", [Ratio("whole image / ours, CPU", ratio)], run=f"{len(cases)} images")


if __name__ == "__main__":
    main()
