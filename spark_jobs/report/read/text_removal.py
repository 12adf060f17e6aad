"""What the report shows of a text removal: by which model samples are chosen, and their images without text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schemas import stage_runs, text_removal_scores
from udfs.geometry import from_points
from udfs.guarded_decode import decode
from udfs.image_codec import DecodeLimits, ImageFault
from udfs.inpainting import InpaintParams, inpaint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spark_jobs.warehouse.tables import Tables


def gallery_model(models: Sequence[str], embedded: Sequence[str]) -> str | None:
    """The model whose scores choose the gallery's samples: the one of stage `embed`, else the first by name."""
    both = sorted(set(models) & set(embedded))
    return next(iter(both or sorted(models)), None)


def fill_of(tables: Tables, dataset: str, run_key: str) -> InpaintParams | None:
    """How text was filled in under a run key, as the log of stages has it; None where the log is gone."""
    from pyspark.sql import functions as F

    if not tables.exists(stage_runs.TABLE):
        return None
    is_run = (F.col("table_name") == text_removal_scores.TABLE.name) & (F.col("run_key") == run_key)
    rows = tables.read(stage_runs.TABLE, dataset=dataset).where(is_run).select("params").limit(1).collect()
    found = json.loads(rows[0]["params"]).get("params", {}).get("inpaint") if rows else None
    return InpaintParams(**found) if found else None


def removed_text(row: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """What stage `remove_text` took for All-Emb. text: the words that `overlap` counted, and their readings.

    Args:
        row: `words` and `lines` as in `spotted_text`, and `used_words` as in `caption_overlap`.

    Returns:
        The words, and the readings that hold one of them; none where either table lacks the sample.
    """
    if not row["used_words"] or not row["words"]:
        return [], []
    words = [row["words"][used["index"]] for used in row["used_words"]]
    return words, [row["lines"][line] for line in dict.fromkeys(word["line"] for word in words)]


def without_text(
    data: object, readings: Sequence[Mapping[str, Any]], fill: InpaintParams, *, limits: DecodeLimits
) -> NDArray[np.uint8] | None:
    """Decode an image and fill the readings' polygons in.

    Returns:
        Pixels, (height, width, 3) RGB uint8, EXIF-upright, full size; None where there is no image.
    """
    if not isinstance(data, bytes):
        return None
    try:
        pixels = decode(data, limits).pixels
    except ImageFault:
        return None  # the picture before says why
    return inpaint(pixels, [from_points(reading["polygon"] or ()) for reading in readings], fill)
