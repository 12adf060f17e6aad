"""What a dataset's numbers were made with, and where datasets side by side differ in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_jobs.report import formatting
from spark_jobs.report.content import DatasetContent

Params = Mapping[str, Any]


def settings_of(dataset: DatasetContent) -> dict[str, str]:
    """The settings that decide what numbers compare, as text by label; what is not known is absent."""
    tables = dataset.settings
    told = {
        **_spotting(tables.get("spotted_text", {})),
        **_overlap(tables.get("caption_overlap", {})),
        "CLIP model": _model(tables.get("clip_embeddings", {})),
        **_removal(tables.get("text_removal_scores", {})),
        **_synthetic(tables.get("synthetic_text_scores", {}), dataset.synthetic_text),
    }
    return {label: text for label, text in told.items() if text}


def settings_table(datasets: Sequence[DatasetContent]) -> list[dict[str, Any]]:
    """Rows of the table of settings: label, a cell per dataset, whether the cells differ."""
    columns = [settings_of(dataset) for dataset in datasets]
    labels = list(dict.fromkeys(label for column in columns for label in column))
    return [
        {
            "label": label,
            "cells": [column.get(label, formatting.MISSING) for column in columns],
            "differs": len({column[label] for column in columns if label in column}) > 1,
        }
        for label in labels
    ]


def differing(datasets: Sequence[DatasetContent]) -> list[str]:
    """Labels of the settings in which datasets differ."""
    return [row["label"] for row in settings_table(datasets) if row["differs"]]


def _spotting(params: Params) -> dict[str, str]:
    if "spotter" not in params:
        return {}
    languages = ", ".join(params.get("languages", ()))
    return {
        "Text spotter": f"{params['spotter']} {params.get('version', '')} ({languages})",
        "Detector": f"longest side {params.get('canvas_size', '?')} px, magnified "
        f"{params.get('mag_ratio', '?')} times, {params.get('detector_precision', '?')}",
    }


def _overlap(params: Params) -> dict[str, str]:
    names = {"min_confidence": "Words count from confidence", "detection_confidence": "Text from confidence"}
    return {label: f"{params[name]:g}" for name, label in names.items() if name in params}


def _model(params: Params) -> str:
    return f"{params['model']}, {params['precision']}" if "model" in params else ""


def _removal(params: Params) -> dict[str, str]:
    fill = params.get("inpaint")
    if not fill:
        return {}
    settings = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in sorted(fill.items()))
    return {"Removed text is filled in by": settings, "Text removal's models": _models(params)}


def _models(params: Params) -> str:
    return ", ".join(model["model"] for model in params.get("models", ()))


def _synthetic(params: Params, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    if "font" not in params:
        return {}
    grams = {
        row["vocabulary"]: row["grams"] for row in rows if row["grouping"] == "all" and row["style"] == "all"
    }
    return {
        "Sync scores: font": f"{_font_name(params['font'])}, {params.get('font_px', '?')} px on "
        f"{params.get('canvas_px', '?')} px",
        "Sync scores: grams": ", ".join(
            f"{name} {formatting.count(count)}" for name, count in sorted(grams.items())
        ),
        "Sync scores: models": _models(params),
    }


def _font_name(sha256: str) -> str:
    from udfs.text_rendering import default_font
    from udfs.weights import described

    is_default = described(str(default_font())).sha256 == sha256
    return "DejaVu Sans" if is_default else f"font of SHA-256 {sha256[:12]}"
