from __future__ import annotations

import re
from itertools import pairwise

from schemas import stat_clip_score, stat_overall
from spark_jobs.report.content import DatasetContent, Generation, ReportContent
from spark_jobs.report.page import render
from spark_jobs.report.sections.clip_scores import SCORE_COLUMNS
from spark_jobs.report.sections.table_1 import TABLE_1
from tests.report_samples import (
    OVERALL,
    PRINTED,
    Document,
    dataset,
    gallery_sample,
    hostile_page,
    page,
    score_row,
    table_rows,
)


def test_every_overall_number_appears() -> None:
    missing = {number for number in PRINTED if number not in Document(page()).text}

    assert len(PRINTED) == len(OVERALL) - 1
    assert not missing


def test_table_1_covers_every_measure_of_stat_overall() -> None:
    named = {"dataset", "run_key", "input_key", "images_with_verbatim_co_emb_text"}
    for _, quantities in TABLE_1:
        for quantity in quantities:
            number = quantity.share_column or quantity.column
            named |= {quantity.column, number}
            if quantity.is_share or quantity.share_column:
                named |= {f"{number}_low", f"{number}_high"}

    assert named == set(stat_overall.TABLE.columns)


def test_score_columns_are_those_of_stat_clip_score() -> None:
    others = {"dataset", "model", "image_type", "images", "mean_low", "mean_high", "run_key", "input_key"}

    assert set(SCORE_COLUMNS) | others == set(stat_clip_score.TABLE.columns)


def test_numbers_stand_in_their_row_beside_the_papers() -> None:
    rows = table_rows(page())

    assert rows["Total images"] == [["51,111"], ["1,985,284,122"], ["9,230,079"], ["527,156,206"]]
    assert rows["Images with embedded text"][:2] == [["23,456", "45.89%"], ["1,083,896,427", "54.60%"]]
    assert rows["Images with co-emb text"][1:] == [["663,600,432", "33.43%"], ["n/a"], ["n/a"]]
    assert rows["CoTR in images with text"] == [["24.24%"], ["28.24%"], ["16.75%"], ["5.75%"]]
    assert rows["Fuzzy CoTR in total"] == [["20.17%"], ["30.46%"], ["15.94%"], ["15.70%"]]


def test_clip_scores_by_image_type_are_listed_in_full() -> None:
    rows = table_rows(page())

    values = ["0.2011", "0.2111", "0.2211", "0.2311", "0.2411", "0.2511", "0.2611"]
    assert rows["no text"] == [["7,001"], *([value] for value in values)]
    assert rows["concurrent"][0] == ["7,002"]
    assert rows["text, not concurrent"] == [["0"], *[["n/a"]] * 7]


def test_two_models_are_kept_apart() -> None:
    other = {**score_row("no_text", 7_003, 0.1), "model": "other/model"}

    text = Document(page(dataset(clip_scores=(score_row("no_text", 7_001, 0.2), other)))).text

    assert text.index("under ViT-B-32/some") < text.index("7,001") < text.index("under other/model")
    assert text.index("under other/model") < text.index("7,003")


def test_accounting_lists_rows_by_status_and_errors() -> None:
    document = page()

    rows = table_rows(document)
    assert rows["embed"] == [["51,999"], ["1,776"], ["546"], ["54,321"]]
    assert rows["remove_text"] == [["n/a"]] * 4
    assert "cannot be decoded: truncated embed 1,492" in Document(document).text


def test_gallery_shows_picture_marked_caption_and_numbers() -> None:
    document = page()

    parsed = Document(document)
    (image,) = parsed.of("img")
    assert (image["src"] or "").startswith("data:image/jpeg;base64,")
    assert image["alt"] == "Image of sample 00000/abcd. Spotted and in the caption: SALE."
    assert (image["width"], image["height"]) == ("60", "40")
    assert "Grand <mark>Sale</mark> today" in document
    assert all(part in parsed.text for part in ("33.33%", "45.67%", "0.2987", "00000/abcd"))


def test_samples_are_grouped_by_their_image_type() -> None:
    kinds = ("no_text", "concurrent", "text_not_concurrent", None)
    samples = tuple(gallery_sample(sample_key=f"key-{kind}", image_type=kind) for kind in kinds)

    text = Document(page(dataset(gallery=samples))).text

    gallery = text[text.index("A few samples of each type") :]
    order = [gallery.index(f" key-{kind}") for kind in ("concurrent", "text_not_concurrent", "no_text", None)]
    assert order == sorted(order)
    assert gallery.index("not measured") < order[-1]


def test_facts_of_generation_and_notes_appear() -> None:
    text = Document(page(notes=("Scores mean nothing: random weights.",))).text

    facts = ("9.8.7", "s3://team/warehouse", "easyocr en", "ViT-B-32/some", "spotted_text 0123456789ab")
    assert all(fact in text for fact in (*facts, "Only the first shard was read.", "Scores mean nothing"))
    assert "0123456789abc" not in text


