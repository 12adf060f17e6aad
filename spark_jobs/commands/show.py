"""`parrot show`: one sample with all that is known of it, in the terminal or as an HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from spark_jobs.commands.json_output import print_json
from spark_jobs.commands.sample import (
    REMOVAL_HEADINGS,
    WORD_HEADINGS,
    Shown,
    add_pictures,
    facts_of,
    read_sample,
    removals_of,
    words_of,
)
from spark_jobs.commands.show_html import write_page
from spark_jobs.runner.progress import output_console
from spark_jobs.warehouse.tables import Tables

if TYPE_CHECKING:
    from PIL import Image
    from pyspark.sql import SparkSession

    from spark_jobs.config import RunConfig

_CELLS = 64  # columns of the terminal that a picture takes


def print_sample(
    spark: SparkSession, config: RunConfig, sample: str, *, html: Path | None, as_json: bool
) -> None:
    """Show one sample.

    Args:
        spark: The session.
        config: Names the warehouse, and the dataset where its ids are ambiguous.
        sample: The sample's id, the beginning of it, its source's key or id, or its URL.
        html: File to write instead; None for the terminal.
        as_json: Whether a program reads it.

    Raises:
        StageError: If no sample is called that, or several are; names them.
    """
    tables = Tables(spark, config.warehouse)
    shown = read_sample(tables, sample, dataset=config.dataset)
    if as_json:
        facts = {"words": shown.words, "removal": shown.scores, "duplicates": shown.duplicates}
        print_json({**shown.profile, **facts})
        return
    shown.is_unsafe = shown.is_unsafe and config.report.blur_unsafe
    add_pictures(tables, shown)
    if html is not None:
        write_page(shown, html)
        return
    console = output_console()
    picture = shown.pictures.get("image")
    if picture is not None and console.is_terminal:
        console.print(as_blocks(picture, width=min(_CELLS, console.width)))
    console.print(_facts(shown))
    for table in (_readings(shown), _removals(shown)):
        if table.row_count:
            console.print(table)


def as_blocks(picture: Image.Image, *, width: int) -> Any:
    """A picture as coloured half blocks for a terminal: two pixels in each cell.

    Args:
        picture: RGB.
        width: Cells.
    """
    from rich.text import Text

    columns = min(width, picture.width)
    rows = max(2, round(picture.height * columns / picture.width / 2) * 2)
    small = picture.convert("RGB").resize((columns, rows))
    text = Text()
    for y in range(0, rows, 2):
        for x in range(columns):
            upper, lower = (small.getpixel((x, y + below)) for below in (0, 1))
            text.append("▀", style=f"rgb{upper} on rgb{lower}".replace(" ", "").replace("on", " on "))
        text.append("\n")
    return text


def _facts(shown: Shown) -> Table:
    table = Table("sample", shown.profile["sample_id"])
    for name, value in facts_of(shown).items():
        table.add_row(name, value)
    return table


def _readings(shown: Shown) -> Table:
    table = Table(*WORD_HEADINGS)
    for row in words_of(shown):
        table.add_row(*row)
    return table


def _removals(shown: Shown) -> Table:
    table = Table(*REMOVAL_HEADINGS)
    for row in removals_of(shown):
        table.add_row(*row)
    return table
