"""Curves over thresholds and rates: what a filter on CLIP score keeps, how long captions are by CoTR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spark_jobs.report import formatting
from spark_jobs.report.figures.svg import (
    INK,
    MUTED,
    TYPE_COLOURS,
    heading,
    inline_svg,
    one_line,
    panels,
)

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
LAION_THRESHOLD = 0.28
"""The CLIP score from which on LAION-2B kept English pairs."""
_FEWEST = 10  # images below which a point of the curve says nothing


def score_filter(rows: Sequence[Row], key: str) -> Markup | None:
    """Draw the share of parrot captions among what each threshold keeps, with its interval, and what is kept.

    Args:
        rows: Rows of `stat_score_filter` of one dataset and model.
        key: Distinguishes the drawing's ids from those of the page's other drawings.

    Returns:
        An `<svg>` element; None where too few images are left to draw.
    """
    ordered = sorted((row for row in rows if row["threshold"] >= 0), key=lambda row: float(row["threshold"]))
    drawn = [row for row in ordered if row["images"] >= _FEWEST]
    if len(drawn) < 2:
        return None
    figure, ((axes,),) = panels(1, 1, row_in=3.4, bottom_in=0.75)
    heading(axes, "What a filter on CLIP score keeps", f"points of fewer than {_FEWEST} images are not drawn")
    places = [row["threshold"] for row in drawn]
    _band(axes, drawn, at=places, name="share_concurrent")
    axes.plot(
        places,
        [row["share_concurrent"] for row in drawn],
        color=TYPE_COLOURS["concurrent"],
        linewidth=2,
        label="parrot captions among the images kept",
    )
    axes.plot(
        places,
        [row["share_kept"] for row in drawn],
        color=MUTED,
        linewidth=1.4,
        linestyle="dashed",
        label="images kept",
    )
    axes.axvline(LAION_THRESHOLD, color=INK, linewidth=0.9, linestyle="dotted")
    # Towards the middle: where scores are low the line stands at the drawing's right edge.
    is_right = sum(axes.get_xlim()) / 2 < LAION_THRESHOLD
    side, shift = ("right", -0.003) if is_right else ("left", 0.003)
    # Above all shares, since nearly all images are kept where the line stands far left.
    axes.text(LAION_THRESHOLD + shift, 1.13, "LAION-2B: 0.28", color=MUTED, fontsize=9, va="top", ha=side)
    axes.set_ylim(0, 1.15)
    _finish(axes, "CLIP score from which on images are kept")
    axes.yaxis.set_major_formatter(lambda share, _: f"{share * 100:g}%")
    spoken = "; ".join(
        f"from {row['threshold']:.2f} on {formatting.percent(row['share_kept'])} kept, "
        f"{formatting.percent(row['share_concurrent'])} of them parrot captions"
        for row in drawn[::5]
    )
    return inline_svg(figure, key, spoken=f"What a filter on CLIP score keeps: {spoken}.")


def caption_lengths(datasets: Sequence[tuple[str, Sequence[Row]]]) -> Markup | None:
    """Draw how many words captions have by their CoTR, one plot per dataset.

    Args:
        datasets: Name and rows of `stat_cotr_histogram` of each dataset; those without an image with text, or
            of an older version without lengths, are left out.

    Returns:
        An `<svg>` element; None where there is nothing to draw.
    """
    known = [
        (
            name,
            [
                row
                for row in rows
                if row["measure"] == "cotr" and formatting.number(row, "mean_caption_words")
            ],
        )
        for name, rows in datasets
    ]
    drawn = [(name, sorted(rows, key=lambda row: int(row["bin"]))) for name, rows in known if rows]
    if not drawn:
        return None
    figure, grid = panels(len(drawn), 1, row_in=3.0, bottom_in=0.75)
    spoken = []
    for (axes,), (name, rows) in zip(grid, drawn, strict=True):
        images = sum(row["images_with_text"] for row in rows)
        heading(axes, name, f"n = {formatting.count(images)} images with text")
        for row in rows:
            middle = (row["low"] + row["high"]) / 2 if row["bin"] else 0.0
            found = formatting.ends(row, "mean_caption_words")
            if found is not None:
                axes.plot([middle, middle], [max(0.0, found[0]), found[1]], color=MUTED, linewidth=1.4)
            is_small = row["images_with_text"] < formatting.FEW
            axes.plot(
                [middle],
                [row["mean_caption_words"]],
                marker="o",
                markersize=6,
                markerfacecolor="none" if is_small else TYPE_COLOURS["concurrent"],
                markeredgecolor=TYPE_COLOURS["concurrent"],
            )
            spoken.append(
                f"{one_line(name)}, CoTR to {row['high']:.2f}: {row['mean_caption_words']:.1f} words, "
                f"n = {row['images_with_text']}"
            )
        most = max(row["mean_caption_words"] for row in rows)
        axes.set_ylim(0, most * 1.25)
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylabel("mean distinct words", color=MUTED, fontsize=9)
        axes.set_xlabel("CoTR of the caption", color=MUTED, fontsize=9)
    return inline_svg(figure, "caption-lengths", spoken=f"Words of captions by CoTR. {'; '.join(spoken)}.")


def _band(axes: Axes, rows: Sequence[Row], *, at: Sequence[float], name: str) -> None:
    found = [formatting.ends(row, name) for row in rows]
    known = [(place, *ends) for place, ends in zip(at, found, strict=True) if ends is not None]
    if known:
        places, low, high = zip(*known, strict=True)
        axes.fill_between(places, low, high, color=TYPE_COLOURS["concurrent"], alpha=0.2, linewidth=0)


def _finish(axes: Axes, label: str) -> None:
    axes.set_xlabel(label, color=MUTED, fontsize=9)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.42, 1.0), ncols=2, frameon=False, fontsize=9, labelcolor=INK
    )
