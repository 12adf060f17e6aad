from __future__ import annotations

from tests.report_samples import dataset, page

ROW = {
    "subset_id": "calm-100",
    "sentence": "No <b>text</b>",
    "members": 100,
    "samples": 4000,
    "source": "ours",
    "assumptions": ["a guess"],
    "content_hash": "c0ffee",
    "attrition": [
        {
            "condition": "caption_overlap.cotr < 0.5",
            "before": 4000,
            "removed": 1234,
            "unmeasured": 56,
            "left": 2766,
            "removed_alone": None,
        }
    ],
}


def test_the_page_shows_subsets_with_their_attrition():
    document = page(dataset(subsets=(ROW,)))
    section = document.split('<section id="subsets"')[1].split("</section>")[0]
    for text in ("calm-100", "No &lt;b&gt;text&lt;/b&gt;", "1,234", "2,766", "2.5", "c0ffee", "a guess"):
        assert text in section
    assert "caption_overlap.cotr &lt; 0.5" in section
    # One row of the overview, and one part that can be opened; few of them are open at once.
    assert (section.count("<details open>"), section.count('<th scope="row">')) == (1, 1)


def test_many_subsets_are_an_overview_with_closed_parts():
    rows = tuple({**ROW, "subset_id": f"calm-{number}"} for number in range(25))
    section = page(dataset(subsets=rows)).split('<section id="subsets"')[1].split("</section>")[0]
    assert section.count("<details>") == section.count('<th scope="row">') == 25


def test_a_page_without_subsets_has_no_such_section():
    assert "#subsets" not in page(dataset())
