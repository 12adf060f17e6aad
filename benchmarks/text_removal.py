"""The whole stage `remove_text` against a plain loop over the same samples, in one run.

    python -m benchmarks.text_removal --limit 24 --models parrot-tiny ViT-B-32

The loop reads, decodes, fills the whole image with `cv2.inpaint` and embeds image and caption once per variant. The
stage does what it does in a pipeline: plan, slices, one fused call, one commit. A first run over a few samples warms
Spark up. Weights are random: they cost what real ones cost. Prints a Markdown table; the phases are CPU-thread seconds
that overlap, so their sum may exceed the stage's time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.inpainting import whole
from benchmarks.spotting_quality import DATA, MEME_KINDS, TrueImage, true_images
from benchmarks.text_removal_quality import Spotted, drawn, spotted

if TYPE_CHECKING:
    from schemas import TableSpec
    from spark_jobs.config import RunConfig
    from spark_jobs.runner.stage_report import StageReport


def put(spark: Any, config: RunConfig, spec: TableSpec, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as the stage that makes the table would, under a run key of the table's name."""
    from spark_jobs.runner.run_log import RunLog
    from spark_jobs.tables import Tables

    tables, dataset = Tables(spark, config.warehouse), config.dataset_name
    tables.create(spec)
    common = {"dataset": dataset, "shard_id": "0", "status": "ok", "run_key": spec.name, "input_key": "i"}
    values = [tuple({**common, **row}.get(name) for name in spec.columns) for row in rows]
    tables.replace(spec, spark.createDataFrame(values, spec.schema), dataset=dataset, run_key=spec.name)
    log = RunLog(tables, spec, stage="benchmark", dataset=dataset, run_key=spec.name, params={})
    log.add("finished", seconds=0.0, shards=0, counts={})


def put_all(spark: Any, config: RunConfig, images: Sequence[TrueImage], found: Sequence[Spotted]) -> None:
    """Write the four tables that the stage reads; each caption holds the first half of the visible words."""
    from schemas import caption_overlap, samples, spotted_text
    from schemas import images as image_table

    folder = Path(config.warehouse).parent / "files"
    folder.mkdir(exist_ok=True)
    rows = []
    for number, (image, text) in enumerate(zip(images, found, strict=True)):
        path = folder / f"{number:04d}.jpg"
        path.write_bytes(image.data)
        rows.append((f"{number:032x}", str(path), text, co_emb(text)))
    ids = [{"sample_id": sample_id} for sample_id, *_ in rows]
    put(spark, config, samples.TABLE, [
        {**key, "source_key": "k", "caption": " ".join(words)} for key, (*_, words) in zip(ids, rows, strict=True)
    ])  # fmt: skip
    put(spark, config, image_table.TABLE, [
        {**key, "image_uri": path} for key, (_, path, _, _) in zip(ids, rows, strict=True)
    ])  # fmt: skip
    put(spark, config, spotted_text.TABLE, [
        {**key, "spotter": "s", "words": [as_row(word) for word in text.words],
         "image_width": text.pixels.shape[1], "image_height": text.pixels.shape[0]}
        for key, (_, _, text, _) in zip(ids, rows, strict=True)
    ])  # fmt: skip
    put(spark, config, caption_overlap.TABLE, [
        {**key, "spotted_word_count": len(text.words), "co_emb_words": words}
        for key, (_, _, text, words) in zip(ids, rows, strict=True)
    ])  # fmt: skip


def as_row(word: Mapping[str, Any]) -> tuple[Any, ...]:
    """A word as the table holds it."""
    points = [(point["x"], point["y"]) for point in word["polygon"]]
    return (word["text"], word["confidence"], points, word["line"])


