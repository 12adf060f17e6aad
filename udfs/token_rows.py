"""The Arrow function of stage `overlap`: words of captions and of spotted text, in both readings of CoTR."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from schemas._table import KEY_COLUMNS
from udfs.tokens import verbatim_words
from udfs.word_cutting import WordCutter

NO_WORDS, NOT_CUT = "no_words", "script_without_spaces"
"""Why there is no CoTR: the caption has no word, or its words cannot be told apart."""

_USED = pa.struct([("index", pa.int32()), ("co_emb", pa.bool_()), ("area_ratio", pa.float64())])
_LISTS = ("caption_words", "spotted_words", "caption_verbatim", "spotted_verbatim")
TOKENS = pa.schema(
    [
        *((name, pa.string()) for name in (*KEY_COLUMNS, "status", "error", "cotr_reason")),
        ("text_detected", pa.bool_()),
        ("spotted_word_count", pa.int32()),
        ("mean_confidence", pa.float64()),
        ("used_words", pa.list_(_USED)),
        *((name, pa.list_(pa.string())) for name in _LISTS),
    ]
)
"""What comes out."""
_CONFIDENCE_DIGITS = 6


def tokenise_rows(cutter: WordCutter) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function for `mapInArrow`.

    Args:
        cutter: Cuts text into words.

    Returns:
        From rows with the key, `caption`, `spotted` (the spotted words, with `counts` and `detects`: whether they
        reach the confidences) and status and error of the spotting, `text_status` and `text_error`, to `TOKENS`: one
        row per row, in order.
    """

    def tokenise(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = [token_row(row, cutter) for row in input_rows(batch)]
            yield pa.RecordBatch.from_pylist(rows, schema=TOKENS)

    return tokenise


def input_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The batch's rows as `to_pylist` gives them, in a third of its time: words are converted field by field."""
    spotted = batch.column("spotted")
    words = spotted.flatten()
    fields = [field.name for field in words.type]
    values = [column.to_pylist() for column in words.flatten()]
    taken = (dict(zip(fields, word, strict=True)) for word in zip(*values, strict=True))
    counts = spotted.value_lengths().to_pylist()
    lists = [None if count is None else list(islice(taken, count)) for count in counts]
    names = [name for name in batch.schema.names if name != "spotted"]
    flat = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    return [
        {**dict(zip(names, row, strict=True)), "spotted": found}
        for row, found in zip(flat, lists, strict=True)
    ]


def token_row(row: dict[str, Any], cutter: WordCutter) -> dict[str, Any]:
    """Words of one sample's caption and picture.

    Text is detected by a reading with a letter or digit: punctuation alone is no text. A word counts if it holds a
    letter or digit too and reaches the minimum confidence.
    """
    common = {name: row[name] for name in KEY_COLUMNS}
    if row["text_status"] != "ok":
        return {**common, "status": "skipped", "error": f"spot_text: {row['text_error']}"}
    caption_words = _distinct(cutter.words(row["caption"]))
    reason = _reason(row["caption"], caption_words, cutter)
    if reason is not None:
        caption_words = []
    wanted = set(caption_words)
    spotted = [(word, cutter.words(word["text"])) for word in row["spotted"] or []]
    detected = any(own and word["detects"] for word, own in spotted)
    used = [(word, own) for word, own in spotted if own and word["counts"]]
    # To the letter, "&" is a word too; where punctuation is all there is, there is no text.
    verbatim = [word["text"] for word, _ in spotted if word["counts"]] if detected else []
    return {
        **common,
        "status": "ok",
        "cotr_reason": reason,
        "text_detected": detected,
        "spotted_word_count": len(used),
        "mean_confidence": _mean([word["confidence"] for word, _ in used]),
        "used_words": [
            {
                "index": word["index"],
                "co_emb": not wanted.isdisjoint(own),
                "area_ratio": word["area_ratio"],
            }
            for word, own in used
        ],
        "caption_words": caption_words,
        "spotted_words": _distinct([word for _, own in used for word in own]),
        "caption_verbatim": [] if reason == NOT_CUT else _distinct(verbatim_words(row["caption"])),
        "spotted_verbatim": _distinct([piece for text in verbatim for piece in verbatim_words(text)]),
    }


def _reason(caption: str | None, words: list[str], cutter: WordCutter) -> str | None:
    if not words:
        return NO_WORDS
    return None if cutter.is_cut(caption) else NOT_CUT


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), _CONFIDENCE_DIGITS) if values else None


def _distinct(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))
