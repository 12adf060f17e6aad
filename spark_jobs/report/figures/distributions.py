"""Figures of image types and CLIP scores: stacked bars of shares, boxes of quantiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from spark_jobs.report import formatting
from spark_jobs.report.content import IMAGE_TYPES
from spark_jobs.report.figures.svg import (
    DARK,
    INK,
    LINE,
    MUTED,
    PAPER,
    TYPE_COLOURS,
    WHITE,
    canvas,
    inline_svg,
    one_line,
    row_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROOM_FOR_NAME, _ROOM_FOR_PERCENT = 0.17, 0.07  # shares of the bar's width that a label needs
_QUANTILES = ("p05", "p25", "p50", "p75", "p95")


@dataclass(frozen=True)
class TypeShares:
    """How one dataset's images divide into the three image types.

    Attributes:
        name: Dataset.
        images: Images profiled; None where unknown.
        shares: Share of each image type, 0 to 1, by name; None where there are no images.
    """

    name: str
    images: float | None
    shares: Mapping[str, float] | None

    @classmethod
    def from_overall(cls, name: str, row: Mapping[str, Any] | None) -> TypeShares:
        """Derive the shares from the counts of a `stat_overall` row."""
        images = formatting.number(row, "images")
        with_text = formatting.number(row, "images_with_text")
        concurrent = formatting.number(row, "images_with_co_emb_text")
        if not images or with_text is None or concurrent is None:
            return cls(name, images, None)
        counts = (images - with_text, with_text - concurrent, concurrent)
        names = (image_type.name for image_type in IMAGE_TYPES)
        return cls(name, images, {kind: value / images for kind, value in zip(names, counts, strict=True)})


def image_type_bars(rows: Sequence[TypeShares]) -> Markup:
    """Draw one stacked horizontal bar per dataset: no text, text not concurrent, concurrent.

    Returns:
        An `<svg>` element.
    """
    figure, axes = canvas(height_in=0.25 + 0.8 * len(rows))
    for index, row in enumerate(rows):
        _draw_bar(axes, row, y=-float(index))
    axes.set_xlim(0, 1)
    axes.set_ylim(-len(rows) + 0.45, 0.75)
    axes.set_axis_off()
    spoken = "; ".join(f"{one_line(row.name)}: {_spoken_shares(row)}" for row in rows)
    return inline_svg(figure, "types", spoken=f"Share of images by image type. {spoken}.")


def _draw_bar(axes: Axes, row: TypeShares, *, y: float) -> None:
    images = "" if row.images is None else f" ({formatting.count(row.images)} images)"
    heading = one_line(row.name) + images
    bold: dict[str, Any] = {"fontsize": 9.5, "fontweight": "bold", "va": "bottom"}
    axes.text(0, y + 0.36, heading, color=INK, parse_math=False, **bold)
    if row.shares is None:
        axes.barh(y, 1, height=0.52, facecolor="none", edgecolor=LINE, linestyle="dashed")
        axes.text(0.5, y, "no image profiled", color=MUTED, fontsize=9, ha="center", va="center")
        return
    left = 0.0
    too_thin = []
    for image_type in IMAGE_TYPES:
        share = row.shares[image_type.name]
        axes.barh(y, share, left=left, height=0.52, color=TYPE_COLOURS[image_type.name], edgecolor=PAPER)
        label = f"{image_type.label} {formatting.percent(share)}"
        if share >= _ROOM_FOR_PERCENT:
            inside = label.replace(f"{image_type.label} ", f"{image_type.label}\n")
            text = inside if share >= _ROOM_FOR_NAME else formatting.percent(share)
            centred: dict[str, Any] = {"ha": "center", "va": "center", "linespacing": 1.25}
            axes.text(left + share / 2, y, text, color=WHITE, fontsize=9, **centred)
        else:
            too_thin.append(label)
        left += share
    axes.text(1, y + 0.36, " · ".join(too_thin), color=MUTED, fontsize=9, ha="right", va="bottom")


def _spoken_shares(row: TypeShares) -> str:
    if row.shares is None:
        return "no image profiled"
    return ", ".join(f"{kind.label} {formatting.percent(row.shares[kind.name])}" for kind in IMAGE_TYPES)


def clip_score_boxes(rows: Sequence[Mapping[str, Any]], key: str) -> Markup | None:
    """Draw the distribution of CLIP scores of each image type as a box.

    Box: 25th to 75th percentile; whiskers: 5th and 95th; bar: median; diamond: mean.

    Args:
        rows: Rows of `stat_clip_score` of one dataset and model, at most one per image type.
        key: Distinguishes the drawing's ids from those of the page's other drawings.

    Returns:
        An `<svg>` element; None where no row has a score.
    """
    by_type = {row["image_type"]: row for row in rows}
    drawn = [_quantiles(by_type.get(image_type.name)) for image_type in IMAGE_TYPES]
    if not any(drawn):
        return None
    figure, axes = canvas(height_in=2.75, left=0.2, bottom=0.21)
    for index, (image_type, values) in enumerate(zip(IMAGE_TYPES, drawn, strict=True)):
        row = by_type.get(image_type.name)
        row_label(axes, image_type.label, y=-index, images=formatting.number(row, "images"))
        if values is None:
            middle: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "center", "va": "center"}
            axes.text(0.51, -index, "no score", color=MUTED, fontsize=9, **middle)
        else:
            _draw_box(axes, values, y=-index, colour=TYPE_COLOURS[image_type.name])
            _draw_mean(axes, formatting.number(row, "mean"), y=-index)
    _finish_score_axis(axes, [value for values in drawn if values for value in values.values()])
    return inline_svg(figure, f"scores-{key}", spoken=f"CLIP score by image type. {_spoken_scores(by_type)}")


def _quantiles(row: Mapping[str, Any] | None) -> dict[str, float] | None:
    values = {name: formatting.number(row, name) for name in _QUANTILES}
    known = {name: value for name, value in values.items() if value is not None}
    return known if len(known) == len(_QUANTILES) else None


def _draw_box(axes: Axes, values: Mapping[str, float], *, y: float, colour: str) -> None:
    low, left, middle, right, high = (values[name] for name in _QUANTILES)
    for begin, end in ((low, left), (right, high)):
        axes.plot([begin, end], [y, y], color=INK, linewidth=1.1, solid_capstyle="butt")
    for end in (low, high):
        axes.plot([end, end], [y - 0.11, y + 0.11], color=INK, linewidth=1.1)
    axes.barh(y, right - left, left=left, height=0.46, color=colour, edgecolor=INK, linewidth=1)
    # White on dark is seen on the box, and on the page where the box has no width.
    for colour, width in ((DARK, 4.0), (WHITE, 2.2)):
        axes.plot(
            [middle, middle], [y - 0.23, y + 0.23], color=colour, linewidth=width, solid_capstyle="butt"
        )
    axes.text(middle, y + 0.29, formatting.score(middle), color=INK, fontsize=8.5, ha="center", va="bottom")


def _draw_mean(axes: Axes, mean: float | None, *, y: float) -> None:
    if mean is not None:
        edge: dict[str, Any] = {"markeredgecolor": DARK, "markeredgewidth": 1.2}
        axes.plot([mean], [y], marker="D", markersize=5, markerfacecolor=WHITE, **edge)


def _finish_score_axis(axes: Axes, values: Sequence[float]) -> None:
    margin = max((max(values) - min(values)) * 0.06, 0.005)
    axes.set_xlim(min(values) - margin, max(values) + margin)
    axes.set_ylim(-len(IMAGE_TYPES) + 0.5, 0.62)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(axis="x", color=LINE, labelcolor=MUTED, labelsize=9)
    axes.grid(visible=True, axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("CLIP score (cosine of image and caption)", color=MUTED, fontsize=9)


def _spoken_scores(by_type: Mapping[str, Mapping[str, Any]]) -> str:
    spoken = []
    for image_type in IMAGE_TYPES:
        row = by_type.get(image_type.name)
        median = formatting.score(formatting.number(row, "p50"))
        images = formatting.count(formatting.number(row, "images") or 0)
        spoken.append(f"{image_type.label}: median {median}, n = {images}")
    return "; ".join(spoken) + "."
