"""The section on text removal: Table 2 beside the paper, Fig. 5, and samples before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spark_jobs.report import formatting
from spark_jobs.report.content import RemovalContent, RemovalSample
from spark_jobs.report.figures.text_removal import (
    DIFFERENCE_LABELS,
    REMOVAL_TYPES,
    group_means,
    relative_histograms,
)
from spark_jobs.report.figures.thumbnails import draw_thumbnail, jpeg_data_uri
from spark_jobs.report.paper import TABLE_2
from spark_jobs.report.sections.gallery import card

Row = Mapping[str, Any]


def text_removal_view(content: RemovalContent | None, key: str) -> dict[str, Any] | None:
    """What the template shows of one dataset's text removal.

    Args:
        content: The numbers and samples; None where no text was removed.
        key: Distinguishes the figures' ids from those of the page's other drawings.

    Returns:
        Values of the template; None where there are no numbers.
    """
    if content is None or not content.image_types:
        return None
    models = sorted({str(row["model"]) for row in content.image_types})
    return {
        "models": [_model_view(content, model, f"{key}-{place}") for place, model in enumerate(models)],
        "gallery_model": content.gallery_model,
        "galleries": [
            {"label": label, "meaning": meaning, "pairs": [_pair(sample) for sample in samples]}
            for label, meaning, samples in (
                (
                    "Largest drops",
                    "The score falls most when all text is filled in: it came from the text.",
                    content.drops,
                ),
                (
                    "Largest rises",
                    "The score rises most when all text is filled in: the text distracted from the picture.",
                    content.rises,
                ),
            )
        ],
    }


def _model_view(content: RemovalContent, model: str, key: str) -> dict[str, Any]:
    by_type = {row["image_type"]: row for row in content.image_types if row["model"] == model}
    relative = [row for row in content.relative_scores if row["model"] == model]
    clusters = [row for row in content.clusters if row["model"] == model]
    return {
        "name": model,
        "rows": [
            _table_row(kind.name, kind.label, meaning=kind.meaning, by_type=by_type) for kind in REMOVAL_TYPES
        ],
        "has_groups": any(formatting.number(row, "groups") for row in by_type.values()),
        "sentences": [*_sentences(relative), *_hits(by_type)],
        "differences": [_difference_row(name, label, relative) for name, label in DIFFERENCE_LABELS.items()],
        "by_group": group_means(clusters, key),
        "relative": relative_histograms(relative, key),
    }


def _table_row(name: str, label: str, *, meaning: str, by_type: Mapping[str, Row]) -> dict[str, Any]:
    row = by_type.get(name)
    published = TABLE_2.get(name)
    return {
        "label": label,
        "meaning": meaning,
        "images": formatting.count(formatting.number(row, "images") or 0),
        "interval": formatting.score_interval(row, "mean"),
        "is_small": 0 < (formatting.number(row, "images") or 0) < formatting.FEW,
        "plain": _with_spread(formatting.number(row, "mean"), formatting.number(row, "std")),
        "over_groups": _with_spread(
            formatting.number(row, "mean_over_groups"), formatting.number(row, "spread_over_groups")
        ),
        "groups": formatting.count(formatting.number(row, "groups")),
        "paper": _with_spread(published.mean, published.spread) if published else formatting.MISSING,
    }


def _with_spread(mean: float | None, spread: float | None) -> str:
    if mean is None:
        return formatting.MISSING
    return (
        formatting.score(mean)
        if spread is None
        else f"{formatting.score(mean)} \N{PLUS-MINUS SIGN} {formatting.score(spread)}"
    )


def _sentences(relative: Sequence[Row]) -> list[str]:
    """What removal does to the scores, in words."""
    by_name = {row["relative_score"]: row for row in relative if row["images"]}
    told = []
    for name, what in (("rsa", "all text"), ("rsc", "the co-emb text")):
        row = by_name.get(name)
        if row is not None:
            told.append(
                f"Filling in {what} of {formatting.count(row['images'])} images changes the CLIP score by "
                f"{-row['mean']:+.4f} on average{_range(row)}; in {formatting.percent(row['share_below_zero'])} of "
                f"them it rises."
            )
    return told


def _hits(by_type: Mapping[str, Row]) -> list[str]:
    """How far random removals could be kept off the images' own text."""
    told = []
    for name, what in (("random_all_removed", "All-Emb."), ("random_co_removed", "Co-Emb.")):
        row = by_type.get(name)
        hit = formatting.number(row, "images_hit")
        if row is not None and hit is not None and row["images"]:
            told.append(
                f"Random {what} removals are kept off the image's own text where it leaves room: in "
                f"{formatting.count(hit)} of {formatting.count(row['images'])} images some is hit all the same, "
                f"{formatting.percent(row['mean_hit_share'])} of the text's area on average over all of them."
            )
    return told


def _difference_row(name: str, label: str, relative: Sequence[Row]) -> dict[str, str]:
    """One paired difference: its mean with its 95 % interval."""
    row = next((row for row in relative if row["relative_score"] == name), None)
    mean, found = formatting.number(row, "mean"), formatting.ends(row, "mean")
    images = formatting.number(row, "images") or 0
    interval = formatting.MISSING if found is None else f"{found[0]:+.4f} to {found[1]:+.4f}"
    return {
        "label": label,
        "images": formatting.count(images),
        "mean": formatting.MISSING if mean is None else f"{mean:+.4f}",
        "interval": interval,
    }


def _range(row: Row) -> str:
    """The interval of the change, whose sign is the other one of the relative score's."""
    found = formatting.ends(row, "mean")
    return "" if found is None else f" (95 % interval {-found[1]:+.4f} to {-found[0]:+.4f})"


def _pair(sample: RemovalSample) -> dict[str, Any]:
    """One sample before and after, as the template shows it."""
    before = card(sample.before)
    after = None
    if sample.after is not None:
        drawn = draw_thumbnail(replace(sample.before, pixels=sample.after, words=(), lines=()))
        after = {"uri": jpeg_data_uri(drawn), "width": drawn.width, "height": drawn.height}
    blurred = " (blurred)" if sample.before.unsafe else ""
    return {
        "card": before,
        "after": after,
        "after_alt": f"Image of sample {sample.before.sample_key} with its text filled in{blurred}.",
        "score_raw": formatting.score(sample.score_raw),
        "score_removed": formatting.score(sample.score_removed),
        "rsa": formatting.score(sample.rsa),
    }
