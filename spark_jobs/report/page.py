"""The page: one HTML file that opens offline, with no script and nothing to fetch."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from spark_jobs.report import formatting, paper
from spark_jobs.report.content import (
    IMAGE_TYPES,
    DatasetContent,
    GallerySample,
    ReportContent,
    StageAccount,
)
from spark_jobs.report.figures.distributions import TypeShares, image_type_bars
from spark_jobs.report.sections import summary
from spark_jobs.report.sections.chance import chance_views
from spark_jobs.report.sections.clip_scores import SCORE_COLUMNS, curation_views, score_views
from spark_jobs.report.sections.clusters import cluster_view
from spark_jobs.report.sections.gallery import Card, card
from spark_jobs.report.sections.paper_figures import figure_views
from spark_jobs.report.sections.settings import differing, settings_table
from spark_jobs.report.sections.subsets import subset_views
from spark_jobs.report.sections.synthetic_text import SYNC_COLUMNS, published_rows, synthetic_text_views
from spark_jobs.report.sections.table_1 import TABLE_1
from spark_jobs.report.sections.text_removal import text_removal_view
from spark_jobs.report.sections.trained import trained_views

_INPUT_KEY = re.compile(r'<meta name="parrot-input-key" content="([^"]*)">')
_RUN_KEY_CHARACTERS = 12
_ERRORS_SHOWN = 20
_ERROR_CHARACTERS = 300
# What HTML has no place for: C0 and C1 controls but tab, line feed and carriage return; lone surrogates,
# which UTF-8 cannot write; non-characters.
_NOT_HTML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def render(content: ReportContent) -> str:
    """Render the report.

    Args:
        content: What the report says. Any value may be missing; the page then says what is missing.

    Returns:
        The HTML file's text; encodable as UTF-8, and equal for equal content.

    Raises:
        ValueError: If a gallery sample's pixels are no RGB image.
    """
    # Autoescaping covers every string that is not Markup; StrictUndefined reports a misspelt name.
    environment = Environment(
        loader=PackageLoader("spark_jobs.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["coded"] = coded
    datasets = [
        _dataset_view(dataset, index, content.generation.warehouse)
        for index, dataset in enumerate(content.datasets)
    ]
    bars = [TypeShares.from_overall(dataset.name, dataset.overall) for dataset in content.datasets]
    paper_bar = TypeShares.from_overall("The paper's LAION-2B", paper.LAION_2B.row())
    page = environment.get_template("report.html.j2").render(
        content=content,
        datasets=datasets,
        image_types=IMAGE_TYPES,
        table_columns=[
            *(dataset.name for dataset in content.datasets),
            *(profile.name for profile in paper.PROFILES),
        ],
        own_columns=len(content.datasets),
        table_groups=_table_groups(content.datasets),
        swapped=[profile for profile in paper.PROFILES if profile.rates_swapped],
        type_bars=image_type_bars([*bars, paper_bar]),
        figures=figure_views(content.datasets),
        settings=settings_table(content.datasets),
        differing=differing(content.datasets),
        run_keys={name: key[:_RUN_KEY_CHARACTERS] for name, key in content.generation.run_keys.items()},
        score_columns=list(SCORE_COLUMNS.values()),
        missing=formatting.MISSING,
        sync_columns=SYNC_COLUMNS,
        published_sync=published_rows(),
    )
    return _NOT_HTML.sub("\N{REPLACEMENT CHARACTER}", page)


def coded(text: str) -> Markup:
    """Escape a text, and set what stands between backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner is only a character
        return escape(text)
    pieces = [
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(parts)
    ]
    return Markup("").join(pieces)


def read_input_key(text: str) -> str | None:
    """Read back the input key that `render` wrote near the top of a page.

    Args:
        text: The page, or its beginning.

    Returns:
        The key; None where the text is no such page.
    """
    found = _INPUT_KEY.search(text)
    return html.unescape(found.group(1)) if found else None