def co_emb(text: Spotted) -> list[str]:
    """The first half of the words, normalised, each once."""
    from udfs.tokens import normalised_words

    half = text.words[: (len(text.words) + 1) // 2]
    return list(dict.fromkeys(part for word in half for part in normalised_words(word["text"])))


def plain_loop(paths: Sequence[Path], found: Sequence[Spotted], clip: Any) -> list[dict[str, float]]:
    """Scores by variant: whole-image inpainting, one embedding of image and caption per variant."""
    from udfs.image_codec import DecodeLimits, decode
    from udfs.inpainting import InpaintParams
    from udfs.tokens import normalised_words

    params, scores = InpaintParams(), []
    for number, (path, text) in enumerate(zip(paths, found, strict=True)):
        pixels, _ = decode(path.read_bytes(), DecodeLimits())
        donor = found[(number + 1) % len(found)]
        scale = text.size / donor.size
        variants = {"raw": pixels}
        for name, source, factor in (("", text, 1.0), ("random_", donor, scale)):
            wanted = set(co_emb(source))
            is_co = [not wanted.isdisjoint(normalised_words(word["text"])) for word in source.words]
            for kind, keep in (("all_removed", [True] * len(is_co)), ("co_removed", is_co)):
                polygons = [p * factor for p, kept in zip(source.polygons, keep, strict=True) if kept]
                mask = drawn(polygons, text, params).astype(np.uint8) * 255
                variants[name + kind] = whole(Spotted(pixels, text.words), mask, params)
        caption = {"caption": " ".join(co_emb(text))}
        scores.append({
            name: clip.predict([clip.prepare(image)], [caption])[0]["clip_score"]
            for name, image in variants.items()
        })  # fmt: skip
    return scores


def staged(spark: Any, config: RunConfig) -> tuple[float, StageReport, dict[str, dict[str, float]]]:
    """Seconds, report and rows of the stage."""
    from schemas import text_removal_scores
    from spark_jobs.stages.remove_text import run
    from spark_jobs.tables import Tables

    started = time.perf_counter()
    report = run(spark, config)
    seconds = time.perf_counter() - started
    rows = Tables(spark, config.warehouse).read(text_removal_scores.TABLE, dataset=config.dataset_name)
    return seconds, report, {row["sample_id"]: row.asDict() for row in rows.collect()}


def main() -> None:
    """Parse the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description="The stage remove_text against a plain loop.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with truth.jsonl and webdataset/")
    parser.add_argument("--limit", type=int, default=40, help="memes")
    parser.add_argument("--models", nargs="+", default=["parrot-tiny", "ViT-B-32"])
    arguments = parser.parse_args()
    from spark_jobs.config import load_config
    from spark_jobs.session import open_session
    from spark_jobs.stages.remove_text import clips_of
    from udfs import text_spotting

    warnings.filterwarnings("ignore")
    images = true_images(arguments.data, kinds=MEME_KINDS, limit=arguments.limit)
    found = spotted(images, text_spotting.resolve("easyocr").load())
    out = [
        "| model | samples | loop, s | stage, s | ratio | read | decode and fill | infer | largest difference |"
    ]
    out.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        spark = None
        for model in arguments.models:
            configs = [
                load_config(
                    options={"warehouse": f"{folder}/{name}-{model}/warehouse", "dataset": "memes"},
                    overrides=("tracking.enabled=false", f"remove_text.models=[{model}]"),
                )
                for name in ("warm", "all")
            ]
            spark = spark or open_session(configs[0].session)
            for config, count in zip(configs, (4, len(images)), strict=True):
                Path(config.warehouse).mkdir(parents=True)
                put_all(spark, config, images[:count], found[:count])
            staged(spark, configs[0])
            clip = clips_of(configs[1])[0].load()
            paths = sorted((Path(configs[1].warehouse).parent / "files").iterdir())
            plain_loop(paths[:2], found[:2], clip)
            started = time.perf_counter()
            expected = plain_loop(paths, found, clip)
            loop_seconds = time.perf_counter() - started
            seconds, report, rows = staged(spark, configs[1])
            phases = " | ".join(f"{report.phase_seconds[name]:.1f}" for name in ("read", "decode", "infer"))
            out.append(
                f"| {model} | {len(images)} | {loop_seconds:.1f} | {seconds:.1f} | {loop_seconds / seconds:.2f}x "
                f"| {phases} | {difference(expected, rows):.1e} |"
            )
        if spark is not None:
            spark.stop()
    sys.stdout.write("\n".join(out) + "\n")


def difference(expected: Sequence[Mapping[str, float]], rows: Mapping[str, Mapping[str, Any]]) -> float:
    """Largest difference of scores; of the variants that need no donor, which is drawn otherwise here."""
    names = ("raw", "all_removed", "co_removed")
    return max(
        abs(scores[name] - rows[f"{number:032x}"][f"score_{name}"])
        for number, scores in enumerate(expected)
        for name in names
        if rows[f"{number:032x}"][f"score_{name}"] is not None
    )


if __name__ == "__main__":
    main()
