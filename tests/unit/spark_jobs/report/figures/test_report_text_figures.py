from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from schemas import TABLES
from spark_jobs.pipeline import STAGES
from spark_jobs.report.content import FIGURE_TABLES
from spark_jobs.report.figures.histograms import cotr_histograms, score_histograms
from spark_jobs.report.figures.words_and_areas import (
    AreaScores,
    area_density,
    area_label,
    short_count,
    word_areas,
    word_counts,
)
from spark_jobs.report.sections.paper_figures import figure_views
from tests.report_samples import HOSTILE, Document, dataset, page


def text_of(svg):
    assert svg is not None
    return " ".join(ElementTree.fromstring(svg).itertext())


def rate_rows(images=100):
    return [
        {"measure": measure, "bin": bin_, "low": max(bin_ - 1, 0) / 20, "high": bin_ / 20,
         "images": images * 2, "images_with_text": images if bin_ in (0, 10, 20) else 0}
        for measure in ("cotr", "cotr_verbatim", "fuzzy_cotr")
        for bin_ in range(21)
    ]  # fmt: skip


def score_rows(model="m", kind="concurrent", bins=(28, 29, 30)):
    return [
        {
            "model": model,
            "image_type": kind,
            "bin": bin_,
            "low": bin_ / 100,
            "high": (bin_ + 1) / 100,
            "images": 50,
        }
        for bin_ in bins
    ]


def words_row(caption, co_emb, images, parroted=0):
    return {"caption_words": caption, "co_emb_words": co_emb, "images": images + 1, "images_with_text": images,
            "images_fully_parroted": parroted}  # fmt: skip


def area_row(bin_, low, high, images, p50=0.3):
    return {"model": "m", "bin": bin_, "low": low, "high": high, "images": images, "mean": 0.3,
            "p05": p50 - 0.1, "p25": p50 - 0.05, "p50": p50, "p75": p50 + 0.05, "p95": p50 + 0.1}  # fmt: skip


def cell_row(area_bin, score_bin, images):
    return {"model": "m", "area_bin": area_bin, "score_bin": score_bin, "images": images}


def cells_of(svg):
    """Opacities of the rectangles that are drawn: those of the key first, then the plot's cells."""
    found = re.findall(r'<path d="[^"]*"[^>]*style="fill: var\(--concurrent\)([^"]*)"', str(svg))
    return [float(style.rpartition("opacity: ")[2] or 1) for style in found]


def word_row(co_emb, bin_, words, share):
    return {"co_emb": co_emb, "bin": bin_, "low": bin_ / 10, "high": None if bin_ else 0.1, "words": words,
            "share": share, "mean_area_ratio": 0.1}  # fmt: skip


def filled_heights(svg, name="concurrent"):
    found = re.findall(rf'<path d="([^"]*)"[^>]*style="fill: var\(--{name}\)', svg)
    sizes = []
    for data in found:
        ys = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", data)]
        sizes.append(max(ys) - min(ys))
    return sizes


def test_rate_bars_are_proportional_and_the_share_of_zero_is_printed():
    svg = cotr_histograms([("shop", rate_rows())])
    text = text_of(svg)
    assert text.count("n = 300 images with text") == 3
    assert text.count("33.33%") == 3
    heights = [height for height in filled_heights(svg) if height > 0]
    assert len(heights) == 6  # two filled bars in each plot; the hollow one is the rate of 0
    assert heights == pytest.approx([heights[0]] * 6)


def test_a_dataset_without_text_has_no_rate_plot_but_others_have():
    assert cotr_histograms([]) is None
    assert cotr_histograms([("empty", rate_rows(images=0))]) is None
    text = text_of(cotr_histograms([("empty", rate_rows(images=0)), ("shop", rate_rows())]))
    assert "shop" in text
    assert "empty" not in text


def test_scores_of_models_and_types_are_kept_apart_with_their_n():
    text = text_of(score_histograms([("shop", score_rows() + score_rows("other", "no_text", (10,)))]))
    assert "shop under m" in text
    assert "shop under other" in text
    assert text.count("n = 150") == 1
    assert text.count("n = 50") == 1
    assert text.count("n = 0") == 4
    assert score_histograms([("shop", [])]) is None


def test_wide_score_ranges_are_merged_into_few_bars():
    svg = score_histograms([("shop", score_rows(bins=range(-50, 50)))])
    assert len([height for height in filled_heights(svg) if height > 0]) <= 40


def test_the_heat_map_prints_every_count_and_merges_what_is_beyond_its_edge():
    rows = [words_row(3, 1, 1234), words_row(3, 3, 7, parroted=7), words_row(30, 2, 40), words_row(50, 2, 2)]
    text = text_of(word_counts("shop", [*rows, words_row(2, 0, 0)], "k"))
    assert all(
        part in text for part in ("1.2k", " 7 ", "42", "20+", "n = 1,283 images with text", "7 of them")
    )
    assert word_counts("shop", [words_row(2, 0, 0)], "k") is None


def test_the_density_shows_every_bin_with_its_n_and_the_reference():
    bins = [area_row(0, 0.0, 0.001, 5), area_row(9, 0.5, None, 12_345)]
    cells = [cell_row(0, 20, 5), cell_row(9, 25, 12_000), cell_row(9, 26, 345)]
    text = text_of(area_density([AreaScores("shop", "m", cells, bins, 0.2222)]))
    assert all(
        part in text
        for part in ("0\N{EN DASH}0.1%", "n = 5", "50%+", "n = 12k", "n = 12,350", "without text, 0.2222")
    )
    assert "without text" not in text_of(area_density([AreaScores("shop", "m", cells, bins)]))
    assert area_density([AreaScores("shop", "m", [], [], 0.3)]) is None