def _table_groups(datasets: Sequence[DatasetContent]) -> list[dict[str, Any]]:
    rows = [*(dataset.overall for dataset in datasets), *(profile.row() for profile in paper.PROFILES)]
    return [
        {
            "heading": heading,
            "rows": [
                {"quantity": quantity, "cells": [quantity.cell(row) for row in rows]}
                for quantity in quantities
            ],
        }
        for heading, quantities in TABLE_1
    ]


def _dataset_view(dataset: DatasetContent, index: int, warehouse: str) -> dict[str, Any]:
    return {
        "id": f"dataset-{index + 1}",
        "name": dataset.name,
        "sentence": summary.sentence(dataset.overall, dataset.figures.get("stat_chance", ())),
        "headlines": summary.headlines(dataset.overall, dataset.figures.get("stat_chance", ())),
        "chance": chance_views(dataset.figures.get("stat_chance", ())),
        "next_steps": summary.next_steps(dataset, warehouse),
        "notes": [*dataset.notes, *_gaps(dataset)],
        "scores": score_views(dataset, index),
        "curation": curation_views(dataset.figures.get("stat_curation_score", ())),
        "accounts": [_account_view(account) for account in dataset.accounts],
        "errors": [
            {"stage": error.stage, "rows": formatting.count(error.rows), "error": _cut(error.error)}
            for error in dataset.errors[:_ERRORS_SHOWN]
        ],
        "errors_left_out": max(0, len(dataset.errors) - _ERRORS_SHOWN),
        "gallery": _gallery_view(dataset.gallery),
        "clusters": cluster_view(dataset, str(index)),
        "synthetic_text": synthetic_text_views(dataset.synthetic_text, str(index)),
        "text_removal": text_removal_view(dataset.text_removal, f"{index}"),
        "subsets": subset_views(dataset.subsets),
        "trained": trained_views(dataset.trained),
    }


def _gaps(dataset: DatasetContent) -> list[str]:
    """Say what is missing, so that no reader takes a gap for a finding."""
    row = dataset.overall
    if row is None:
        return ["The overall statistics of this dataset have not been computed (no row in stat_overall)."]
    gaps = []
    samples, not_spotted = formatting.number(row, "samples"), formatting.number(row, "not_spotted")
    if not_spotted:
        share = formatting.percent(formatting.ratio(not_spotted, samples))
        gaps.append(
            f"{formatting.count(not_spotted)} of {formatting.count(samples)} samples ({share}) have no "
            "text-spotting result and are not part of the rates; the accounting below says why."
        )
    if formatting.number(row, "images") and formatting.number(row, "images_with_text") == 0:
        gaps.append("No image shows text, so means over images with text do not exist.")
    return gaps


def _account_view(account: StageAccount) -> dict[str, Any]:
    known = [rows for rows in (account.ok, account.failed, account.skipped) if rows is not None]
    return {
        "stage": account.stage,
        "counts": [formatting.count(rows) for rows in (account.ok, account.failed, account.skipped)],
        "total": formatting.count(sum(known) if known else None),
        "has_failed": bool(account.failed),
    }


def _gallery_view(samples: Sequence[GallerySample]) -> list[dict[str, Any]]:
    known = {image_type.name for image_type in IMAGE_TYPES}
    groups: list[dict[str, Any]] = [
        {
            "label": image_type.label,
            "name": image_type.name,
            "meaning": image_type.meaning,
            "cards": _cards(sample for sample in samples if sample.image_type == image_type.name),
        }
        for image_type in reversed(IMAGE_TYPES)
    ]
    unmeasured = _cards(sample for sample in samples if sample.image_type not in known)
    if unmeasured:
        meaning = "The image or its caption could not be measured; the card says why."
        groups.append({"label": "not measured", "name": None, "meaning": meaning, "cards": unmeasured})
    return groups


def _cards(samples: Iterable[GallerySample]) -> list[Card]:
    return [card(sample) for sample in samples]


def _cut(text: str) -> str:
    return text if len(text) <= _ERROR_CHARACTERS else text[:_ERROR_CHARACTERS] + " \N{HORIZONTAL ELLIPSIS}"
