"""Histograms of the co-embedded text rate and of CLIP scores: one row of plots per dataset, equal axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from spark_jobs.report import formatting
from spark_jobs.report.content import IMAGE_TYPES
from spark_jobs.report.figures.svg import (
    INK,
    MUTED,
    PAPER,
    TYPE_COLOURS,
    heading,
    inline_svg,
    one_line,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
_ROW_IN, _TOP_IN = 3.0, 0.85
_ZERO_AT = -0.06  # where the bar of "exactly 0" stands, left of the rates above 0
COTR_LABELS = {"cotr": "CoTR", "cotr_verbatim": "Verbatim CoTR", "fuzzy_cotr": "Fuzzy CoTR"}


def cotr_histograms(datasets: Sequence[tuple[str, Sequence[Row]]]) -> Markup | None:
    """Draw how the rate is distributed over images with text: a row per dataset, a plot per reading.

    Args:
        datasets: Name and rows of `stat_cotr_histogram` of each dataset; those without an image with text
            are left out.

    Returns:
        An `<svg>` element; None where no dataset has an image with text.
    """
    drawn = [(name, rows) for name, rows in datasets if _total(rows, "images_with_text")]
    if not drawn:
        return None
    figure, grid = panels(len(drawn), len(COTR_LABELS), row_in=_ROW_IN, top_in=_TOP_IN)
    most = 0.0
    spoken = []
    for line, (name, rows) in zip(grid, drawn, strict=True):
        for axes, (measure, label) in zip(line, COTR_LABELS.items(), strict=True):
            own = [row for row in rows if row["measure"] == measure]
            total = _total(own, "images_with_text")
            row = name if axes is line[0] else ""
            heading(axes, label, f"n = {formatting.count(total)} images with text", row=row)
            shares = {row["bin"]: formatting.ratio(row["images_with_text"], total) or 0.0 for row in own}
            _rate_bars(axes, own, shares)
            most = max(most, *shares.values(), 0.0)
            spoken.append(
                f"{one_line(name)}, {label}: {formatting.percent(shares.get(0, 0.0))} at 0, "
                f"{formatting.percent(shares.get(max(shares, default=0), 0.0))} in the highest bin"
            )
        line[0].set_ylabel("share of images", color=MUTED, fontsize=9)
    _share_axes(grid, most)
    return inline_svg(figure, "cotr-histogram", spoken=f"Distribution of CoTR. {'; '.join(spoken)}.")


def _rate_bars(axes: Axes, rows: Sequence[Row], shares: Mapping[int, float]) -> None:
    for row in rows:
        is_zero = row["bin"] == 0
        middle = _ZERO_AT if is_zero else (row["low"] + row["high"]) / 2
        # Hollow: no caption word in the picture. Filled: parrot captions.
        fill = "none" if is_zero else TYPE_COLOURS["concurrent"]
        edge = INK if is_zero else PAPER
        axes.bar(middle, shares[row["bin"]], width=0.048, facecolor=fill, edgecolor=edge, linewidth=1)
    zero = shares.get(0, 0.0)
    label: dict[str, Any] = {"fontsize": 8.5, "ha": "left", "va": "bottom", "color": INK}
    axes.text(_ZERO_AT - 0.025, zero, f" {formatting.percent(zero)}", **label)
    axes.set_xlim(-0.11, 1.02)
    axes.set_xticks([_ZERO_AT, 0.2, 0.4, 0.6, 0.8, 1.0], ["0", "20%", "40%", "60%", "80%", "100%"])


def score_histograms(datasets: Sequence[tuple[str, Sequence[Row]]]) -> Markup | None:
    """Draw the distribution of CLIP scores: a row per dataset and model, a plot per image type.

    Args:
        datasets: Name and rows of `stat_clip_score_histogram` of each dataset, of one model or several.

    Returns:
        An `<svg>` element; None without a score.
    """
    lines = [
        (f"{name} under {model}" if _has_models(datasets) else name, [r for r in rows if r["model"] == model])
        for name, rows in datasets
        for model in sorted({row["model"] for row in rows})
    ]
    if not lines:
        return None
    bins = [row["bin"] for _, rows in lines for row in rows]
    step = max(1, -(-(max(bins) + 1 - min(bins)) // 40))  # at most 40 bars in a plot
    figure, grid = panels(len(lines), len(IMAGE_TYPES), row_in=_ROW_IN, top_in=_TOP_IN)
    most = 0.0
    spoken = []
    for line, (name, rows) in zip(grid, lines, strict=True):
        for axes, image_type in zip(line, IMAGE_TYPES, strict=True):
            own = [row for row in rows if row["image_type"] == image_type.name]
            total = _total(own, "images")
            row = name if axes is line[0] else ""
            heading(axes, image_type.label, f"n = {formatting.count(total)}", row=row)
            shares = _merged(own, step, total)
            left = [first * step / 100 for first in shares]
            colour = TYPE_COLOURS[image_type.name]
            axes.bar(
                left, list(shares.values()), width=step / 100, align="edge", color=colour, edgecolor=PAPER
            )
            axes.set_xlim((min(bins) // step) * step / 100, (max(bins) // step + 1) * step / 100)
            most = max(most, *shares.values(), 0.0)
            spoken.append(f"{one_line(name)}, {image_type.label}: n = {formatting.count(total)}")
        line[0].set_ylabel("share of the type's images", color=MUTED, fontsize=9)
        line[1].set_xlabel("CLIP score (cosine of image and caption)", color=MUTED, fontsize=9)
    _share_axes(grid, most)
    return inline_svg(figure, "score-histogram", spoken=f"CLIP scores by image type. {'; '.join(spoken)}.")


def _has_models(datasets: Sequence[tuple[str, Sequence[Row]]]) -> bool:
    return any(len({row["model"] for row in rows}) > 1 for _, rows in datasets)


def _merged(rows: Sequence[Row], step: int, total: int) -> dict[int, float]:
    merged: dict[int, float] = {}
    for row in sorted(rows, key=lambda row: int(row["bin"])):
        place = row["bin"] // step
        merged[place] = merged.get(place, 0.0) + row["images"] / total
    return merged


def _share_axes(grid: Sequence[Sequence[Axes]], most: float) -> None:
    """One scale for all plots; only the left ones are labelled."""
    for line in grid:
        for place, axes in enumerate(line):
            axes.set_ylim(0, max(most, 0.01) * 1.15)
            axes.yaxis.set_major_formatter(lambda share, _: f"{share * 100:g}%")
            if place:
                axes.tick_params(axis="y", labelleft=False)


def _total(rows: Sequence[Row], column: str) -> int:
    by_measure: dict[Any, int] = {}
    for row in rows:
        measure = row.get("measure")
        by_measure[measure] = by_measure.get(measure, 0) + int(row[column])
    return max(by_measure.values(), default=0)