def test_the_more_images_a_cell_holds_the_darker_it_is():
    bins = [area_row(0, 0.0, 0.001, 111)]
    cells = [cell_row(0, 20, 1), cell_row(0, 21, 10), cell_row(0, 22, 100)]
    *key, least, middle, most = cells_of(area_density([AreaScores("shop", "m", cells, bins)]))
    assert 0.1 < least < middle < most == 1.0
    assert middle - least == pytest.approx(most - middle, abs=1e-3)  # by the logarithm
    assert key == [least, middle, most]
    alone = area_density([AreaScores("shop", "m", [cell_row(0, 20, 1)], [area_row(0, 0.0, 0.001, 1)])])
    assert set(cells_of(alone)) == {1.0}


def test_a_wide_range_of_scores_is_drawn_in_few_cells():
    bins = [area_row(0, 0.0, 0.001, 100)]
    svg = area_density([AreaScores("shop", "m", [cell_row(0, score, 1) for score in range(-50, 50)], bins)])
    assert len(cells_of(svg)) <= 50 + 3


def test_only_datasets_under_one_model_share_the_scores_axis():
    def heights(other_model):
        lines = [
            AreaScores("shop", "m", [cell_row(0, 20, 1)], [area_row(0, 0.0, 0.001, 1)]),
            AreaScores("other", other_model, [cell_row(0, 90, 1)], [area_row(0, 0.0, 0.001, 1)]),
        ]
        text = text_of(area_density(lines))
        return [bool(re.search(label, text)) for label in (r"\b0\.202\b", r"\b0\.5\b")]

    assert heights("m") == [False, True]
    assert heights("n") == [True, False]


def test_datasets_share_their_axes_and_leave_out_bins_that_are_empty_everywhere():
    first = AreaScores("shop", "m", [cell_row(3, 10, 5)], [area_row(3, 0.005, 0.01, 5, p50=0.1)])
    second = AreaScores("other", "m", [cell_row(5, 50, 9)], [area_row(5, 0.02, 0.05, 9, p50=0.5)])
    text = text_of(area_density([first, second]))
    assert text.count("0.5\N{EN DASH}1%") == text.count("2\N{EN DASH}5%") == 2
    assert text.count("n = 0") == 2
    rows = [word_row(True, 0, 0, 0.0), word_row(False, 0, 0, 0.0), word_row(True, 1, 2, 1.0)]
    assert "0\N{EN DASH}10%" not in text_of(word_areas([("shop", rows)]))


def test_word_areas_print_the_share_that_is_parroted():
    rows = [
        word_row(True, 0, 10, 0.25),
        word_row(True, 1, 30, 0.75),
        word_row(False, 0, 30, 1.0),
        word_row(False, 1, 0, 0.0),
    ]
    svg = word_areas([("shop", rows)])
    text = text_of(svg)
    assert all(part in text for part in ("n = 40 co-emb words", "n = 30 other words", " 25%", "100%"))
    small, large = [height for height in filled_heights(svg) if height > 0]
    assert large / small == pytest.approx(3.0, rel=1e-3)
    assert word_areas([("shop", [word_row(True, 0, 0, None)])]) is None


def test_only_one_kind_of_word_can_be_drawn():
    rows = [word_row(True, 0, 0, None), word_row(False, 0, 3, 1.0)]
    assert "n = 0 co-emb words" in text_of(word_areas([("shop", rows)]))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (9_960, "10k"), (1_100_000, "1.1M"), (3 * 10**9, "3.0G")],
)
def test_counts_fit_into_a_cell(value, text):
    assert short_count(value) == text


def test_bins_are_told_in_percent():
    assert area_label({"low": 0.001, "high": 0.002}) == "0.1\N{EN DASH}0.2%"
    assert area_label({"low": 0.5, "high": float("nan")}) == "50% and more"


def full_figures():
    return {
        "stat_cotr_histogram": tuple(rate_rows()),
        "stat_clip_score_histogram": tuple(score_rows()),
        "stat_caption_words": (words_row(3, 1, 12),),
        "stat_text_area": (area_row(0, 0.0, 0.001, 5),),
        "stat_text_area_score": (cell_row(0, 20, 5),),
        "stat_word_area": (word_row(True, 0, 10, 1.0), word_row(False, 0, 30, 1.0)),
    }


def test_figure_tables_are_made_by_statistics_and_read_by_the_report():
    stages = {stage.name: stage for stage in STAGES}
    assert set(FIGURE_TABLES) <= set(stages["statistics"].writes) & set(stages["report"].reads) & set(TABLES)
    others = {"stat_chance", "stat_score_filter", "stat_curation_score", "stat_cluster_top"}
    assert set(full_figures()) | others == set(FIGURE_TABLES)


def test_the_page_holds_every_figure_and_says_what_is_missing():
    full = page(dataset(figures=full_figures()))
    assert len(Document(full).of("svg")) == len(Document(page()).of("svg")) + 5
    assert not Document(full).misnested
    text = Document(page()).text
    assert "No image with text, so there is nothing to count." in text
    assert "No word has been spotted." in text


def test_figures_are_deterministic_share_no_ids_and_take_any_name():
    datasets = [dataset(name=HOSTILE, figures=full_figures()), dataset(name="shop", figures=full_figures())]
    document = page(*datasets)
    assert document == page(*datasets)
    ids = re.findall(r' id="([^"]*)"', document)
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]*)"', document)) | set(re.findall(r"url\(#([^)]*)\)", document))
    assert targets <= set(ids)
    assert not Document(document).of("script")
    assert not re.findall(r"#0[1-7]0[1-7]0[1-7]", document)
    assert figure_views([])["cotr"] is None
