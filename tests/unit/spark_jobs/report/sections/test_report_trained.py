from __future__ import annotations

import json
import re

from spark_jobs.report.sections.trained import trained_views
from tests.report_samples import dataset, page


def row(subset, seed, value, **values):
    recipe = {"lr": 0.1, "seed": seed}
    return {
        "model": "parrot-tiny",
        "recipe": json.dumps(recipe),
        "samples_seen": 20_000,
        "subset_id": subset,
        "seed": seed,
        "task": "<shapes>",
        "metric": "acc1",
        "value": value,
        "chance": 0.05,
        **values,
    }


ROWS = (row("random", 0, 0.4), row("random", 1, 0.6), row("without_text", 0, 0.9))


def test_the_page_shows_means_over_seeds_a_measure_a_row():
    document = page(dataset(trained=ROWS))
    section = document.split('<section id="trained"')[1].split("</section>")[0]
    heads, cells = (
        [re.sub("<[^>]+>", "", cell) for cell in re.findall("<t[hd].*?</t[hd]>", part)]
        for part in section.split("<tbody>")
    )
    assert heads == ["Measure", "random, seeds: 2", "without_text, seeds: 1", "chance"]
    assert cells == ["acc1, &lt;shapes&gt;", "0.500\u00a0±\u00a00.141", "0.900", "0.050"]
    assert "20,000 pairs seen" in section
    assert "What training on it does" in document
    assert section.count("<table>") == 1


def test_other_budgets_are_tables_of_their_own():
    other = row("random", 0, 0.1, recipe=json.dumps({"lr": 0.2, "seed": 0}))
    assert [len(view["subsets"]) for view in trained_views([*ROWS, other])] == [2, 1]


def test_what_is_not_comparable_is_not_shown():
    nothing = [row("random", 0, None), row("random", 0, 0.3, metric="sync_wrong")]
    assert trained_views(nothing) == []
    assert '<section id="trained"' not in page(dataset())
