"""The figures of the text removal: the paper's Fig. 5, left and right. They read without colour too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.stat_relative_score import BIN_WIDTH
from spark_jobs.report import formatting
from spark_jobs.report.figures import svg

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
_ORANGE = svg.TYPE_COLOURS["concurrent"]
_BLUE = svg.TYPE_COLOURS["text_not_concurrent"]
_GROUPS_NAMED = 30  # more groups than this have no room for their numbers below the axis


@dataclass(frozen=True)
class RemovalType:
    """One image type of the text removal: what a reader sees.

    Attributes:
        name: Value of `stat_text_removal.image_type`.
        label: What it is called.
        meaning: One sentence for the reader.
        marker: Matplotlib's marker; with `filled` it tells the type without colour.
        colour: Stand-in of a colour of the page.
        filled: Hollow markers are the controls: what is scored beside the images whose text was removed.
    """

    name: str
    label: str
    meaning: str
    marker: str
    colour: str
    filled: bool


REMOVAL_TYPES = (
    RemovalType(
        "raw_without_text",
        "raw, without text",
        "Images in which the spotter read nothing.",
        "o",
        svg.MUTED,
        False,
    ),
    RemovalType("raw_with_text", "raw, with text", "Images with text, unchanged.", "o", svg.INK, True),
    RemovalType(
        "random_all_removed",
        "random All-Emb. removal",
        "Images with text, filled in as another image has its text, off their own: what filling in alone costs.",
        "^",
        _ORANGE,
        False,
    ),
    RemovalType(
        "all_removed", "All-Emb. removal", "Images with text, all of it filled in.", "^", _ORANGE, True
    ),
    RemovalType("raw_concurrent", "raw, concurrent", "Images with co-emb text, unchanged.", "D", _BLUE, True),
    RemovalType(
        "random_co_removed",
        "random Co-Emb. removal",
        "Images with co-emb text, filled in as another such image has its co-emb text, off their own text.",
        "s",
        _BLUE,
        False,
    ),
    RemovalType(
        "co_removed",
        "Co-Emb. removal",
        "Images with co-emb text, only the words filled in that the caption holds too.",
        "s",
        _BLUE,
        True,
    ),
)
RELATIVE_LABELS = {
    "rsa": "RSA = S(raw) - S(All-Emb. removed)",
    "rsc": "RSC = S(raw) - S(Co-Emb. removed)",
    "co_minus_all": "S(Co-Emb. removed) - S(All-Emb. removed)",
}


DIFFERENCE_LABELS = {
    **RELATIVE_LABELS,
    "raw_minus_random_all": "S(raw) - S(random All-Emb. removal)",
    "raw_minus_random_co": "S(raw) - S(random Co-Emb. removal)",
    "random_minus_all": "S(random All-Emb. removal) - S(All-Emb. removed)",
    "random_minus_co": "S(random Co-Emb. removal) - S(Co-Emb. removed)",
}


def group_means(rows: Sequence[Row], key: str) -> Markup | None:
    """Draw the mean CLIP score of each image type by group of clusters (the paper's Fig. 5, left).

    Groups stand side by side, ordered by the mean of the raw images with text.

    Args:
        rows: Rows of `stat_text_removal_cluster` of one model; only the level `group` is drawn, without -1.
        key: Distinguishes the drawing's ids from those of the page's other drawings.

    Returns:
        An `<svg>` element; None where no group has a score.
    """
    means: dict[int, dict[str, float]] = {}
    images = dict.fromkeys((kind.name for kind in REMOVAL_TYPES), 0)
    for row in rows:
        value = formatting.number(row, "mean")
        if row["level"] == "group" and row["cluster_id"] >= 0 and value is not None:
            means.setdefault(row["cluster_id"], {})[row["image_type"]] = value
            images[row["image_type"]] += row["images"]
    if not means:
        return None
    order = sorted(means, key=lambda group: (means[group].get("raw_with_text", -2.0), group))
    figure, axes = svg.canvas(height_in=4.6)
    axes.set_position((0.07, 0.26, 0.93, 0.7))  # a tick's label at the upper end needs room too
    for kind in REMOVAL_TYPES:
        known = [
            (place, means[group][kind.name]) for place, group in enumerate(order) if kind.name in means[group]
        ]
        _draw_series(axes, known, kind, label=f"{kind.label} (n = {formatting.count(images[kind.name])})")
    _finish_groups(axes, order)
    spoken = "; ".join(_spoken_type(kind, means, images[kind.name]) for kind in REMOVAL_TYPES)
    return svg.inline_svg(
        figure,
        f"removal-{key}",
        spoken=f"Mean CLIP score by group of clusters, {len(order)} groups. {spoken}.",
    )


def _draw_series(axes: Axes, points: Sequence[tuple[float, float]], kind: RemovalType, *, label: str) -> None:
    axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        label=label,
        color=kind.colour,
        linewidth=1.0,
        linestyle="solid" if kind.filled else "dotted",
        marker=kind.marker,
        markersize=6,
        markerfacecolor=kind.colour if kind.filled else svg.PAPER,
        markeredgecolor=kind.colour,
        markeredgewidth=1.3,
    )


def _finish_groups(axes: Axes, order: Sequence[int]) -> None:
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(svg.LINE)
    axes.tick_params(color=svg.LINE, labelcolor=svg.MUTED, labelsize=9)
    axes.grid(visible=True, axis="y", color=svg.LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlim(-0.6, len(order) - 0.4)
    axes.set_xticks(range(len(order)) if len(order) <= _GROUPS_NAMED else [])
    if len(order) <= _GROUPS_NAMED:
        axes.set_xticklabels([str(group) for group in order])
    small: dict[str, Any] = {"color": svg.MUTED, "fontsize": 9}
    axes.set_xlabel(f"{len(order):,} groups of clusters, by the mean of raw images with text", **small)
    axes.set_ylabel("mean CLIP score", **small)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.48, -0.15),
        ncols=3,
        frameon=False,
        fontsize=9,
        labelcolor=svg.INK,
        handlelength=3.0,
    )


def _spoken_type(kind: RemovalType, means: Mapping[int, Mapping[str, float]], images: int) -> str:
    values = [group[kind.name] for group in means.values() if kind.name in group]
    extent = f"{formatting.score(min(values))} to {formatting.score(max(values))}" if values else "no score"
    return f"{kind.label}: {extent}, n = {formatting.count(images)}"


def relative_histograms(rows: Sequence[Row], key: str) -> Markup | None:
    """Draw the distributions of RSA, RSC and S(Co) - S(All) (the paper's Fig. 5, right).

    One panel each over a common axis; a bar's height is the share of the panel's images. Bars below 0 are
    hollow: the score rises when the text is removed.

    Args:
        rows: Rows of `stat_relative_score` of one model.
        key: Distinguishes the drawing's ids from those of the page's other drawings.

    Returns:
        An `<svg>` element; None where no image has a relative score.
    """
    by_name = {row["relative_score"]: row for row in rows}
    drawn = [by_name.get(name) for name in RELATIVE_LABELS]
    lows = [bin_["low"] for row in drawn if row for bin_ in row["histogram"]]
    if not lows:
        return None
    figure, axes = svg.canvas(height_in=5.8)
    axes.remove()
    extent = (min(*lows, 0.0) - BIN_WIDTH, max(*lows, 0.0) + 2 * BIN_WIDTH)
    for place, (name, row) in enumerate(zip(RELATIVE_LABELS, drawn, strict=True)):
        panel = figure.add_axes((0.07, 0.75 - 0.325 * place, 0.9, 0.185))
        panel.patch.set_alpha(0)
        _draw_histogram(panel, row)
        _finish_panel(panel, RELATIVE_LABELS[name], row, extent=extent)
    panel.set_xlabel("difference of CLIP scores", color=svg.MUTED, fontsize=9)
    spoken = "; ".join(_spoken_relative(name, by_name.get(name)) for name in RELATIVE_LABELS)
    return svg.inline_svg(figure, f"relative-{key}", spoken=f"Distributions of relative scores. {spoken}.")


def _draw_histogram(panel: Axes, row: Row | None) -> None:
    if row is None or not row["images"]:
        middle: dict[str, Any] = {"transform": panel.transAxes, "ha": "center", "va": "center"}
        panel.text(0.5, 0.5, "no image has this score", color=svg.MUTED, fontsize=9, **middle)
        return
    for bin_ in row["histogram"]:
        colour = "none" if bin_["low"] < 0 else svg.TYPE_COLOURS["concurrent"]
        share = bin_["images"] / row["images"]
        edge: dict[str, Any] = {"edgecolor": svg.INK, "linewidth": 0.8, "align": "edge"}
        panel.bar(bin_["low"], share, width=BIN_WIDTH, facecolor=colour, **edge)


def _finish_panel(panel: Axes, label: str, row: Row | None, *, extent: tuple[float, float]) -> None:
    panel.set_xlim(*extent)
    panel.axvline(0, color=svg.INK, linewidth=1.2)
    for side in ("right", "top", "left"):
        panel.spines[side].set_visible(False)
    panel.spines["bottom"].set_color(svg.LINE)
    panel.tick_params(color=svg.LINE, labelcolor=svg.MUTED, labelsize=9)
    if row is None or not row["images"]:
        panel.set_yticks([])
    panel.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    beside: dict[str, Any] = {"transform": panel.transAxes, "va": "bottom", "fontsize": 9}
    panel.text(0, 1.06, label, color=svg.INK, fontweight="bold", **beside)
    panel.text(1, 1.06, _caption(row), color=svg.MUTED, ha="right", **beside)


def _caption(row: Row | None) -> str:
    images = formatting.count(formatting.number(row, "images") or 0)
    mean, below = formatting.number(row, "mean"), formatting.number(row, "share_below_zero")
    return f"n = {images}, mean {formatting.score(mean)}, below 0: {formatting.percent(below)}"


def _spoken_relative(name: str, row: Row | None) -> str:
    return f"{RELATIVE_LABELS[name]}: {_caption(row)}"
