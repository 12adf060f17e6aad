from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from schemas.stat_relative_score import RELATIVE_SCORES
from schemas.stat_text_removal import REMOVAL_IMAGE_TYPES
from spark_jobs.report.figures.text_removal import (
    DIFFERENCE_LABELS,
    RELATIVE_LABELS,
    REMOVAL_TYPES,
    group_means,
    relative_histograms,
)
from spark_jobs.report.paper import TABLE_2
from spark_jobs.report.read.text_removal import gallery_model, removed_text
from tests.removal_report_samples import (
    MODEL,
    group_rows,
    image_type_rows,
    relative_row,
    relative_rows,
    removal,
    removal_sample,
)
from tests.report_samples import Document, dataset, gallery_sample, page, table_rows


def removal_page(**changes: object) -> str:
    return page(dataset(text_removal=removal(**changes)))


def label_of(svg: object) -> str:
    return str(re.search('aria-label="([^"]*)"', str(svg)).group(1))


def pictures(document: str) -> list[np.ndarray]:
    start = document.index('<div class="pairs">')
    sources = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', document[start:])
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(source)))) for source in sources]


def test_what_is_drawn_and_published_covers_the_tables_values() -> None:
    assert tuple(kind.name for kind in REMOVAL_TYPES) == REMOVAL_IMAGE_TYPES
    assert tuple(TABLE_2) == tuple(name for name in REMOVAL_IMAGE_TYPES if name != "raw_concurrent")
    assert set(RELATIVE_LABELS) < set(DIFFERENCE_LABELS)
    assert tuple(DIFFERENCE_LABELS) == RELATIVE_SCORES
    # Without colour a type is told by the form of its marker and by whether it is filled.
    assert len({(kind.marker, kind.filled) for kind in REMOVAL_TYPES}) == len(REMOVAL_TYPES)


def test_table_2_stands_beside_the_papers() -> None:
    rows = table_rows(removal_page())

    assert rows["All-Emb. removal"] == [
        ["10,004"],
        ["0.2741", "±", "0.0531"],
        ["12"],
        ["0.2744", "±", "0.0141"],
        ["0.2974", "±", "0.0197"],
    ]
    assert rows["raw, without text"][-1] == ["0.3223", "±", "0.0078"]
    assert rows["random Co-Emb. removal"][-1] == ["0.3341", "±", "0.0051"]
    assert rows["raw, concurrent"][1][0] == "0.3155"
    assert rows["raw, concurrent"][-1] == ["n/a"]


def test_paired_differences_stand_with_their_interval_and_hits_are_told() -> None:
    row = next(row for row in relative_rows() if row["relative_score"] == "random_minus_co")
    document = removal_page()

    rows = table_rows(document)
    half = 1.96 * row["std"] / 5_000**0.5
    shown = " ".join(rows["S(random Co-Emb. removal) - S(Co-Emb. removed)"][-1])
    assert shown == f"{row['mean'] - half:+.4f} to {row['mean'] + half:+.4f}"
    assert rows["S(raw) - S(random Co-Emb. removal)"] == [["0"], ["n/a"], ["n/a"]]
    text = Document(document).text
    assert "in 37 of 10,006 images some is hit all the same, 1.23%" in text


def test_without_clusters_the_groups_figures_are_missing_and_the_page_says_how_to_get_them() -> None:
    document = removal_page(image_types=tuple(image_type_rows(groups=None)), clusters=())

    assert table_rows(document)["Co-Emb. removal"][2:4] == [["n/a"], ["n/a"]]
    assert "parrot run cluster statistics report" in Document(document).text
    assert "by group of clusters (the paper’s Fig. 5, left)" not in document


def test_the_share_of_rises_is_told() -> None:
    row = relative_rows()[0]

    text = Document(removal_page()).text

    assert f"of 5,000 images changes the CLIP score by {-row['mean']:+.4f} on average" in text
    assert f"in {row['share_below_zero']:.2%} of them it rises" in text


def test_pairs_show_the_picture_before_and_after_with_both_scores() -> None:
    document = removal_page()

    text = Document(document).text
    assert text.index("Largest drops") < text.index("0.3721") < text.index("0.1934") < text.index("0.1787")
    assert text.index("0.1787") < text.index("Largest rises") < text.index("-0.1101")
    before, after, *_ = pictures(document)
    assert before.std() > 10  # the outlines of what was filled in
    assert after.std() < 1
    assert "with its text filled in." in document


