"""The figure of clusters: image types by group of clusters, as the paper's Fig. 3a."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_jobs.report import formatting
from spark_jobs.report.content import IMAGE_TYPES
from spark_jobs.report.figures import svg

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

_LEFT, _RIGHT = 0.15, 0.17  # of the figure's width: names of groups, and labels of thin segments
_ROOM_FOR_NAME, _ROOM_FOR_PERCENT = 0.21, 0.09  # shares of the bar's width that a label needs
_ROW_IN = 0.5


@dataclass(frozen=True)
class GroupBar:
    """How the images of one group divide into the three image types.

    Attributes:
        label: What the bar stands for.
        images: Images profiled in it.
        shares: Share of each image type, 0 to 1, by name; None where there are no images.
    """

    label: str
    images: int
    shares: Mapping[str, float] | None


def cluster_bars(bars: Sequence[GroupBar], key: str) -> Markup | None:
    """Draw one stacked horizontal bar per group, each segment with its percentage.

    Args:
        bars: The groups in the order of the drawing.
        key: Distinguishes the drawing's ids from those of the page's other drawings.

    Returns:
        An `<svg>` element; None where there is no group.
    """
    if not bars:
        return None
    figure, axes = svg.canvas(height_in=0.1 + _ROW_IN * len(bars))
    axes.set_position((_LEFT, 0.0, 1 - _LEFT - _RIGHT, 1.0))
    for index, bar in enumerate(bars):
        svg.row_label(axes, bar.label, y=-float(index), images=bar.images)
        _draw_segments(axes, bar, y=-float(index))
    axes.set_xlim(0, 1)
    axes.set_ylim(-len(bars) + 0.45, 0.55)
    axes.set_axis_off()
    spoken = "; ".join(_spoken(bar) for bar in bars)
    return svg.inline_svg(figure, f"clusters-{key}", spoken=f"Image types by group of clusters. {spoken}.")


def _draw_segments(axes: Axes, bar: GroupBar, *, y: float) -> None:
    if bar.shares is None:
        axes.barh(y, 1, height=0.7, facecolor="none", edgecolor=svg.LINE, linestyle="dashed")
        middle: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9}
        axes.text(0.5, y, "no image profiled", color=svg.MUTED, **middle)
        return
    left = 0.0
    too_thin = []
    for image_type in IMAGE_TYPES:
        share = bar.shares[image_type.name]
        colour = svg.TYPE_COLOURS[image_type.name]
        axes.barh(y, share, left=left, height=0.7, color=colour, edgecolor=svg.PAPER)
        percent = formatting.percent(share)
        if share >= _ROOM_FOR_PERCENT:
            text = f"{image_type.label}\n{percent}" if share >= _ROOM_FOR_NAME else percent
            centred: dict[str, Any] = {"ha": "center", "va": "center", "linespacing": 1.2}
            axes.text(left + share / 2, y, text, color=svg.WHITE, fontsize=8.5, **centred)
        else:
            too_thin.append(f"{image_type.label} {percent}")
        left += share
    axes.text(1.012, y, "\n".join(too_thin), color=svg.MUTED, fontsize=8, va="center", linespacing=1.2)


def _spoken(bar: GroupBar) -> str:
    if bar.shares is None:
        return f"{bar.label}: no image profiled"
    shares = ", ".join(f"{kind.label} {formatting.percent(bar.shares[kind.name])}" for kind in IMAGE_TYPES)
    return f"{bar.label}, n = {formatting.count(bar.images)}: {shares}"
