from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from spark_jobs.report.figures.synthetic_text import VOCABULARIES, band_lines
from spark_jobs.report.sections.synthetic_text import PUBLISHED, SYNC_COLUMNS, synthetic_text_views
from tests.report_samples import Document, dataset, page

MODEL = "ViT-B-32/openai"
BANDS = {"frequency": [(1, 9), (10, 99), (100_000, 999_999)], "length": [(1, 2), (3, 4), (41, None)]}


def stat_row(vocabulary: str, style: str, grouping: str, band: tuple[int, int | None], **changes: object):
    base = {
        "model": MODEL, "vocabulary": vocabulary, "style": style, "grouping": grouping,
        "band_from": band[0], "band_to": band[1], "grams": 4321, "images": 17_284, "grams_overflowing": 87,
        "mean": 0.2345, "std": 0.0321,
    }  # fmt: skip
    return {**base, **changes}


def stat_rows(**changes: object):
    rows = []
    for vocabulary in VOCABULARIES:
        for place, style in enumerate(SYNC_COLUMNS):
            rows.append(stat_row(vocabulary.name, style, "all", (0, None), mean=0.2 + place / 100, **changes))
        for grouping, bands in BANDS.items():
            rows += [
                stat_row(
                    vocabulary.name, "all", grouping, band, grams=70 + place, mean=0.3 + place / 50, **changes
                )
                for place, band in enumerate(bands)
            ]
    return rows


def test_scores_stand_in_their_style_beside_the_papers() -> None:
    text = Document(page(dataset(synthetic_text=tuple(stat_rows())))).text
    assert "caption words 4,321 87 0.200 ± 0.032 0.210 ± 0.032 0.220 ± 0.032" in text
    assert "all styles black-white white-black white-grey black-grey" in text
    for model, mean, std in PUBLISHED:
        assert f"{model} {mean:.3f} ± {std:.3f}" in text


def test_sync_scores_have_their_interval_and_few_grams_are_marked() -> None:
    sure = stat_rows(mean_low=0.1111, mean_high=0.3333)
    text = Document(page(dataset(synthetic_text=tuple(sure)))).text
    assert "caption words 4,321 87 0.200 ± 0.032 0.1111 to 0.3333 0.210 ± 0.032 0.1111 to 0.3333" in text
    for grams, is_few in ((29, True), (30, False)):
        document = page(dataset(synthetic_text=tuple({**row, "grams": grams} for row in stat_rows())))
        assert (f'<td class="few">{grams}</td>' in document) is is_few


def test_the_papers_values_are_table_10s() -> None:
    assert [(mean, std) for _, mean, std in PUBLISHED] == [
        (0.317, 0.030),
        (0.368, 0.042),
        (0.268, 0.024),
        (0.338, 0.034),
        (0.163, 0.065),
    ]


def test_without_scores_the_section_says_how_to_make_them() -> None:
    assert "parrot run ngrams render_text statistics report" in Document(page()).text


def test_models_are_kept_apart_and_random_weights_pointed_out() -> None:
    rows = [*stat_rows(), *stat_rows(model="parrot-tiny/random-0")]
    first, second = synthetic_text_views(rows, "0")
    assert (first["model"], first["notes"]) == (MODEL, [])
    assert "random weights" in second["notes"][0]
    document = Document(page(dataset(synthetic_text=tuple(rows))))
    ids = [attributes["id"] for _, attributes in document.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("grouping", ["frequency", "length"])
def test_plots_show_every_band_with_its_size_and_lines_differ_without_colour(grouping: str) -> None:
    svg = band_lines(stat_rows(), grouping, "k")
    assert svg is not None
    text = " ".join(ElementTree.fromstring(svg).itertext())
    labels = {
        "frequency": ["1\u20139", "10\u201399", "100k\u2013999k"],
        "length": ["1\u20132", "3\u20134", "41+"],
    }[grouping]
    for label in [*labels, *(f"n, {entry.label}" for entry in VOCABULARIES)]:
        assert label in text
    for size in ("70", "71", "72"):
        assert len(re.findall(rf"\b{size}\b", text)) == len(VOCABULARIES)
    dashes = set(re.findall(r"stroke-dasharray: ([^;\"]+)", svg))
    assert len(dashes) == 2  # and one line without
    assert "#0" not in svg


def test_a_lower_score_is_drawn_lower() -> None:
    svg = band_lines(stat_rows(), "length", "k")
    (path,) = re.findall(
        r'<path d="([^"]+)"[^>]* style="fill: none; stroke: var\(--ink\); stroke-width: 1\.4;',
        svg,
    )[:1]
    heights = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", path)]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], rel=1e-3)


def test_missing_bands_and_vocabularies_are_gaps_not_faults() -> None:
    rows = [row for row in stat_rows() if row["vocabulary"] != "co_emb_1gram" and row["band_from"] != 3]
    svg = band_lines(rows, "length", "k")
    assert "co-emb" not in " ".join(ElementTree.fromstring(svg).itertext())
    assert band_lines([], "length", "k") is None
    only_all = [row for row in rows if row["grouping"] == "all"]
    assert band_lines(only_all, "frequency", "k") is None
