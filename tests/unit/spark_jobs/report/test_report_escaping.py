from __future__ import annotations

import re

import pytest

from spark_jobs.report.content import Reading
from spark_jobs.report.page import read_input_key
from tests.report_samples import HOSTILE, Document, dataset, gallery_sample, hostile_page, page


def test_hostile_text_stays_text_everywhere() -> None:
    document = hostile_page()

    parsed = Document(document)
    assert "<script>" not in document
    assert not parsed.of("script")
    assert all("onerror" not in attributes for _, attributes in parsed.tags)
    assert all((image["src"] or "").startswith("data:image/jpeg") for image in parsed.of("img"))
    assert parsed.text.count(" ".join(HOSTILE.split())) >= 8
    assert "49" not in parsed.text[: parsed.text.index("Table 1")]


@pytest.mark.parametrize(
    "caption",
    [
        "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd",
        "\x00\x08\x1b[31mred\x7f\x9f",
        "\ud83d lone surrogate \udc00",
        "\U0001f600\U0001f468\u200d\U0001f469 emoji",
        "\ufffe\uffff",
        "x" * 102_400,
        "",
    ],
    ids=["right-to-left", "controls", "surrogates", "emoji", "non-characters", "100 kB", "empty"],
)
def test_any_caption_gives_a_page_that_can_be_written(caption: str) -> None:
    document = page(dataset(gallery=(gallery_sample(caption=caption, words=(Reading(caption),)),)))

    document.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", document)
    assert len(document) < 100_000
    assert not Document(document).misnested


def test_right_to_left_captions_are_isolated_from_what_stands_around_them() -> None:
    caption = "\u202eabc"

    assert f"<bdi>{caption}</bdi>" in page(
        dataset(gallery=(gallery_sample(caption=caption, co_emb_words=()),))
    )


@pytest.mark.parametrize("key", ["k3y", "", "0" * 64, "a\"b<c>&amp;'", "two words"])
def test_input_key_is_read_back(key: str) -> None:
    document = page(input_key=key)

    assert read_input_key(document) == key
    assert read_input_key(document[:500]) == key


def test_input_key_of_another_file_is_none() -> None:
    assert read_input_key("") is None
    assert read_input_key("<html><head><title>x</title></head></html>") is None


def test_a_caption_cannot_pose_as_the_input_key() -> None:
    forged = '<meta name="parrot-input-key" content="forged">'

    document = page(dataset(name=forged, gallery=(gallery_sample(caption=forged),)), title=forged)

    assert document.count(forged) == 0
    assert read_input_key(document) == "k3y"
