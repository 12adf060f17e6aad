"""The plot of `parrot compare-models`: mean CLIP score of the six image types, and relative scores, by model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spark_jobs.report import formatting
from spark_jobs.report.figures import svg
from spark_jobs.report.figures.text_removal import REMOVAL_TYPES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A file of its own has no page to take colours from.
_COLOURS = {
    "ink": "#1b1f24",
    "muted": "#59626d",
    "line": "#d5dae0",
    "paper": "#ffffff",
    "no-text": "#6b7480",
    "text-not-concurrent": "#2a6db0",
    "concurrent": "#bf4510",
}
_ROW_IN, _TOP_IN, _BOTTOM_IN = 1.1, 0.5, 1.25
_LEFT, _WIDTH = 0.03, 0.77
# Kinds whose means are close would hide each other on one line: one line each for raw, All-Emb., Co-Emb.
_LINE_OF_MARKER = {"o": 0.08, "D": 0.08, "^": -0.1, "s": -0.28}
_BESIDE = {"mean_rsa": "mean RSA", "mean_rsc": "mean RSC", "mean_sync": "Sync score"}


def model_plot(found: Mapping[str, Mapping[str, float | None]], dataset: str) -> str:
    """Draw the models one below the other: markers of the six image types, and the numbers beside them.

    Args:
        found: Measures by model, as `measures_by_model` gives them.
        dataset: Stands above the plot.

    Returns:
        A whole SVG file.
    """
    rows = len(found)
    height_in = _TOP_IN + _ROW_IN * rows + _BOTTOM_IN
    figure, axes = svg.canvas(height_in=height_in)
    axes.set_position((_LEFT, _BOTTOM_IN / height_in, _WIDTH, _ROW_IN * rows / height_in))
    for place, (model, measures) in enumerate(found.items()):
        _draw_model(axes, model, measures, y=-float(place))
    for kind in REMOVAL_TYPES:
        axes.plot([], [], label=kind.label, **_marker(kind.marker, kind.colour, is_filled=kind.filled))
    _finish(axes, rows, dataset)
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="lower center",
        bbox_to_anchor=(_LEFT + _WIDTH / 2, 0.1 / height_in),
        ncols=3,
        frameon=False,
        fontsize=9,
        labelcolor=svg.INK,
    )
    spoken = f"Mean CLIP score by image type of {rows} models: {', '.join(found)}."
    text = str(svg.inline_svg(figure, "models", spoken=svg.one_line(spoken)))
    coloured = re.sub(r"var\(--([\w-]+)\)", lambda match: _COLOURS[match[1]], text)
    return coloured.replace(
        "<svg ",
        '<svg xmlns="http://www.w3.org/2000/svg" style="background:#fff" font-family="sans-serif" ',
        1,
    )


def _marker(marker: str, colour: str, *, is_filled: bool) -> dict[str, Any]:
    face = colour if is_filled else svg.PAPER
    return {
        "marker": marker,
        "markersize": 8,
        "markerfacecolor": face,
        "markeredgecolor": colour,
        "markeredgewidth": 1.4,
        "linestyle": "none",
    }


def _draw_model(axes: Axes, model: str, measures: Mapping[str, float | None], *, y: float) -> None:
    # Above the markers, where a name of any length has room.
    above: dict[str, Any] = {"ha": "left", "va": "baseline", "parse_math": False}
    above |= {"transform": axes.get_yaxis_transform()}
    size = f"n = {formatting.count(measures.get('images_raw_with_text') or 0)}"
    axes.text(0, y + 0.26, svg.one_line(model), color=svg.INK, fontsize=9.5, fontweight="bold", **above)
    axes.text(1, y + 0.26, size, color=svg.MUTED, fontsize=9, **(above | {"ha": "right"}))
    for kind in REMOVAL_TYPES:
        value = formatting.finite(measures.get(f"mean_{kind.name}"))
        if value is not None:
            axes.plot(
                [value],
                [y + _LINE_OF_MARKER[kind.marker]],
                **_marker(kind.marker, kind.colour, is_filled=kind.filled),
            )
    told = [
        f"{label} {formatting.score(measures[name])}"
        for name, label in _BESIDE.items()
        if measures.get(name) is not None
    ]
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 9}
    axes.text(1.03, y - 0.1, "\n".join(told), color=svg.INK, linespacing=1.4, **beside)


def _finish(axes: Axes, rows: int, dataset: str) -> None:
    axes.set_ylim(-rows + 0.5, 0.5)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(svg.LINE)
    axes.tick_params(axis="x", color=svg.LINE, labelcolor=svg.MUTED, labelsize=9)
    axes.margins(x=0.08)
    axes.grid(visible=True, axis="x", color=svg.LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    title = f"Text removal by model, {svg.one_line(dataset)}; n: images with text"
    axes.set_title(title, color=svg.INK, fontsize=10, parse_math=False)
    axes.set_xlabel("mean CLIP score", color=svg.MUTED, fontsize=9)
