"""The section on CLIP scores: by image type, what a filter keeps, and the mean scores of the paper's subsets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spark_jobs.report import formatting
from spark_jobs.report.content import IMAGE_TYPES, DatasetContent, ImageType
from spark_jobs.report.figures.curves import LAION_THRESHOLD, score_filter
from spark_jobs.report.figures.distributions import clip_score_boxes
from spark_jobs.report.paper import AVERAGE_SCORES

Row = Mapping[str, Any]
SCORE_COLUMNS = {
    "mean": "mean",
    "std": "std",
    "p05": "p05",
    "p25": "p25",
    "p50": "median",
    "p75": "p75",
    "p95": "p95",
}
_THRESHOLDS = (-1.0, 0.2, 0.25, LAION_THRESHOLD, 0.3, 0.35)
_STUDIES = {
    "I": "Curation I: with and without text",
    "II": "Curation II: by CoTR",
    "III": "Curation III: by RSA and RSC",
}


def score_views(dataset: DatasetContent, index: int) -> list[dict[str, Any]]:
    """What the template shows of one dataset's CLIP scores, by model.

    Args:
        dataset: The dataset.
        index: Its place, which distinguishes the drawings' ids.
    """
    by_model: dict[str, list[Row]] = {}
    for row in dataset.clip_scores:
        by_model.setdefault(str(row["model"]), []).append(row)
    filters = dataset.figures.get("stat_score_filter", ())
    views = []
    for number, (model, rows) in enumerate(sorted(by_model.items())):
        kept = [row for row in filters if row["model"] == model]
        views.append(
            {
                "model": model,
                "figure": clip_score_boxes(rows, f"{index}-{number}"),
                "rows": [_score_row(image_type, rows) for image_type in IMAGE_TYPES],
                "filter": score_filter(kept, f"filter-{index}-{number}"),
                "thresholds": _filter_rows(kept),
            }
        )
    return views


def _score_row(image_type: ImageType, rows: Iterable[Row]) -> dict[str, Any]:
    row = next((row for row in rows if row["image_type"] == image_type.name), None)
    images = formatting.number(row, "images") or 0
    return {
        "image_type": image_type,
        "images": formatting.count(images),
        "is_small": 0 < images < formatting.FEW,
        "interval": formatting.score_interval(row, "mean"),
        "values": [formatting.score(formatting.number(row, column)) for column in SCORE_COLUMNS],
    }


def _filter_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    by_threshold = {round(row["threshold"], 2): row for row in rows}
    chosen = [by_threshold[threshold] for threshold in _THRESHOLDS if threshold in by_threshold]
    return [
        {
            "label": "no filter" if row["threshold"] < 0 else f"from {row['threshold']:.2f} on",
            "is_laion": row["threshold"] == LAION_THRESHOLD,
            "images": formatting.count(row["images"]),
            "is_small": row["images"] < formatting.FEW,
            **{
                name: {
                    "text": formatting.percent(formatting.number(row, name)),
                    "interval": formatting.percent_interval(row, name),
                }
                for name in ("share_kept", "share_with_text", "share_concurrent")
            },
        }
        for row in chosen
    ]


def curation_views(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Mean scores of the paper's subsets beside the paper's own, by model.

    Args:
        rows: Rows of `stat_curation_score` of one dataset.
    """
    return [
        {
            "model": model,
            "studies": [
                {"label": label, "rows": [_curation_row(row) for row in rows_of]}
                for study, label in _STUDIES.items()
                if (
                    rows_of := [
                        row
                        for row in _in_order(rows)
                        if row["model"] == model and row["study"] == study and row["images"]
                    ]
                )
            ],
        }
        for model in sorted({str(row["model"]) for row in rows})
    ]


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """By subset, in the paper's order."""
    from spark_jobs.sql.selections import CURATIONS

    places = {entry.subset_id: place for place, entry in enumerate(CURATIONS)}
    return sorted(rows, key=lambda row: places.get(row["subset_id"], len(places)))


def _curation_row(row: Row) -> dict[str, Any]:
    published = AVERAGE_SCORES.get(row["subset_id"])
    return {
        "subset": row["subset_id"],
        "images": formatting.count(row["images"]),
        "is_small": row["images"] < formatting.FEW,
        "mean": formatting.score(formatting.number(row, "mean_clip_score")),
        "interval": formatting.score_interval(row, "mean_clip_score"),
        "paper": "" if published is None else f"{published:.3f}",
    }