def test_samples_without_a_result_are_pointed_out() -> None:
    assert "2,345 of 54,321 samples (4.32%) have no text-spotting result" in Document(page()).text


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    document = page()

    parsed = Document(document)
    addresses = [
        value or ""
        for _, attributes in parsed.tags
        for name, value in attributes.items()
        if name in {"src", "href", "xlink:href", "srcset", "action", "poster", "data"}
    ]
    assert addresses
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in addresses)
    assert not {"script", "link", "iframe", "object", "base"} & {name for name, _ in parsed.tags}
    assert not re.search(r"https?://|@import|url\((?!#)", document)


def test_links_and_labels_within_the_page_have_their_target() -> None:
    parsed = Document(page())

    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    pointers = [(link["href"] or "")[1:] for link in parsed.of("a")]
    pointers += [
        attributes["aria-labelledby"] or ""
        for _, attributes in parsed.tags
        if "aria-labelledby" in attributes
    ]
    assert len(ids) == len(set(ids))
    assert len(pointers) > 8
    assert set(pointers) <= set(ids)


def test_pages_are_well_formed_and_accessible() -> None:
    for document in (page(), page(dataset(), dataset(name="second")), hostile_page()):
        parsed = Document(document)
        assert not parsed.misnested
        assert not parsed.open
        assert all(image.get("alt") for image in parsed.of("img"))
        assert all(heading.get("scope") for heading in parsed.of("th"))
        assert all(drawing.get("aria-label") for drawing in parsed.of("svg"))
        levels = [int(name[1]) for name, _ in parsed.tags if re.fullmatch("h[1-6]", name)]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))


def test_a_report_without_datasets_renders_and_says_so() -> None:
    text = Document(render(ReportContent("Nothing", "k", Generation("1", "w")))).text

    assert "This report holds no dataset." in text
    assert "none recorded" in text


def test_a_dataset_without_anything_says_what_is_missing() -> None:
    text = Document(page(DatasetContent("bare"))).text

    for said in (
        "have not been computed",
        "No image of this dataset has been profiled",
        "no image profiled",
        "No CLIP score has been computed",
        "No stage has written rows",
        "No sample of this type to show",
    ):
        assert said in text


def test_zero_images_and_null_rates_render() -> None:
    empty = {name: 0 if isinstance(value, int) else None for name, value in OVERALL.items()}

    document = page(dataset(overall=empty))

    rows = table_rows(document)
    assert rows["Total images"][0] == ["0"]
    assert rows["Images with embedded text"][0] == ["0"]
    assert rows["CoTR in total"][0] == ["n/a"]
    assert "nan" not in Document(document).text.lower().split()


def test_a_dataset_without_text_says_that_means_over_text_do_not_exist() -> None:
    row = {
        **OVERALL,
        "images_with_text": 0,
        "images_with_co_emb_text": 0,
        "share_with_text": 0.0,
        "share_co_emb": 0.0,
    }
    row |= dict.fromkeys(("share_co_emb_of_text", "cotr_with_text", "fuzzy_cotr_with_text"))

    text = Document(page(dataset(overall=row))).text

    assert "means over images with text do not exist" in text
    assert "no text 100.00%" in text


def test_samples_without_picture_caption_or_score_say_so() -> None:
    sample = gallery_sample(
        pixels=None,
        caption=None,
        cotr=None,
        fuzzy_cotr=None,
        clip_score=None,
        words=(),
        error="empty file (0 bytes)",
    )

    document = page(dataset(gallery=(sample,)))

    text = Document(document).text
    assert all(
        said in text for said in ("no picture", "no caption", "empty file (0 bytes)", "No text spotted.")
    )
    assert not Document(document).of("img")


def test_equal_content_gives_an_equal_page() -> None:
    assert page() == page()
    assert page() != page(input_key="other")


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two `#rrggbb` colours (WCAG 2.1)."""

    def luminance(colour: str) -> float:
        channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_text_has_enough_contrast_in_light_and_dark() -> None:
    palettes = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for block in re.findall(r":root \{(.*?)\}", page(), re.S)
    ]

    assert len(palettes) == 2
    for palette in palettes:
        on_page = [
            (palette[ink], palette[ground]) for ink in ("ink", "muted") for ground in ("paper", "panel")
        ]
        on_page += [(palette["accent"], palette["paper"]), (palette["bad"], palette["paper"])]
        on_page += [(palette["ink"], palette["note"]), (palette["mark-ink"], palette["mark"])]
        on_bars = [("#ffffff", palette[kind]) for kind in ("no-text", "text-not-concurrent", "concurrent")]
        assert all(contrast(*pair) >= 4.5 for pair in on_page + on_bars), palette


def test_gallery_says_which_pictures_are_blurred() -> None:
    samples = (gallery_sample(unsafe=True), gallery_sample())

    text = Document(page(dataset(gallery=samples))).text

    assert text.count("Blurred: the source marks this image as unsafe.") == 1
