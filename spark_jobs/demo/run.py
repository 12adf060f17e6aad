"""`parrot demo`: draw a corpus, profile it, compare what was measured with what was planted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas import caption_overlap, samples, spotted_text
from schemas._table import KEY_COLUMNS
from spark_jobs.commands.run import check, run_stages
from spark_jobs.config import RunConfig, load_config
from spark_jobs.demo.comparison import MeasuredRow, compare, render
from spark_jobs.demo.corpus import read_truth, write_corpus
from spark_jobs.pipeline import select
from spark_jobs.runner.progress import console
from spark_jobs.session import open_session
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from udfs.tokens import normalised_words

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from schemas._table import TableSpec

_DATASET = "demo"
_SPOTTER = ("spot_text.spotter=", "spot_text.detector_precision=")


def run_demo(to: Path, *, samples: int, overrides: tuple[str, ...]) -> None:
    """Draw, run, compare.

    Args:
        to: Folder: `corpus`, `warehouse` and `report.html` go there.
        samples: Size of the corpus.
        overrides: `section.key=value` settings.
    """
    corpus = write_corpus(to / "corpus", samples=samples)
    state = "drawn" if corpus.written else "found"
    console.print(f"[bold]{'corpus':>12}[/bold]  {corpus.samples} samples in {corpus.shards} shards {state}")
    config = demo_config(to, source=str(corpus.webdataset), overrides=overrides)
    stages = select([])
    check(config, stages)
    spark = open_session(config.session, runs_stages=True)
    run_stages(spark, config, stages)
    console.print(render(compare(read_truth(corpus.truth), _measured(spark, config))))
    console.print(
        f"Open {to / 'report.html'} in a browser, or ask the tables:\n"
        f'  parrot sql --warehouse {to / "warehouse"} "SELECT image_type, count(*) AS images, '
        'avg(cotr) AS cotr FROM caption_overlap GROUP BY image_type"',
        soft_wrap=True,
    )


def demo_config(to: Path, *, source: str, overrides: tuple[str, ...]) -> RunConfig:
    """The demo's settings: where it writes, and the CLIP and the faster spotter, unless `overrides` name others.

    Args:
        to: Folder of the demo.
        source: The drawn corpus.
        overrides: `section.key=value` settings; `embed.model` or `embed.pretrained` replace both,
            `spot_text.spotter` or `spot_text.detector_precision` the spotter.
    """
    options: dict[str, Any] = {
        "source": source,
        "dataset": _DATASET,
        "warehouse": str(to / "warehouse"),
        "report": {"output": str(to / "report.html")},
    }
    if not any(override.startswith(("embed.model=", "embed.pretrained=")) for override in overrides):
        options["embed"] = {"model": "parrot-small", "pretrained": "world"}
    if not any(override.startswith(_SPOTTER) for override in overrides):
        options["spot_text"] = {"spotter": "easyocr-fast"}
    return load_config(options=options, overrides=overrides)


def _measured(spark: SparkSession, config: RunConfig) -> Iterator[MeasuredRow]:
    tables = Tables(spark, config.warehouse)
    current = current_run_keys(tables)
    keys = list(KEY_COLUMNS)

    def read(spec: TableSpec, *columns: str) -> DataFrame:
        frame = tables.read(spec, dataset=_DATASET, run_key=current[_DATASET, spec.name])
        return frame.select(*keys, *columns)

    joined = (
        read(samples.TABLE, "source_key")
        .join(read(spotted_text.TABLE, "words", "status"), keys, "inner")
        .join(read(caption_overlap.TABLE, "cotr", "image_type"), keys, "inner")
    )
    for row in joined.collect():
        yield MeasuredRow(
            key=row["source_key"],
            status=row["status"],
            words=tuple(token for word in row["words"] or () for token in normalised_words(word["text"])),
            cotr=row["cotr"],
            image_type=row["image_type"],
        )
