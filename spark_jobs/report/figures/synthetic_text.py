"""Mean Sync scores by how often a gram occurs and by its length: a line per vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from spark_jobs.report import formatting
from spark_jobs.report.figures.svg import INK, LINE, MUTED, canvas, inline_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary as the report shows it.

    Attributes:
        name: Value of `stat_synthetic_text.vocabulary`.
        label: What a reader sees.
        line: How its line is drawn, told apart without colour: matplotlib's style and marker.
        is_filled: Whether its marker is.
    """

    name: str
    label: str
    line: tuple[str, str]
    is_filled: bool


VOCABULARIES = (
    Vocabulary("caption_1gram", "caption words", ("solid", "o"), True),
    Vocabulary("caption_2gram", "caption word pairs", ("dashed", "s"), False),
    Vocabulary("co_emb_1gram", "co-emb words", ("dotted", "D"), True),
)
GROUPINGS = {
    "frequency": "How often the gram occurs in the dataset",
    "length": "Characters of the text",
    "tokens": "Tokens that CLIP's byte-pair encoding makes of the text",
}


def band_lines(rows: Sequence[Row], grouping: str, key: str) -> Markup | None:
    """Draw the mean Sync score by band, a line per vocabulary, with the number of grams under each band.

    Args:
        rows: Rows of `stat_synthetic_text` of one dataset and model.
        grouping: `frequency` or `length`.
        key: Distinguishes the drawing's ids from those of the page's other drawings.

    Returns:
        An `<svg>` element; None where there is nothing to draw.
    """
    chosen = [row for row in rows if row["grouping"] == grouping and row["style"] == "all"]
    bands = sorted({(row["band_from"], row["band_to"]) for row in chosen}, key=lambda band: band[0])
    present = [entry for entry in VOCABULARIES if any(row["vocabulary"] == entry.name for row in chosen)]
    if not present or not bands:
        return None
    figure, axes = canvas(height_in=3.5)
    axes.set_position((0.17, 0.31, 0.83, 0.58))  # sizes stand below, the legend above
    spoken = []
    for line, vocabulary in enumerate(present):
        of_band = {row["band_from"]: row for row in chosen if row["vocabulary"] == vocabulary.name}
        points = [
            (place, row)
            for place, band in enumerate(bands)
            if (row := of_band.get(band[0])) is not None and formatting.number(row, "mean") is not None
        ]
        _draw_line(axes, vocabulary, [(place, row["mean"]) for place, row in points])
        _write_sizes(axes, vocabulary, [(place, row["grams"]) for place, row in points], line=line)
        spoken += [
            f"{vocabulary.label}, {_band(bands[place])}: {row['mean']:.3f}, n = {row['grams']}"
            for place, row in points
        ]
    _finish(axes, [_band(band) for band in bands], GROUPINGS[grouping])
    heading = f"Mean Sync score by {grouping}. "
    return inline_svg(figure, f"{key}-{grouping}", spoken=heading + "; ".join(spoken) + ".")


def _draw_line(axes: Axes, vocabulary: Vocabulary, points: Sequence[tuple[int, float]]) -> None:
    style, marker = vocabulary.line
    axes.plot(
        [place for place, _ in points],
        [mean for _, mean in points],
        color=INK,
        linestyle=style,
        linewidth=1.4,
        marker=marker,
        markersize=6,
        markerfacecolor=INK if vocabulary.is_filled else "none",
        markeredgecolor=INK,
        label=vocabulary.label,
    )


def _write_sizes(axes: Axes, vocabulary: Vocabulary, sizes: Sequence[tuple[int, int]], *, line: int) -> None:
    height = -0.25 - 0.09 * line
    small: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "color": MUTED, "va": "center"}
    axes.text(-0.75, height, f"n, {vocabulary.label}", fontsize=8.5, ha="right", **small)
    for place, grams in sizes:
        axes.text(place, height, _size(grams), fontsize=8, ha="center", **small)


def _finish(axes: Axes, labels: Sequence[str], heading: str) -> None:
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.margins(y=0.15)
    axes.set_xticks(range(len(labels)), labels)
    for side in ("right", "top", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(color=LINE, labelcolor=MUTED, labelsize=8.5)
    axes.grid(visible=True, axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel("mean Sync score", color=MUTED, fontsize=9)
    axes.set_xlabel(heading, color=MUTED, fontsize=9, labelpad=3)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 0.99),
        ncols=len(VOCABULARIES),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=3.2,
    )


def _band(band: tuple[int, int | None]) -> str:
    low, high = band
    return (
        f"{_rounded_down(low)}+" if high is None else f"{_rounded_down(low)}\N{EN DASH}{_rounded_down(high)}"
    )


def _rounded_down(value: int) -> str:
    """A band's end that fits under a tick: 999, 1k, 9.9k, 99k, 1M."""
    for unit, name in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if value >= unit:
            tenths = value * 10 // unit
            return (
                f"{tenths // 10}{name}" if tenths >= 100 or tenths % 10 == 0 else f"{tenths / 10:.1f}{name}"
            )
    return str(value)


def _size(grams: int) -> str:
    """A number of grams that fits under a tick; exact below 10,000."""
    return str(grams) if grams < 10_000 else f"{grams / 1000:.0f}k"
