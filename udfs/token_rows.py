"""The Arrow function of stage `overlap`: words of captions and of spotted text, in both readings of CoTR."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from schemas._table import KEY_COLUMNS
from udfs.tokens import normalised_words, verbatim_words

_USED = pa.struct([("index", pa.int32()), ("co_emb", pa.bool_()), ("area_ratio", pa.float64())])
_LISTS = ("caption_words", "spotted_words", "caption_verbatim", "spotted_verbatim")
TOKENS = pa.schema(
    [
        *((name, pa.string()) for name in (*KEY_COLUMNS, "status", "error")),
        ("spotted_word_count", pa.int32()),
        ("used_words", pa.list_(_USED)),
        *((name, pa.list_(pa.string())) for name in _LISTS),
    ]
)
"""What comes out."""


def tokenise_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One row per row, in order: distinct words of either reading, and the spotted words that count.

    Args:
        batches: The key, `caption`, `used` (the spotted words that count) and status and error of the spotting,
            `text_status` and `text_error`.
    """
    for batch in batches:
        yield pa.RecordBatch.from_pylist([_token_row(row) for row in batch.to_pylist()], schema=TOKENS)


def _token_row(row: dict[str, Any]) -> dict[str, Any]:
    ok = row["text_status"] == "ok"
    used = (row["used"] or []) if ok else []
    caption_words = _distinct(normalised_words(row["caption"]))
    wanted = set(caption_words)
    tokens = [normalised_words(word["text"]) for word in used]
    return {
        **{name: row[name] for name in KEY_COLUMNS},
        "status": "ok" if ok else "skipped",
        "error": None if ok else f"spot_text: {row['text_error']}",
        "spotted_word_count": len(used) if ok else None,
        "used_words": [
            {
                "index": word["index"],
                "co_emb": not wanted.isdisjoint(own),
                "area_ratio": word["area_ratio"],
            }
            for word, own in zip(used, tokens, strict=True)
        ]
        if ok
        else None,
        "caption_words": caption_words,
        "spotted_words": _distinct([word for own in tokens for word in own]),
        "caption_verbatim": _distinct(verbatim_words(row["caption"])),
        "spotted_verbatim": _distinct([piece for word in used for piece in verbatim_words(word["text"])]),
    }


def _distinct(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))
