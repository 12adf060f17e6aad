"""The section of the paper's figures as the page's template reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_jobs.report import formatting
from spark_jobs.report.content import DatasetContent
from spark_jobs.report.figures.curves import caption_lengths
from spark_jobs.report.figures.histograms import cotr_histograms, score_histograms
from spark_jobs.report.figures.words_and_areas import AreaScores, area_density, word_areas, word_counts


def figure_views(datasets: Sequence[DatasetContent]) -> dict[str, Any]:
    """Draw the figures of all datasets, side by side where they share axes.

    Returns:
        Drawings by figure; None (or an empty list) where there is nothing to draw.
    """
    heat_maps = [
        word_counts(dataset.name, rows, str(index))
        for index, (dataset, rows) in enumerate(_with_rows(datasets, "stat_caption_words"))
    ]
    return {
        "cotr": cotr_histograms(_named(datasets, "stat_cotr_histogram")),
        "scores": score_histograms(_named(datasets, "stat_clip_score_histogram")),
        "word_counts": [drawing for drawing in heat_maps if drawing is not None],
        "text_areas": area_density([line for dataset in datasets for line in _area_lines(dataset)]),
        "word_areas": word_areas(_named(datasets, "stat_word_area")),
        "caption_lengths": caption_lengths(_named(datasets, "stat_cotr_histogram")),
    }


def _with_rows(
    datasets: Sequence[DatasetContent], table: str
) -> list[tuple[DatasetContent, tuple[Mapping[str, Any], ...]]]:
    pairs = [(dataset, dataset.figures.get(table, ())) for dataset in datasets]
    return [(dataset, rows) for dataset, rows in pairs if rows]


def _named(datasets: Sequence[DatasetContent], table: str) -> list[tuple[str, Sequence[Mapping[str, Any]]]]:
    return [(dataset.name, rows) for dataset, rows in _with_rows(datasets, table)]


def _area_lines(dataset: DatasetContent) -> list[AreaScores]:
    bins, cells = (dataset.figures.get(table, ()) for table in ("stat_text_area", "stat_text_area_score"))
    medians = {
        row["model"]: formatting.number(row, "p50")
        for row in dataset.clip_scores
        if row["image_type"] == "no_text"
    }
    return [
        AreaScores(
            dataset=dataset.name,
            model=model,
            cells=[row for row in cells if row["model"] == model],
            bins=[row for row in bins if row["model"] == model],
            reference=medians.get(model),
        )
        for model in sorted({row["model"] for row in bins} & {row["model"] for row in cells})
    ]
