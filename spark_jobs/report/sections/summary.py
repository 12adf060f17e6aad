"""The report's first screen: how bad it is, against the paper, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from spark_jobs.clip_models import is_random
from spark_jobs.report import formatting, paper
from spark_jobs.report.content import DatasetContent
from spark_jobs.report.sections.chance import chance_row, chance_sentence, is_beyond_chance

# Relative difference up to which two shares are called equal, for every share that the interval allows.
_ABOUT_EQUAL = 0.1


def sentence(row: Mapping[str, Any] | None, chance: Sequence[Mapping[str, Any]] = ()) -> str:
    """How many images have text and captions that share its words: of the paper's, and of chance.

    Args:
        row: Row of `stat_overall`; None where there is none.
        chance: Rows of `stat_chance`.
    """
    images = formatting.number(row, "images")
    if not images:
        return "No image of this dataset has been profiled, so there are no rates to show."
    with_text = formatting.percent(formatting.number(row, "share_with_text"))
    parrots = formatting.percent(formatting.number(row, "share_co_emb"))
    told = (
        f"Of {formatting.count(images)} images, {with_text} show text, and {parrots} have a caption that "
        f"repeats at least one word that can be read in the image{_compared(row)}."
    )
    return " ".join(filter(None, (told, chance_sentence(chance))))


def _compared(row: Mapping[str, Any] | None) -> str:
    """The share of parrot captions beside LAION-2B's, as far as the interval allows it to be told."""
    share, published = formatting.number(row, "share_co_emb"), paper.LAION_2B.row()["share_co_emb"]
    interval = formatting.ends(row, "share_co_emb")
    if share is None or not published or interval is None:
        return ""
    low, high = (end / published for end in interval)
    if low >= 1 - _ABOUT_EQUAL and high <= 1 + _ABOUT_EQUAL:
        return ": about as many as in the paper's LAION-2B"
    if low <= 1 <= high:
        between = formatting.percent_interval(row, "share_co_emb")
        return f": too few images to tell it from the paper's LAION-2B (95 % interval {between})"
    return f": {low:.1f} to {high:.1f} times the share of the paper's LAION-2B"


def headlines(
    row: Mapping[str, Any] | None, chance: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, str | None]]:
    """The three numbers of the summary, each beside the paper's; none where no image was profiled.

    Captions are called parrots only where exchanged captions share fewer words with the images.

    Args:
        row: Row of `stat_overall`.
        chance: Rows of `stat_chance`.
    """
    if not formatting.number(row, "images"):
        return []

    def count(column: str) -> str:
        return formatting.count(formatting.number(row, column))

    def percent(column: str) -> str:
        return formatting.percent(formatting.number(row, column))

    published = paper.LAION_2B.row()
    told = (
        (
            "Images with text",
            "share_with_text",
            f"{count('images_with_text')} of {count('images')} images",
        ),
        (
            "Parrot captions" if is_beyond_chance(chance) else "Captions that share a word with their image",
            "share_co_emb",
            f"{count('images_with_co_emb_text')} of {count('images')} images; "
            f"{percent('share_co_emb_of_text')} of those with text",
        ),
        (
            "CoTR in images with text",
            "cotr_with_text",
            "mean share of caption words that stand in the image; "
            f"{percent('cotr_in_total')} over all images",
        ),
    )
    return [
        {
            "label": label,
            "value": percent(column),
            "interval": formatting.percent_interval(row, column),
            "by_chance": _by_chance(chance, column),
            "detail": detail,
            "paper": formatting.percent(published[column]),
        }
        for label, column, detail in told
    ]


def _by_chance(chance: Sequence[Mapping[str, Any]], column: str) -> str | None:
    row = chance_row(chance, column)
    return None if row is None else formatting.percent(row["by_chance"])


def next_steps(dataset: DatasetContent, warehouse: str) -> list[dict[str, str]]:
    """What the numbers ask for, as commands that can be run as they stand.

    Args:
        dataset: What is known of the dataset.
        warehouse: Where its tables are.

    Returns:
        What each is for, and the command; the most useful first.
    """
    row = dataset.overall
    if not formatting.number(row, "images"):
        return [_step("Profile it", "run", dataset=dataset.name, warehouse=warehouse)]
    steps = []
    if dataset.subsets:
        subset = str(dataset.subsets[0]["subset_id"])
        steps.append(
            _step(
                "Write a subset for training",
                f"export {shlex.quote(subset)} --to exports",
                dataset=dataset.name,
                warehouse=warehouse,
            )
        )
    elif formatting.number(row, "images_with_co_emb_text"):
        steps.append(
            _step(
                "Cut the parrot captions out, with random subsets of the same size to compare with",
                "curate without_text cotr_eq_0 --control",
                dataset=dataset.name,
                warehouse=warehouse,
            )
        )
    if all(is_random(str(score["model"])) for score in dataset.clip_scores):
        # The paper's scores are OpenAI's; those of any other model are no comparison.
        trained = "Score with a trained CLIP model" if dataset.clip_scores else "Score with a CLIP model"
        what = f"{trained}: OpenAI's ViT-B-32, so that scores can be compared with the paper's"
        settings = "--set embed.model=ViT-B-32 --set embed.pretrained=openai"
        # Named: all stages, without the settings of before, would spot the text anew by the default spotter.
        stages = "run embed cluster remove_text statistics report"
        steps.append(_step(what, stages, dataset=dataset.name, warehouse=warehouse, settings=settings))
    elif dataset.text_removal is None:
        steps.append(
            _step(
                "See how much of the scores is text",
                "run remove_text statistics report",
                dataset=dataset.name,
                warehouse=warehouse,
            )
        )
    return steps


def _step(what: str, command: str, *, dataset: str, warehouse: str, settings: str = "") -> dict[str, str]:
    words = [f"parrot {command}", "--dataset", shlex.quote(dataset), "--warehouse", shlex.quote(warehouse)]
    return {"what": what, "command": " ".join([*words, *filter(None, [settings])])}