def test_unsafe_pictures_are_blurred_before_and_after() -> None:
    stripes = np.zeros((200, 200, 3), dtype=np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 240
    sample = removal_sample(before=gallery_sample(pixels=stripes, words=(), unsafe=True), after=stripes)

    document = removal_page(drops=(sample,), rises=())

    blurred = pictures(document)[:2]
    assert [picture.std() < 10 for picture in blurred] == [True, True]
    assert "Blurred: the source marks this image as unsafe." in Document(document).text
    clear = removal_sample(before=gallery_sample(pixels=stripes, words=()), after=stripes)
    assert pictures(removal_page(drops=(clear,), rises=()))[1].std() > 50


def test_a_sample_without_pictures_says_so() -> None:
    sample = removal_sample(before=gallery_sample(pixels=None, error="empty file (0 bytes)"), after=None)

    text = Document(removal_page(drops=(sample,), rises=())).text

    assert text.count("no picture") == 2
    assert "empty file (0 bytes)" in text
    assert "No such sample to show." in text


def test_a_dataset_without_text_removal_says_how_to_get_it() -> None:
    assert "parrot run remove_text statistics report" in Document(page()).text


def test_two_models_are_kept_apart_and_the_page_stays_well_formed() -> None:
    other = "other/model"
    document = removal_page(
        image_types=(*image_type_rows(), *image_type_rows(other)),
        clusters=(*group_rows(), *group_rows(other)),
        relative_scores=(*relative_rows(), *relative_rows(other)),
    )

    parsed = Document(document)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert not parsed.misnested
    assert parsed.text.count("mean ± spread over groups") == 2
    section = parsed.text[parsed.text.index("Text removal How much") :]
    assert section.index(f"under {MODEL}") < section.index(f"under {other}")


def test_the_figure_by_group_orders_groups_and_states_n() -> None:
    rows = [
        {"level": "group", "cluster_id": group, "model": MODEL, "image_type": name, "images": 7, "mean": mean}
        for group, mean in ((0, 0.3), (1, 0.2), (-1, 0.9))
        for name in REMOVAL_IMAGE_TYPES
        if name != "co_removed"
    ]
    drawn = str(group_means(rows, "k"))

    ticks = [int(text) for text in re.findall(r">\s*(\d+)\s*</text>", drawn)]
    assert ticks == [1, 0]  # by the mean of raw images with text; -1 is no group
    assert "All-Emb. removal (n = 14)" in drawn
    assert "Co-Emb. removal: no score, n = 0" in label_of(drawn)
    assert "raw, with text: 0.2000 to 0.3000, n = 14" in label_of(drawn)
    assert group_means([row for row in rows if row["cluster_id"] < 0], "k") is None


def test_a_hundred_groups_can_be_drawn() -> None:
    drawn = str(group_means(group_rows(groups=100), "k"))

    assert "100 groups of clusters" in drawn
    assert not re.findall(r">\s*\d+\s*</text>", drawn)


def test_histograms_state_n_mean_and_share_below_zero() -> None:
    rows = [
        relative_row("rsa", 0.1),
        {**relative_row("rsc", 0.0), "images": 0, "mean": None, "histogram": []},
    ]

    drawn = str(relative_histograms(rows, "k"))

    assert f"n = 5,000, mean {rows[0]['mean']:.4f}, below 0: {rows[0]['share_below_zero']:.2%}" in drawn
    assert drawn.count("no image has this score") == 2
    assert relative_histograms([], "k") is None


def test_bars_below_zero_are_hollow_and_the_others_filled() -> None:
    row = {**relative_row("rsa", 0.0), "histogram": [{"low": -0.04, "images": 1}, {"low": 0.02, "images": 1}]}

    drawn = str(relative_histograms([row], "k"))

    bars = re.findall(r'<path[^>]*style="([^"]*stroke: var\(--ink\)[^"]*linejoin: miter[^"]*)"', drawn)
    assert [("fill: none" in bar, "fill: var(--concurrent)" in bar) for bar in bars] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("used", "words", "lines"),
    [([], "", ""), (None, "", ""), ([0, 2], "ac", "XY"), ([2, 3], "cd", "Y"), ([1], "b", "X")],
    ids=str,
)
def test_the_text_removed_is_what_overlap_counted(used: list[int] | None, words: str, lines: str) -> None:
    row = {
        "words": [{"text": text, "line": line} for text, line in (("a", 0), ("b", 0), ("c", 1), ("d", 1))],
        "lines": [{"text": "X"}, {"text": "Y"}],
        "used_words": used if used is None else [{"index": index} for index in used],
    }

    found = removed_text(row)

    assert ["".join(reading["text"] for reading in part) for part in found] == [words, lines]
    assert removed_text({**row, "words": None, "lines": None}) == ([], [])


def test_the_gallerys_model_is_that_of_the_embeddings() -> None:
    assert gallery_model(["a", "b"], ["b"]) == "b"
    assert gallery_model(["b", "a"], ["c"]) == "a"
    assert gallery_model([], []) is None
