"""The paper's Fig. 4: numbers of words, area of text against score, area of single words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from spark_jobs.report import formatting
from spark_jobs.report.figures.svg import (
    DARK,
    INK,
    MUTED,
    PAPER,
    TYPE_COLOURS,
    WHITE,
    heading,
    inline_svg,
    one_line,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
# What the page has room for; the table holds more. The last row and column stand for "and more".
_CAPTION_WORDS, _CO_EMB_WORDS = 20, 10
# Ink can be read on the colour up to this opacity, in light and in dark.
_FAINTEST, _DENSEST = 0.06, 0.65
_LIGHTEST, _DARKEST = 0.2, 1.0  # no ink stands on the cells of a density
_FEWEST_CELLS, _MOST_CELLS = 8, 40  # about so many from the lowest score to the highest


def word_counts(name: str, rows: Sequence[Row], key: str) -> Markup | None:
    """Draw images with text by caption words and co-emb words as a heat map with counts (Fig. 4a).

    Args:
        name: Dataset.
        rows: Rows of `stat_caption_words`.
        key: Distinguishes the drawing's ids from those of the page's other drawings.

    Returns:
        An `<svg>` element; None where no image has text.
    """
    counts: dict[tuple[int, int], int] = {}
    for row in rows:
        cell = (min(row["caption_words"], _CAPTION_WORDS), min(row["co_emb_words"], _CO_EMB_WORDS))
        counts[cell] = counts.get(cell, 0) + row["images_with_text"]
    total, most = sum(counts.values()), max(counts.values(), default=0)
    if not total:
        return None
    parroted = sum(row["images_fully_parroted"] for row in rows)
    highest = max(2, *(co_emb for (_, co_emb), images in counts.items() if images))
    figure, ((axes,),) = panels(1, 1, row_in=1.3 + 0.32 * (highest + 1))
    note = (
        f"n = {formatting.count(total)} images with text; {formatting.count(parroted)} of them "
        f"({formatting.percent(parroted / total)}) show every word of their caption"
    )
    heading(axes, name, note)
    for (caption, co_emb), images in sorted(counts.items()):
        if images:
            _count_cell(axes, caption, co_emb=co_emb, images=images, most=most)
    for words in range(1, highest + 1):
        axes.add_patch(_cell(words, words, facecolor="none", edgecolor=INK, linewidth=1.4))
    axes.grid(visible=False)
    axes.set_xlim(0.5, _CAPTION_WORDS + 0.5)
    axes.set_ylim(-0.5, highest + 0.5)
    axes.set_xticks(range(1, _CAPTION_WORDS + 1), [*map(str, range(1, _CAPTION_WORDS)), f"{_CAPTION_WORDS}+"])
    above = [f"{_CO_EMB_WORDS}+"] if highest == _CO_EMB_WORDS else []
    axes.set_yticks(range(highest + 1), [*map(str, range(highest + 1 - len(above))), *above])
    axes.set_xlabel("distinct words of the caption", color=MUTED, fontsize=9)
    axes.set_ylabel("of these in the image", color=MUTED, fontsize=9)
    return inline_svg(
        figure, f"words-{key}", spoken=f"Caption words against co-emb words. {one_line(name)}: {note}."
    )


def _count_cell(axes: Axes, caption: int, *, co_emb: int, images: int, most: int) -> None:
    depth = math.log1p(images) / math.log1p(most)
    opacity = _FAINTEST + (_DENSEST - _FAINTEST) * depth
    axes.add_patch(_cell(caption, co_emb, facecolor=TYPE_COLOURS["concurrent"], alpha=opacity, linewidth=0))
    axes.text(caption, co_emb, short_count(images), color=INK, fontsize=8, ha="center", va="center")


def _cell(caption: int, co_emb: int, **style: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((caption - 0.47, co_emb - 0.46), 0.94, 0.92, **style)


def short_count(value: int) -> str:
    """A count in at most four characters and a letter: `999`, `1.2k`, `35k`, `1.1M`."""
    for limit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= limit:
            scaled = value / limit
            return f"{scaled:.1f}{letter}" if scaled < 9.95 else f"{scaled:.0f}{letter}"
    return str(value)


@dataclass(frozen=True)
class AreaScores:
    """Area of co-emb words against CLIP score, of one dataset under one model.

    Attributes:
        dataset: Its name.
        model: The model; lines of one model share their axes.
        cells: Rows of `stat_text_area_score`.
        bins: Rows of `stat_text_area`, whose medians are drawn over the cells.
        reference: Median score of images without text; None: unknown.
    """

    dataset: str
    model: str
    cells: Sequence[Row]
    bins: Sequence[Row]
    reference: float | None = None


def area_density(lines: Sequence[AreaScores]) -> Markup | None:
    """Draw images by the area of co-emb text and CLIP score as a density, one row per dataset and model (Fig. 4b).

    Returns:
        An `<svg>` element; None where no image has co-emb text and a score.
    """
    drawn = [line for line in lines if line.cells]
    if not drawn:
        return None
    labels = _area_labels([row for line in drawn for row in line.bins], "images")
    figure, grid = panels(len(drawn), 1, row_in=4.2, bottom_in=0.75)
    spoken = []
    for (axes,), line in zip(grid, drawn, strict=True):
        peers = [other for other in drawn if other.model == line.model]
        title = f"{line.dataset} under {line.model}"
        note = f"n = {formatting.count(_images(line))} images with co-emb text"
        if line.reference is not None:
            axes.axhline(line.reference, color=INK, linewidth=1.2, linestyle=(0, (5, 3)), zorder=2.5)
            note += f"; dashed: median of images without text, {formatting.score(line.reference)}"
        heading(axes, title, note)
        _density_cells(axes, line, step=_step(peers))
        _medians(axes, line)
        _area_axis(axes, line.bins, "images", labels=labels)
        axes.set_ylim(*_score_range(peers))
        axes.set_ylabel("CLIP score (cosine of image and caption)", color=MUTED, fontsize=9)
        axes.set_xlabel("area of all co-emb words / area of the image", color=MUTED, fontsize=9)
        told = ", ".join(f"{area_label(row)}: {formatting.score(row['p50'])}" for row in _sorted(line.bins))
        spoken.append(f"{one_line(title)}: {note}; median by area: {told}")
    return inline_svg(
        figure, "area-scores", spoken=f"CLIP score by area of co-emb text. {'; '.join(spoken)}."
    )


def _images(line: AreaScores) -> int:
    return sum(int(row["images"]) for row in line.cells)


def _step(lines: Sequence[AreaScores]) -> int:
    """Score bins that are drawn as one cell: few images in many cells would show no shape."""
    bins = [int(row["score_bin"]) for line in lines for row in line.cells]
    wanted = min(_MOST_CELLS, max(_FEWEST_CELLS, 2 * math.isqrt(max(map(_images, lines)))))
    return max(1, round((max(bins) + 1 - min(bins)) / wanted))


def _score_range(lines: Sequence[AreaScores]) -> tuple[float, float]:
    """Lower and upper end of the score axis: all cells and dashed lines, and a little more."""
    bins, step = [row["score_bin"] for line in lines for row in line.cells], _step(lines)
    references = [line.reference for line in lines if line.reference is not None]
    low = min([min(bins) // step * step / 100, *references])
    high = max([(max(bins) // step + 1) * step / 100, *references])
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


def _medians(axes: Axes, line: AreaScores) -> None:
    rows = _sorted(line.bins)
    # White with a dark edge is seen on every shade.
    style: dict[str, Any] = {"markeredgecolor": DARK, "markeredgewidth": 1.4, "markerfacecolor": WHITE}
    places, medians = [row["bin"] for row in rows], [row["p50"] for row in rows]
    axes.plot(places, medians, color=INK, linewidth=1, marker="D", markersize=7, zorder=3, **style)


def _merged_cells(rows: Sequence[Row], step: int) -> dict[tuple[int, int], int]:
    """Images by area bin and by `step` score bins together."""
    cells: dict[tuple[int, int], int] = {}
    for row in rows:
        place = (row["area_bin"], row["score_bin"] // step)
        cells[place] = cells.get(place, 0) + row["images"]
    return cells


def _density_cells(axes: Axes, line: AreaScores, *, step: int) -> None:
    from matplotlib.patches import Rectangle

    cells = _merged_cells(line.cells, step)
    most, height = max(cells.values()), step / 100
    _density_key(axes, most)
    for (area, score), images in sorted(cells.items()):
        style: dict[str, Any] = {
            "alpha": _shade(images, most),
            "facecolor": TYPE_COLOURS["concurrent"],
            "linewidth": 0,
        }
        # Cells touch from above, so that a column reads as one shape.
        axes.add_patch(Rectangle((area - 0.46, score * height), 0.92, height, zorder=2, **style))


def _density_key(axes: Axes, most: int) -> None:
    """What the shades mean, right above the plot."""
    from matplotlib.patches import Rectangle

    shown = sorted({1, round(math.sqrt(most)), most})
    small: dict[str, Any] = {"transform": axes.transAxes, "color": MUTED, "fontsize": 9, "va": "bottom"}
    x = 1 - 0.075 * len(shown)
    axes.text(x - 0.01, 1.025, "images in a cell", ha="right", **small)
    for count in shown:
        style: dict[str, Any] = {
            "alpha": _shade(count, most),
            "facecolor": TYPE_COLOURS["concurrent"],
            "linewidth": 0,
        }
        box = Rectangle((x, 1.03), 0.022, 0.045, transform=axes.transAxes, clip_on=False, **style)
        axes.add_patch(box)
        axes.text(x + 0.028, 1.025, short_count(count), **small)
        x += 0.075


def _shade(images: int, most: int) -> float:
    """Opacity of a cell: by the logarithm of its count; the least is still seen."""
    return _LIGHTEST + (_DARKEST - _LIGHTEST) * (math.log(images) / math.log(most) if most > 1 else 1.0)


def word_areas(datasets: Sequence[tuple[str, Sequence[Row]]]) -> Markup | None:
    """Draw how large single co-emb words and other words are, one row per dataset (Fig. 4c).

    Args:
        datasets: Name and rows of `stat_word_area` of each dataset; those without words are left out.

    Returns:
        An `<svg>` element; None without words.
    """
    drawn = [(name, rows) for name, rows in datasets if sum(row["words"] for row in rows)]
    if not drawn:
        return None
    labels = _area_labels([row for _, rows in drawn for row in rows], "words")
    most = max(row["share"] or 0.0 for _, rows in drawn for row in rows)
    figure, grid = panels(len(drawn), 1, row_in=3.5, bottom_in=0.75)
    spoken = []
    for (axes,), (name, rows) in zip(grid, drawn, strict=True):
        words = {kind: sum(row["words"] for row in rows if row["co_emb"] is kind) for kind in (True, False)}
        note = (
            f"filled: n = {formatting.count(words[True])} co-emb words; "
            f"hollow: n = {formatting.count(words[False])} other words"
        )
        heading(axes, name, note)
        for row in rows:
            fill, edge = (TYPE_COLOURS["concurrent"], PAPER) if row["co_emb"] else ("none", INK)
            x = row["bin"] + (-0.2 if row["co_emb"] else 0.2)
            axes.bar(x, row["share"] or 0.0, width=0.36, facecolor=fill, edgecolor=edge, linewidth=1.2)
        shares = _co_emb_shares(rows)
        for place, share in shares.items():
            text = "" if share is None else f"{share * 100:.0f}%"
            top = max(row["share"] or 0.0 for row in rows if row["bin"] == place)
            axes.text(place, top + most * 0.02, text, color=INK, fontsize=8.5, ha="center", va="bottom")
        axes.set_ylim(0, most * 1.12)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share * 100:g}%")
        _area_axis(axes, rows, "words", labels=labels)
        axes.set_ylabel("share of the kind's words", color=MUTED, fontsize=9)
        axes.set_xlabel("area of a single word / area of the image", color=MUTED, fontsize=9)
        spoken.append(f"{one_line(name)}: {note}")
    return inline_svg(figure, "word-areas", spoken=f"Area of single words. {'; '.join(spoken)}.")


def _co_emb_shares(rows: Sequence[Row]) -> dict[int, float | None]:
    shares = {}
    for place in sorted({row["bin"] for row in rows}):
        own = {row["co_emb"]: row["words"] for row in rows if row["bin"] == place}
        shares[place] = formatting.ratio(own.get(True, 0), sum(own.values()))
    return shares


def area_label(row: Row) -> str:
    """A bin of the area ratio in words: `0.1-0.2%`, `50% and more`."""
    low = f"{row['low'] * 100:g}"
    return (
        f"{low}% and more"
        if formatting.finite(row["high"]) is None
        else f"{low}\N{EN DASH}{row['high'] * 100:g}%"
    )


def _area_labels(rows: Sequence[Row], column: str) -> dict[int, str]:
    """Bins that all plots of a figure show, with their labels: from the first to the last that holds something."""
    filled = [row["bin"] for row in rows if row[column]]
    return {
        row["bin"]: area_label(row).replace(" and more", "+")
        for row in _sorted(rows)
        if min(filled) <= row["bin"] <= max(filled)
    }


def _area_axis(axes: Axes, rows: Sequence[Row], column: str, *, labels: Mapping[int, str]) -> None:
    sizes = dict.fromkeys(labels, 0)
    for row in rows:
        if row["bin"] in sizes:
            sizes[row["bin"]] += row[column]
    axes.set_xticks(
        list(labels), [f"{label}\nn = {short_count(sizes[bin_])}" for bin_, label in labels.items()]
    )
    axes.set_xlim(min(labels) - 0.6, max(labels) + 0.6)


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: int(row["bin"]))
