"""The plot of `compare-models`: everything inside the drawing, and no mark hidden by another."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from schemas.stat_text_removal import REMOVAL_IMAGE_TYPES
from spark_jobs.report.figures.model_comparison import model_plot
from tests.drawings import texts_inside
from tests.removal_report_samples import MEANS

LONG = "coca_ViT-L-14/mscoco_finetuned_laion2B-s13B-b90k"


def measures(*, shift: float = 0.0, equal: bool = False) -> dict[str, float | None]:
    means = {f"mean_{name}": 0.3 if equal else value + shift for name, value in MEANS.items()}
    return {**means, "images_raw_with_text": 10_001, "mean_rsa": 0.04, "mean_rsc": None}


@pytest.mark.parametrize("models", [2, 12])
def test_all_text_lies_inside_the_drawing(models: int) -> None:
    found = {f"{LONG}{place}": measures(shift=place / 100) for place in range(models)}

    root = ElementTree.fromstring(model_plot(found, "laion"))

    assert set(found) <= set(texts_inside(root))


def test_equal_means_of_raw_all_emb_and_co_emb_do_not_hide_each_other() -> None:
    root = ElementTree.fromstring(model_plot({"A": measures(equal=True), "B": measures(equal=True)}, "d"))

    marks = [
        (element.attrib["x"], element.attrib["y"])
        for element in root.iter()
        if element.tag.endswith("use") and "stroke-width: 1.4" in element.attrib.get("style", "")
    ]
    in_legend = len(REMOVAL_IMAGE_TYPES)
    drawn = marks[: len(marks) - in_legend]
    assert len(drawn) == 2 * len(REMOVAL_IMAGE_TYPES)
    assert len({y for _, y in drawn}) == 2 * 3
