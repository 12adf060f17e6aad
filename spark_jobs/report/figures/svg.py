"""Inline SVG of matplotlib drawings that takes the page's font and colours: canvas, axes, conversion."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

from spark_jobs.report import formatting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-ins that become the page's colours, so that one drawing serves light, dark and print.
INK, MUTED, LINE, PAPER = "#010101", "#020202", "#030303", "#040404"
TYPE_COLOURS = {"no_text": "#050505", "text_not_concurrent": "#060606", "concurrent": "#070707"}
WHITE, DARK = "#ffffff", "#111111"  # on the types' colours, which are of middle lightness in every mode
_PAGE_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    PAPER: "var(--paper)",
    **{colour: f"var(--{name.replace('_', '-')})" for name, colour in TYPE_COLOURS.items()},
}
WIDTH_IN = 10.0
_NAME_CHARACTERS = 60


def canvas(*, height_in: float, left: float = 0.0, bottom: float = 0.0) -> tuple[Figure, Axes]:
    """A figure of the page's width with one transparent axes.

    Args:
        height_in: Height, inches; the width is `WIDTH_IN`.
        left: Share of the width left of the axes.
        bottom: Share of the height below the axes.
    """
    figure = _figure(height_in)
    axes = figure.add_axes((left, bottom, 1 - left, 1 - bottom))
    axes.patch.set_alpha(0)
    return figure, axes


def panels(
    rows: int, columns: int, *, row_in: float, bottom_in: float = 0.55, top_in: float = 0.55
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of the page's width with a grid of plots.

    Args:
        rows: Rows of plots.
        columns: Plots in a row.
        row_in: Height of a row with its heading and its axis, inches.
        bottom_in: Height below each plot that its axis takes, inches.
        top_in: Height above each plot that its heading takes, inches.

    Returns:
        The figure and its axes by row.
    """
    height_in = rows * row_in
    figure = _figure(height_in)
    left, between = 0.075, 0.03
    width = (1 - left - 0.015 - between * (columns - 1)) / columns
    grid = []
    for row in range(rows):
        base = (height_in - (row + 1) * row_in + bottom_in) / height_in
        height = (row_in - bottom_in - top_in) / height_in
        places = [(left + column * (width + between), base, width, height) for column in range(columns)]
        grid.append([figure.add_axes(place) for place in places])
    for axes in (axes for line in grid for axes in line):
        quiet(axes)
    return figure, grid


def quiet(axes: Axes, *, grid: str = "y") -> None:
    """Axes without a frame, in the page's colours, with faint lines along one direction."""
    axes.patch.set_alpha(0)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(axis="both", color=LINE, labelcolor=MUTED, labelsize=9)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis=grid, color=LINE, linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def heading(axes: Axes, text: str, note: str, *, row: str = "") -> None:
    """Write above a plot what it shows.

    Args:
        axes: The plot.
        text: In bold; cut where it is long.
        note: Below it, its n.
        row: Above both, what all plots of the row have in common; cut where it is long.
    """
    from matplotlib.transforms import ScaledTranslation

    figure: Any = axes.figure
    lines = ((0.08, note, MUTED, "normal", 9), (0.26, one_line(text), INK, "bold", 9.5))
    for above_in, words, colour, weight, size in (*lines, (0.5, one_line(row), INK, "bold", 11)):
        place = axes.transAxes + ScaledTranslation(0, above_in, figure.dpi_scale_trans)
        style: dict[str, Any] = {"fontsize": size, "fontweight": weight, "va": "bottom"}
        axes.text(0, 1, words, color=colour, transform=place, parse_math=False, **style)


def row_label(axes: Axes, label: str, *, y: float, images: float | None) -> None:
    """Name a row of a plot on its left, with its number of images."""
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "right"}
    size = f"n = {formatting.count(images or 0)}"
    axes.text(-0.02, y + 0.03, label, color=INK, fontsize=9.5, fontweight="bold", va="bottom", **beside)
    axes.text(-0.02, y - 0.05, size, color=MUTED, fontsize=9, va="top", **beside)


def inline_svg(figure: Figure, key: str, *, spoken: str) -> Markup:
    """The figure as an `<svg>` element.

    Args:
        figure: The drawing.
        key: Distinguishes its ids from those of the page's other drawings.
        spoken: What a screen reader says in its place.
    """
    import matplotlib

    buffer = io.BytesIO()
    # Text stays text (the page's font draws it), and equal input gives equal bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _make_inline(root, key)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": spoken}
    return Markup(ElementTree.tostring(root, encoding="unicode", method="html"))


def _make_inline(element: ElementTree.Element, key: str) -> None:
    """Make an SVG tree fit for an HTML page: no name spaces, own ids, the page's colours, no style sheet."""
    element.tag = _local(element.tag)
    for child in list(element):
        # A style sheet inside inline SVG would apply to the whole page.
        if _local(child.tag) in {"metadata", "style"}:
            element.remove(child)
        else:
            _make_inline(child, key)
    element.attrib = {
        _local(name): _own(_local(name), value, key=key) for name, value in element.attrib.items()
    }


def _own(name: str, value: str, *, key: str) -> str:
    if name == "id":
        return f"{key}-{value}"
    if name == "href":
        return value.replace("#", f"#{key}-", 1)
    if name == "clip-path":
        return value.replace("url(#", f"url(#{key}-", 1)
    if name == "style":
        value = value.replace("url(#", f"url(#{key}-")
        for stand_in, colour in _PAGE_COLOURS.items():
            value = value.replace(stand_in, colour)
    return value


def _local(name: str) -> str:
    return name.rsplit("}", 1)[-1]


def one_line(text: str) -> str:
    """Any text as one line that can be drawn, cut where it is long."""
    # XML has no place for control characters, and matplotlib writes them unasked.
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    too_long = len(clean) > _NAME_CHARACTERS
    return clean[: _NAME_CHARACTERS - 1] + "\N{HORIZONTAL ELLIPSIS}" if too_long else clean


def _figure(height_in: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height_in))
    figure.patch.set_alpha(0)
    return figure
