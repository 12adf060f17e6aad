from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from spark_jobs.report.figures.distributions import TypeShares, clip_score_boxes, image_type_bars

SHARES = {"no_text": 0.454, "text_not_concurrent": 0.212, "concurrent": 0.334}


class Names(HTMLParser):
    """Collects the tags and attributes that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def score_row(image_type: str, p50: float | None = 0.3, **changes: object) -> dict[str, object]:
    return {
        "model": "m", "image_type": image_type, "images": 1234, "mean": 0.31, "std": 0.02,
        "p05": 0.2, "p25": 0.28, "p50": p50, "p75": 0.33, "p95": 0.4, **changes,
    }  # fmt: skip


def bar_widths(svg: str) -> list[float]:
    """Widths of the filled rectangles, by what their style refers to, in drawing order."""
    widths = []
    for data, _ in re.findall(
        r'<path d="([^"]*)"[^>]*style="fill: var\(--(no-text|text-not-concurrent|concurrent)\)', svg
    ):
        xs = [float(x) for x in re.findall(r"[ML] (\S+) \S+", data)]
        widths.append(max(xs) - min(xs))
    return widths


def test_shares_follow_from_the_counts() -> None:
    row = {"images": 200, "images_with_text": 110, "images_with_co_emb_text": 66}

    assert TypeShares.from_overall("d", row).shares == pytest.approx(
        {"no_text": 0.45, "text_not_concurrent": 0.22, "concurrent": 0.33}
    )


@pytest.mark.parametrize(
    "row", [None, {}, {"images": 0, "images_with_text": 0, "images_with_co_emb_text": 0}]
)
def test_no_images_have_no_shares(row: dict[str, int] | None) -> None:
    assert TypeShares.from_overall("d", row).shares is None


def test_bar_lengths_are_proportional_to_the_shares() -> None:
    widths = bar_widths(image_type_bars([TypeShares("d", 1000, SHARES)]))

    assert [width / sum(widths) for width in widths] == pytest.approx([0.454, 0.212, 0.334], abs=1e-3)


def test_every_share_is_printed_however_thin_its_bar() -> None:
    thin = {"no_text": 0.9945, "text_not_concurrent": 0.005, "concurrent": 0.0005}

    svg = image_type_bars([TypeShares("d", 1000, thin)])

    text = " ".join(ElementTree.fromstring(svg).itertext())
    assert all(share in text for share in ("99.45%", "not concurrent 0.50%", "concurrent 0.05%"))


def test_a_dataset_without_images_is_said_to_have_none() -> None:
    svg = image_type_bars([TypeShares("empty one", None, None)])

    assert "no image profiled" in svg
    assert "empty one" in svg


@pytest.mark.parametrize(
    "name",
    ["a $x_{$ b", "<script>alert(1)</script>", 'x" onload="y', "\x00\x1b[31m", "\U0001f600 \u6f22\u5b57"],
)
def test_any_name_can_be_drawn(name: str) -> None:
    svg = image_type_bars([TypeShares(name, 5, SHARES)])

    parser = Names()
    parser.feed(svg)
    assert {"svg", "text"} <= parser.tags
    assert "script" not in parser.tags
    assert "onload" not in parser.attributes
    assert "\x00" not in svg


def test_boxes_show_median_and_size_of_every_type() -> None:
    svg = clip_score_boxes([score_row("concurrent", 0.3456), score_row("no_text", images=77)], "k")

    assert svg is not None
    text = " ".join(ElementTree.fromstring(svg).itertext())
    assert all(part in text for part in ("0.3456", "n = 1,234", "n = 77", "n = 0", "no score"))
    assert len(bar_widths(svg)) == 2


def test_boxes_reach_from_the_first_to_the_third_quartile() -> None:
    svg = clip_score_boxes(
        [score_row("no_text", p25=0.25, p75=0.35), score_row("concurrent", p25=0.28, p75=0.33)], "k"
    )

    assert svg is not None
    wide, narrow = bar_widths(svg)
    assert wide / narrow == pytest.approx(2.0, abs=0.01)


def test_nothing_is_drawn_without_scores() -> None:
    assert clip_score_boxes([], "k") is None
    assert clip_score_boxes([score_row("no_text", None)], "k") is None
    assert clip_score_boxes([score_row("no_text", float("nan"))], "k") is None


def test_a_single_image_has_a_box_without_width() -> None:
    same = dict.fromkeys(("mean", "p05", "p25", "p75", "p95"), 0.3)

    assert clip_score_boxes([score_row("no_text", std=None, images=1, **same)], "k") is not None


def test_drawings_are_deterministic_and_share_no_ids() -> None:
    rows = [score_row("no_text"), score_row("concurrent")]
    first, again, other = (clip_score_boxes(rows, key) for key in ("a", "a", "b"))

    ids = [set(re.findall(r' id="([^"]*)"', str(svg))) for svg in (first, other)]
    assert first == again
    assert ids[0]
    assert not ids[0] & ids[1]


def test_references_inside_a_drawing_have_their_target() -> None:
    svg = str(clip_score_boxes([score_row("no_text"), score_row("concurrent")], "a"))

    ids = set(re.findall(r' id="([^"]*)"', svg))
    targets = set(re.findall(r'href="#([^"]*)"', svg)) | set(re.findall(r"url\(#([^)]*)\)", svg))
    assert targets
    assert targets <= ids


def test_drawings_take_the_pages_colours_and_bring_no_style_sheet() -> None:
    svg = str(clip_score_boxes([score_row("no_text")], "a")) + str(
        image_type_bars([TypeShares("d", 1, SHARES)])
    )

    assert not re.findall(r"#0[1-7]0[1-7]0[1-7]", svg)
    assert "var(--ink)" in svg
    assert "<style" not in svg
    assert "http" not in svg
