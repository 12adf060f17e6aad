from __future__ import annotations

import shlex

import pytest
import typer.main

from spark_jobs.cli import app
from spark_jobs.pipeline import select
from spark_jobs.report.content import RemovalContent
from spark_jobs.report.page import coded
from spark_jobs.report.sections.summary import headlines, next_steps, sentence
from tests.deployments import listed
from tests.report_samples import HOSTILE, OVERALL, Document, dataset, page, score_row

REAL = (score_row("no_text", 3, 0.2),)
RANDOM = ({**score_row("no_text", 3, 0.2), "model": "parrot-tiny/random-0"},)


def commands(**changes):
    return [step["command"] for step in next_steps(dataset(**changes), "team/warehouse")]


def parsed(command):
    """The command's name and its values, as `parrot` would read them."""
    _, name, *rest = shlex.split(command)
    return name, listed(typer.main.get_command(app).commands[name].make_context(name, rest).params)


@pytest.mark.parametrize(
    ("share", "low", "high", "told"),
    [
        (0.2, 0.19, 0.21, "0.6 times the share of the paper's LAION-2B"),
        (0.334, 0.33, 0.338, ": about as many as in the paper's LAION-2B"),
        (
            0.334,
            0.25,
            0.42,
            ": too few images to tell it from the paper's LAION-2B (95 % interval 25.00–42.00%)",
        ),
        (0.6685, 0.64, 0.7, "1.9 to 2.1 times the share"),
        (0.5, 0.335, 0.66, "1.0 to 2.0 times the share"),
        (0.334, None, None, "can be read in the image."),
        (None, None, None, "can be read in the image."),
    ],
)
def test_the_sentence_compares_with_the_paper_as_far_as_the_interval_allows(share, low, high, told):
    row = {**OVERALL, "share_co_emb": share, "share_co_emb_low": low, "share_co_emb_high": high}
    assert told in sentence(row)
    assert ("about as many" in sentence(row)) == ("about as many" in told)


def chance_of(observed, by_chance, low, high, *, words="all"):
    ends = {"difference_low": low, "difference_high": high}
    row = {"words": words, "measure": "share_co_emb", "images": 400, "observed": observed}
    return {**row, "by_chance": by_chance, "difference": observed - by_chance, **ends}


def test_captions_are_parrots_only_beyond_chance():
    beyond = (
        chance_of(0.5, 0.2, 0.25, 0.35),
        chance_of(0.4, 0.1, 0.25, 0.35, words="content"),
    )
    told = sentence(OVERALL, beyond)
    assert "With captions exchanged among the images it is 20.00%" in told
    assert "+30.00 points (95 % interval +25.00 to +35.00) are more than chance" in told
    assert "of content words alone 40.00% instead of 10.00%" in told
    labels = [headline["label"] for headline in headlines(OVERALL, beyond)]
    assert labels == ["Images with text", "Parrot captions", "CoTR in images with text"]
    alike = (chance_of(0.5, 0.48, -0.03, 0.07),)
    assert "no sign of parroting" in sentence(OVERALL, alike)
    for rows in (alike, ()):
        assert not any("arrot" in headline["label"] for headline in headlines(OVERALL, rows))
    assert headlines(OVERALL, alike)[1]["by_chance"] == "48.00%"
    assert "exchanged" not in sentence(OVERALL)


def test_nothing_is_compared_where_nothing_was_profiled():
    assert "No image" in sentence(None)
    assert "No image" in sentence({**OVERALL, "images": 0})


MEASURED = {"clip_scores": REAL, "text_removal": RemovalContent()}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"overall": None}, ["run"]),
        ({"clip_scores": ()}, ["curate", "run"]),
        ({"clip_scores": RANDOM}, ["curate", "run"]),
        ({"clip_scores": REAL}, ["curate", "run"]),
        (MEASURED, ["curate"]),
        ({**MEASURED, "overall": {**OVERALL, "images_with_co_emb_text": 0}}, []),
    ],
    ids=["not profiled", "no score", "random weights", "no removal", "all measured", "no parrots"],
)
def test_next_steps_follow_from_what_is_there_and_can_be_run(changes, names):
    found = [parsed(command) for command in commands(**changes)]
    assert [name for name, _ in found] == names
    for name, values in found:
        assert (values["dataset"], values["warehouse"]) == ("shop", "team/warehouse")
        if name == "run":
            select(values["stages"] or [])


def test_only_random_weights_ask_for_a_model_and_only_real_ones_for_the_text_removal():
    assert "embed.model=ViT-B-32 --set embed.pretrained=openai" in commands(clip_scores=RANDOM)[1]
    assert "run embed cluster remove_text statistics report --dataset" in commands(clip_scores=RANDOM)[1]
    assert parsed(commands(clip_scores=REAL)[1])[1]["stages"] == ["remove_text", "statistics", "report"]


def test_a_subset_that_exists_is_exported():
    found = commands(subsets=({"subset_id": "calm-3000-s1"},))
    name, values = parsed(found[0])
    assert (name, values["subset"]) == ("export", "calm-3000-s1")


def test_odd_names_are_quoted():
    steps = next_steps(dataset(name=HOSTILE), "my warehouse")
    assert {parsed(step["command"])[1]["dataset"] for step in steps} == {HOSTILE}


def test_notes_of_the_whole_page_stand_before_the_summary_with_their_commands_as_code():
    document = page(notes=("shop: run `parrot run overlap` & look",))
    assert "<code>parrot run overlap</code> &amp; look" in document
    assert document.index("parrot run overlap") < document.index('id="summary"')
    text = Document(document).text
    assert text.index("Read this first") < text.index("What to do next") < text.index("Table 1: profile")
    assert coded("a ` <b>") == "a ` &lt;b&gt;"
