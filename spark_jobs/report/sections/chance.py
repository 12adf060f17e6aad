"""What of the parroting is more than chance: captions as they are beside captions exchanged among images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_jobs.report import formatting

Row = Mapping[str, Any]
_WORDS = {"all": "all caption words", "content": "content words"}
_MEASURES = {
    "share_co_emb": "Captions that share a word with their image",
    "share_co_emb_of_text": "The same among images with text",
    "cotr_in_total": "CoTR in total",
    "cotr_with_text": "CoTR in images with text",
    "fuzzy_cotr_in_total": "Fuzzy CoTR in total",
    "fuzzy_cotr_with_text": "Fuzzy CoTR in images with text",
}


def chance_row(rows: Sequence[Row], measure: str = "share_co_emb", words: str = "all") -> Row | None:
    """One statistic beside its chance level; None where it was not computed, or for no image."""
    found = (row for row in rows if row["measure"] == measure and row["words"] == words and row["images"])
    return next(found, None)


def is_beyond_chance(rows: Sequence[Row]) -> bool | None:
    """Whether captions share words with their images more often than exchanged ones; None where it is not known.

    Args:
        rows: Rows of `stat_chance`.
    """
    row = chance_row(rows)
    low = formatting.number(row, "difference_low")
    return None if low is None else low > 0


def chance_sentence(rows: Sequence[Row]) -> str | None:
    """What is known of the chance level, in words; None where nothing is.

    Args:
        rows: Rows of `stat_chance`.
    """
    row = chance_row(rows)
    if row is None:
        return None
    by_chance, interval = formatting.percent(row["by_chance"]), formatting.points_interval(row, "difference")
    exchanged = f"With captions exchanged among the images it is {by_chance}"
    if not is_beyond_chance(rows):
        return (
            f"{exchanged}: no more than chance can be told ({formatting.points(row['difference'])} points, "
            f"95 % interval {interval}), so the words in common are no sign of parroting."
        )
    content = chance_row(rows, words="content")
    of_content = (
        ""
        if content is None
        else f"; of content words alone {formatting.percent(content['observed'])} instead of "
        f"{formatting.percent(content['by_chance'])}"
    )
    return (
        f"{exchanged}, so {formatting.points(row['difference'])} points (95 % interval {interval}) are more than "
        f"chance{of_content}."
    )


def chance_views(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of the table, as text, in order; empty where the chance level was not computed.

    Args:
        rows: Rows of `stat_chance` of one dataset.
    """
    found = [
        (label, words, row)
        for words in _WORDS
        for measure, label in _MEASURES.items()
        if (row := chance_row(rows, measure, words)) is not None
    ]
    return [
        {
            "label": label,
            "words": _WORDS[words],
            "images": formatting.count(row["images"]),
            "is_small": row["images"] < formatting.FEW,
            "observed": formatting.percent(formatting.number(row, "observed")),
            "observed_interval": formatting.percent_interval(row, "observed"),
            "by_chance": formatting.percent(formatting.number(row, "by_chance")),
            "by_chance_interval": formatting.percent_interval(row, "by_chance"),
            "difference": formatting.points(formatting.number(row, "difference")),
            "difference_interval": formatting.points_interval(row, "difference"),
        }
        for label, words, row in found
    ]
