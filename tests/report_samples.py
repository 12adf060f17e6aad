"""Content with invented numbers, the pages made of it, and a reader of pages, for the report's tests."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from spark_jobs.report.content import (
    DatasetContent,
    FrequentError,
    GallerySample,
    Generation,
    Reading,
    ReportContent,
    StageAccount,
)
from spark_jobs.report.page import render
from spark_jobs.report.sections.clip_scores import SCORE_COLUMNS

GENERATION = Generation(
    parrot_version="9.8.7",
    warehouse="s3://team/warehouse",
    spotters=("easyocr en",),
    models=("ViT-B-32/some",),
    run_keys={"spotted_text": "0123456789abcdef0123456789abcdef"},
)
# Every number differs from every other and from the paper's, so that finding it is finding this one.
OVERALL = {
    "dataset": "shop",
    "samples": 54_321,
    "images": 51_111,
    "not_spotted": 2_345,
    "without_caption_words": 865,
    "captions_not_cut": 41,
    "images_with_text": 23_456,
    "images_with_unsure_text": 1_234,
    "share_unsure_text": 0.0247,
    "images_with_co_emb_text": 12_222,
    "share_with_text": 0.458923,
    "share_co_emb": 0.239127,
    "share_co_emb_of_text": 0.521061,
    "cotr_in_total": 0.111234,
    "cotr_with_text": 0.242381,
    "fuzzy_cotr_in_total": 0.201745,
    "fuzzy_cotr_with_text": 0.439606,
    "cotr_verbatim_in_total": 0.021387,
    "cotr_verbatim_with_text": 0.046603,
}
PRINTED = {
    "54,321", "51,111", "2,345", "865", "23,456", "12,222", "45.89%", "23.91%", "52.11%", "11.12%", "24.24%",
    "20.17%", "43.96%", "2.14%", "4.66%", "41", "1,234", "2.47%",
}  # fmt: skip
VOID_TAGS = {"meta", "img", "br", "link", "input", "hr"}


def score_row(image_type: str, images: int, first: float) -> dict[str, object]:
    values = {name: first + index / 100 for index, name in enumerate(SCORE_COLUMNS)}
    return {"model": "ViT-B-32/some", "image_type": image_type, "images": images, **values}


def gallery_sample(**changes: object) -> GallerySample:
    base = GallerySample(
        sample_key="00000/abcd",
        image_type="concurrent",
        caption="Grand Sale today",
        co_emb_words=("sale",),
        cotr=0.3333,
        fuzzy_cotr=0.4567,
        clip_score=0.2987,
        words=(Reading("SALE", ((4.0, 4.0), (30.0, 4.0), (30.0, 20.0), (4.0, 20.0)), 0.9),),
        pixels=np.full((40, 60, 3), 90, dtype=np.uint8),
    )
    return replace(base, **changes)


def dataset(**changes: object) -> DatasetContent:
    base = DatasetContent(
        name="shop",
        overall=OVERALL,
        clip_scores=(score_row("no_text", 7_001, 0.2011), score_row("concurrent", 7_002, 0.3013)),
        accounts=(StageAccount("embed", 51_999, 1_776, 546), StageAccount("remove_text")),
        errors=(FrequentError("embed", "cannot be decoded: truncated", 1_492),),
        notes=("Only the first shard was read.",),
        gallery=(gallery_sample(),),
    )
    return replace(base, **changes)


def page(*datasets: DatasetContent, **changes: object) -> str:
    content = ReportContent("Parrot captions of shop", "k3y", GENERATION, datasets or (dataset(),))
    return render(replace(content, **changes))


class Document(HTMLParser):
    """The page as a browser sees it: text, tags and attributes; checks that tags close in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.misnested: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.misnested.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def table_rows(document: str) -> dict[str, list[str]]:
    """Cells of every row of every table, by the row's heading without its explanation."""
    rows = {}
    for row in re.findall(r'<tr><th scope="row">(.*?)</tr>', document, re.S):
        heading, _, cells = row.partition("</th>")
        label = re.sub("<span class=.meaning.*|<[^>]*>", "", heading).strip()
        rows.setdefault(label, []).extend(
            re.sub("<[^>]*>", " ", cell).split() for cell in re.findall(r"<td[^>]*>(.*?)</td>", cells, re.S)
        )
    return rows


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;{{ 7 * 7 }}"


def hostile_page() -> str:
    sample = gallery_sample(
        sample_key=HOSTILE,
        caption=HOSTILE,
        co_emb_words=("script", "alert"),
        words=(Reading(HOSTILE),),
        error=HOSTILE,
    )
    shop = dataset(
        name=HOSTILE,
        clip_scores=({**score_row("no_text", 3, 0.2), "model": HOSTILE},),
        accounts=(StageAccount(HOSTILE, 1, 1, 1),),
        errors=(FrequentError(HOSTILE, HOSTILE, 3),),
        notes=(HOSTILE,),
        gallery=(sample, replace(sample, image_type=HOSTILE)),
    )
    generation = Generation(HOSTILE, HOSTILE, (HOSTILE,), (HOSTILE,), {HOSTILE: HOSTILE}, HOSTILE)
    return render(ReportContent(HOSTILE, HOSTILE, generation, (shop,), (HOSTILE,)))
