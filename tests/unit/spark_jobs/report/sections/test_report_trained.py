from __future__ import annotations

import json

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


def test_the_page_shows_means_over_seeds():
    document = page(dataset(trained=ROWS))
    section = document.split('<section id="trained"')[1].split("</section>")[0]
    for text in (
        "random",
        "0.500 ± 0.141",
        "without_text",
        "0.900",
        "0.050",
        "20,000",
        "acc1, &lt;shapes&gt;",
    ):
        assert text in section
    assert "What training on it does" in document
    assert section.count("<table>") == 1


def test_other_budgets_are_tables_of_their_own():
    other = row("random", 0, 0.1, recipe=json.dumps({"lr": 0.2, "seed": 0}))
    assert [len(view["rows"]) for view in trained_views([*ROWS, other])] == [2, 1]


def test_what_is_not_comparable_is_not_shown():
    nothing = [row("random", 0, None), row("random", 0, 0.3, metric="sync_wrong")]
    assert trained_views(nothing) == []
    assert '<section id="trained"' not in page(dataset())
