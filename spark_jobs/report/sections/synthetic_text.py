"""The report's section on synthetic text: Sync scores beside the paper's, and plots by frequency and length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_jobs.clip_models import model_notes
from spark_jobs.report import formatting
from spark_jobs.report.figures.synthetic_text import GROUPINGS, VOCABULARIES, Vocabulary, band_lines
from udfs.text_rendering import STYLES

Row = Mapping[str, Any]


SYNC_COLUMNS = ("all", *(style.name for style in STYLES))
PUBLISHED = (
    ("OpenAI CLIP ViT-B-32", 0.317, 0.030),
    ("OpenCLIP ViT-B-32, LAION-2B", 0.368, 0.042),
    ("DataComp medium, no filter", 0.268, 0.024),
    ("DataComp large, no filter", 0.338, 0.034),
    ("the authors' model of 100M debiased pairs", 0.163, 0.065),
)
"""Sync scores of the paper (Table 10): mean and standard deviation over rendered caption 1-grams of LAION-2B."""


def synthetic_text_views(rows: Sequence[Row], key: str) -> list[dict[str, Any]]:
    """What the template shows of one dataset, by model.

    Args:
        rows: Rows of `stat_synthetic_text`.
        key: Distinguishes the drawings' ids from those of the page's other drawings.
    """
    views = []
    for place, model in enumerate(sorted({str(row["model"]) for row in rows})):
        own = [row for row in rows if row["model"] == model]
        views.append(
            {
                "model": model,
                "notes": model_notes(model),
                "rows": [view for entry in VOCABULARIES if (view := _table_row(own, entry)) is not None],
                "figures": [
                    (label, figure)
                    for grouping, label in GROUPINGS.items()
                    if (figure := band_lines(own, grouping, f"sync-{key}-{place}")) is not None
                ],
            }
        )
    return views


def published_rows() -> list[dict[str, str]]:
    """The paper's Sync scores as the table prints them."""
    return [{"model": model, "score": _with_std(mean, std)} for model, mean, std in PUBLISHED]


def _table_row(rows: Sequence[Row], vocabulary: Vocabulary) -> dict[str, Any] | None:
    by_style = {
        row["style"]: row for row in rows if row["vocabulary"] == vocabulary.name and row["grouping"] == "all"
    }
    if not by_style:
        return None
    whole = by_style.get("all")
    return {
        "label": vocabulary.label,
        "grams": formatting.count(formatting.number(whole, "grams")),
        "is_small": 0 < (formatting.number(whole, "grams") or 0) < formatting.FEW,
        "overflowing": formatting.count(formatting.number(whole, "grams_overflowing")),
        "scores": [
            {
                "text": _with_std(formatting.number(row, "mean"), formatting.number(row, "std")),
                "interval": formatting.score_interval(row, "mean"),
            }
            for row in map(by_style.get, SYNC_COLUMNS)
        ],
    }


def _with_std(mean: float | None, std: float | None) -> str:
    if mean is None:
        return formatting.MISSING
    return f"{mean:.3f}" if std is None else f"{mean:.3f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{std:.3f}"
