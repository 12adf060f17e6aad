"""What `parrot subset` prints, in a narrow terminal; no Spark."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from spark_jobs.commands import subset
from spark_jobs.config import load_config
from spark_jobs.subsets.definition import built_in

NAME = "debiased_shipped_scores-3000000-s1-control"
ROW = {
    "subset_id": NAME,
    "dataset": "laion2b_en",
    "definition": "debiased_shipped_scores",
    "sentence": "The simple fix",
    "predicate": "samples.status = 'ok'",
    "top": "the highest 30% by clip_embeddings.clip_score",
    "stratum": None,
    "size": 3_000_000,
    "seed": 1,
    "source": "section 8",
    "assumptions": ["one", "two"],
    "samples": 2_322_161_807,
    "qualifying": 3_500_000,
    "members": 3_000_000,
    "content_hash": "0123456789abcdef",
    "tables_read": [{"table_name": "samples", "delta_version": 3, "run_key": "fedcba9876543210"}],
    "attrition": [
        {
            "condition": "caption_overlap.image_type = 'no_text'",
            "before": 2_322_161_807,
            "removed": 1_238_265_380,
            "unmeasured": 336_877_685,
            "left": 1_083_896_427,
            "removed_alone": None,
        }
    ],
}


@pytest.fixture
def printed(monkeypatch):
    """Prints a view over the rows, as words: cells of a folded column are put together again."""

    def view(name, rows=(ROW,), dataset=None, **of):
        out = io.StringIO()

        def stored(tables, wanted):
            return [row for row in rows if wanted in (None, row["dataset"])]

        monkeypatch.setattr(subset, "_stored", stored)
        monkeypatch.setattr(subset, "Tables", lambda *_: None)
        monkeypatch.setattr(subset, "output_console", lambda: Console(file=out, width=80, color_system=None))
        config = load_config(options={"warehouse": "w", "dataset": dataset})
        getattr(subset, name)(None, config, **of)
        return out.getvalue()

    return view


def test_the_list_has_whole_names_and_what_can_be_built(printed):
    text = printed("print_list")
    assert "…" not in text
    assert all(len(line) <= 80 for line in text.splitlines())
    first = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
    assert "".join(first).startswith(NAME)
    assert "0.1%" in text
    assert "0123456789abcdef" in text
    assert set(built_in()) - set(first) == {"debiased_shipped_scores"}


def test_a_built_subset_is_shown_with_its_attrition(printed):
    text = printed("print_subset", subset_id=NAME)
    assert "…" not in text
    for told in ("3,000,000 of 2,322,161,807 (0.1%)", "1,238,265,380", "all samples", "a measure is missing"):
        assert told in text


def test_a_definition_is_shown_with_the_stages_that_it_needs(printed):
    text = printed("print_subset", subset_id="debiased", rows=())
    assert "needs stages" in text
    for stage in ("ingest", "embed", "overlap", "aesthetic", "deduplicate"):
        assert stage in text
    assert "`parrot curate debiased` builds it" in text


@pytest.mark.parametrize(
    ("name", "dataset", "told"),
    [
        (NAME, "cc12m", f"subset {NAME} of dataset cc12m is not built in w. It is built of laion2b_en"),
        ("debiased", "laion2b_en", "`parrot curate debiased` builds it"),
        ("debiasd", "laion2b_en", "Did you mean debiased"),
    ],
)
def test_a_subset_that_is_not_built_is_told_with_a_way_on(printed, name, dataset, told):
    with pytest.raises(subset.StageError) as caught:
        printed("print_diff", first=name, second=NAME, dataset=dataset)
    assert told in str(caught.value)
