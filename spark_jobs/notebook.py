"""What the notebooks share: widgets, the opened warehouse, pictures of samples, the cookbook's questions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_jobs.errors import ConfigError
from spark_jobs.sections import SessionConfig
from spark_jobs.session import open_session
from spark_jobs.warehouse.datasets import only_dataset
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import register_views
from udfs.guarded_decode import decode
from udfs.image_codec import DecodeLimits
from udfs.image_refs import ImageRef, UnreadableImage, read_images

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession

_MAX_IMAGE_BYTES = 100_000_000
_QUESTION = re.compile(r"^## (?P<title>[^\n]*)$|```sql\n(?P<sql>.*?)\n```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Opened:
    """A warehouse that a notebook looks at.

    Attributes:
        spark: The session, in which every table and view can be asked by its name.
        warehouse: Folder, URI or catalog's schema.
        dataset: The dataset looked at.
        names: Tables and views.
    """

    spark: SparkSession
    warehouse: str
    dataset: str
    names: tuple[str, ...]

    def ask(self, query: str, **more: object) -> pd.DataFrame:
        """The answer of a query, in which `:dataset` is the dataset looked at; of numbers that a plot can take.

        Args:
            query: One SELECT.
            more: Further named parameters of the query.
        """
        return self.spark.sql(query, args={"dataset": self.dataset, **more}).toPandas()


def widget(name: str, default: str, dbutils: Any = None) -> str:
    """A setting: of Databricks a widget above the notebook, elsewhere the environment's `PARROT_NAME`.

    Args:
        name: Name of the widget.
        default: Where nothing is set.
        dbutils: Databricks' own, where there is one.
    """
    given = os.environ.get(f"PARROT_{name.upper()}", default)
    if dbutils is None:
        return given
    dbutils.widgets.text(name, given)
    return str(dbutils.widgets.get(name))


def open_warehouse(warehouse: str, dataset: str = "") -> Opened:
    """Open a warehouse and make its tables and views known by name.

    Args:
        warehouse: Folder, URI or catalog's schema.
        dataset: Empty for the only one.

    Raises:
        ConfigError: If no dataset is named and there is none, or several.
    """
    spark = open_session(SessionConfig())
    tables = Tables(spark, warehouse)
    names = tuple(register_views(tables))
    return Opened(spark, warehouse, dataset or only_dataset(tables), names)


def show_picture(ax: Any, row: Any, title: str) -> None:
    """Show the image of a row of table `images` with a title; an image that cannot be had leaves the title."""
    reference = ImageRef(
        row.image_uri, _whole(row.image_offset), _whole(row.image_length), _whole(row.image_row)
    )
    (data,) = read_images([reference], max_bytes=_MAX_IMAGE_BYTES)
    ax.axis("off")
    ax.set_title(title[:160], fontsize=8, parse_math=False)
    if isinstance(data, UnreadableImage):
        ax.text(0.5, 0.5, str(data)[:60], ha="center", va="center", fontsize=7, wrap=True)
    else:
        ax.imshow(decode(data, DecodeLimits()).pixels)


def _whole(value: Any) -> int | None:
    """A whole number of a pandas row, which holds it as a float where others of its column are null."""
    import pandas as pd

    return None if pd.isna(value) else int(value)


@dataclass(frozen=True)
class Question:
    """A question of the cookbook and one of its queries."""

    title: str
    sql: str


def questions(page: str) -> list[Question]:
    """The queries of docs/cookbook.md, each under the heading that it stands below."""
    found, title = [], ""
    for match in _QUESTION.finditer(page):
        if match["sql"] is None:
            title = match["title"]
        else:
            found.append(Question(title, match["sql"]))
    return found


def cookbook() -> str:
    """The text of docs/cookbook.md, from the working folder or one above it (Databricks starts in notebooks/).

    Raises:
        ConfigError: If it is in none of them.
    """
    here = Path.cwd()
    found: Iterable[Path] = (folder / "docs" / "cookbook.md" for folder in (here, *here.parents))
    for path in found:
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise ConfigError(
        f"docs/cookbook.md was looked for in {here} and the folders above it, and is in none: run the notebook "
        "from the project's folder, or upload docs/ beside notebooks/"
    )
