"""What the report says of certainty: chance level, intervals, filters, subsets' scores, lengths, settings."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from schemas import stat_chance, stat_curation_score, stat_score_filter
from spark_jobs.report import formatting
from spark_jobs.report.figures.curves import caption_lengths, score_filter
from spark_jobs.report.sections.settings import differing, settings_of
from tests.drawings import texts_inside
from tests.report_samples import OVERALL, Document, dataset, page, score_row, table_rows

KEYS = {"dataset", "run_key", "input_key"}


def bounded(name, value, half=0.02):
    return {name: value, f"{name}_low": value - half, f"{name}_high": value + half}


def chance_row(measure, observed, by_chance, *, words="all", images=400):
    numbers = {
        **bounded("observed", observed),
        **bounded("by_chance", by_chance),
        **bounded("difference", observed - by_chance, 0.03),
    }
    return {"words": words, "measure": measure, "images": images, **numbers}


def filter_row(threshold, images, share):
    counts = {"images": images, "images_with_text": images, "images_concurrent": round(images * share)}
    shares = {
        **bounded("share_kept", images / 1000),
        **bounded("share_with_text", 0.9),
        **bounded("share_concurrent", share),
    }
    return {"model": "ViT-B-32/some", "threshold": threshold, **counts, **shares}


def curation_row(subset_id, study, mean, images=400):
    return {
        "model": "ViT-B-32/openai",
        "study": study,
        "subset_id": subset_id,
        "images": images,
        **bounded("mean_clip_score", mean),
    }


CHANCE = (
    chance_row("share_co_emb", 0.612, 0.204),
    chance_row("cotr_in_total", 0.3, 0.1, images=12),
    chance_row("share_co_emb", 0.5, 0.05, words="content"),
)
FILTERS = (
    filter_row(-1.0, 1000, 0.3),
    *(filter_row(n / 100, 1000 - 18 * n, 0.3 + n / 200) for n in range(51)),
)
CURATION = (curation_row("rsa_ge_0.3", "III", 0.3456), curation_row("random", "I", 0.3011, images=9))


def test_rows_of_the_tests_have_the_tables_columns():
    for row, spec in (
        (CHANCE[0], stat_chance.TABLE),
        (FILTERS[0], stat_score_filter.TABLE),
        (CURATION[0], stat_curation_score.TABLE),
    ):
        assert set(row) | KEYS == set(spec.columns)


def test_observed_by_chance_and_difference_stand_side_by_side():
    document = page(dataset(figures={"stat_chance": CHANCE}))
    text = Document(document).text
    assert "61.20% 59.20–63.20% 20.40% 18.40–22.40% +40.80 +37.80 to +43.80" in text
    assert 'class="few">12<' in document  # small n is visibly small
    assert "By chance, captions exchanged: 20.40%" in text
    assert "parrot run overlap statistics report" not in text
    assert "No chance level has been computed" in Document(page()).text


def test_intervals_stand_under_the_numbers_of_table_1():
    row = {**OVERALL, "share_co_emb_low": 0.2101, "share_co_emb_high": 0.2702}
    cells = table_rows(page(dataset(overall=row)))["Images with co-emb text"]
    assert cells[0] == ["12,222", "23.91%", "21.01–27.02%"]
    assert cells[1] == ["663,600,432", "33.43%"]
    score = {**score_row("no_text", 12, 0.2), "mean_low": 0.1811, "mean_high": 0.2244}
    text = Document(page(dataset(clip_scores=(score,)))).text
    assert "0.1811 to 0.2244" in text


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (formatting.percent_interval({"x_low": 0.1, "x_high": 0.25}, "x"), "10.00–25.00%"),
        (formatting.percent_interval({"x_low": 0.1, "x_high": None}, "x"), None),
        (formatting.percent_interval(None, "x"), None),
        (formatting.points(-0.0123), "−1.23"),
        (formatting.points(None), "n/a"),
        (formatting.points_interval({"x_low": -0.01, "x_high": 0.02}, "x"), "−1.00 to +2.00"),
        (formatting.score_interval({"x_low": 0.1, "x_high": 0.2}, "x"), "0.1000 to 0.2000"),
    ],
)
def test_intervals_are_printed(printed, expected):
    assert printed == expected


def test_what_a_filter_keeps_is_drawn_and_listed_at_laions_threshold():
    document = page(dataset(figures={"stat_score_filter": FILTERS}))
    rows = table_rows(document)
    assert rows["no filter"][0] == ["1,000"]
    (laion,) = (cells for name, cells in rows.items() if name.startswith("from 0.28 on"))
    assert laion[0] == ["496"]
    assert laion[3] == ["44.00%", "42.00–46.00%"]
    svg = str(score_filter(FILTERS, "k"))
    assert "LAION-2B: 0.28" in svg
    assert "from 0.25 on 55.00% kept, 42.50% of them parrot captions" in svg
    assert score_filter([filter_row(0.1, 5, 0.5)], "k") is None


@pytest.mark.parametrize("highest", [0.1, 0.28, 0.6])
def test_laions_threshold_is_named_inside_the_drawing(highest):
    """Where scores are low, as under random weights, its line stands at the right edge."""
    rows = [filter_row(threshold, 100, 0.4) for threshold in (0.0, highest / 2, highest)]
    assert "LAION-2B: 0.28" in texts_inside(ElementTree.fromstring(str(score_filter(rows, "k"))))


def test_scores_of_the_papers_subsets_stand_beside_the_papers():
    document = page(dataset(figures={"stat_curation_score": CURATION}))
    rows = table_rows(document)
    assert rows["rsa_ge_0.3"] == [["400"], ["0.3456", "0.3256", "to", "0.3656"], ["0.376"]]
    assert rows["random"][0] == ["9"]
    text = Document(document).text
    assert text.index("Curation I: ") < text.index("Curation III: ")
    assert 'id="curation"' not in page()


def length_row(place, words, images):
    ends = {"low": max(place - 1, 0) / 20, "high": place / 20}
    return {
        "measure": "cotr",
        "bin": place,
        **ends,
        "images": images,
        "images_with_text": images,
        **bounded("mean_caption_words", words, 0.5),
    }


def test_lengths_by_cotr_are_drawn_hollow_where_images_are_few():
    svg = str(caption_lengths([("shop", [length_row(0, 12.0, 90), length_row(20, 3.0, 10)])]))
    assert "CoTR to 0.00: 12.0 words, n = 90; shop, CoTR to 1.00: 3.0 words, n = 10" in svg
    assert "n = 100 images with text" in svg
    older = [{"measure": "cotr", "bin": 0, "images_with_text": 3}]
    assert caption_lengths([("shop", older)]) is None


SETTINGS = {
    "spotted_text": {
        "spotter": "easyocr",
        "version": "1.7.2",
        "languages": ["en"],
        "canvas_size": 2560,
        "mag_ratio": 1.0,
        "detector_precision": "fp32",
    },
    "caption_overlap": {"min_confidence": 0.3},
    "clip_embeddings": {"model": "ViT-B-32/openai", "precision": "fp32"},
    "text_removal_scores": {
        "inpaint": {"fill": "telea", "radius": 3, "dilation": 0},
        "models": [{"model": "ViT-B-32/openai"}],
    },
    "synthetic_text_scores": {"font": "ab" * 32, "font_px": 32, "canvas_px": 224, "models": []},
}


def test_settings_are_listed_and_datasets_that_differ_are_marked():
    one = dataset(settings=SETTINGS)
    told = settings_of(one)
    assert told["Text spotter"] == "easyocr 1.7.2 (en)"
    assert told["Words count from confidence"] == "0.3"
    assert told["Removed text is filled in by"] == "dilation 0, fill telea, radius 3"
    assert told["Sync scores: font"] == "font of SHA-256 abababababab, 32 px on 224 px"
    other = dataset(name="other", settings={**SETTINGS, "caption_overlap": {"min_confidence": 0.4}})
    assert differing([one, other]) == ["Words count from confidence"]
    assert differing([one, dataset(name="unknown")]) == []
    marked = Document(page(one, other)).text
    assert "Datasets were measured with different settings : Words count from confidence." in re.sub(
        r"\s+", " ", marked
    )
    alike = page(one, dataset(name="same", settings=SETTINGS))
    assert "≠" not in alike
    assert "easyocr 1.7.2 (en)" in alike
