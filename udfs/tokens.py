"""The one tokeniser: caption and spotted text become words here, for both readings of CoTR."""

from __future__ import annotations

import re
import unicodedata

import regex

# A run of letters, marks and digits that holds a letter or a digit: a variation selector after an emoji is
# a mark too (U+FE0F), and alone it is no word.
_WORD = regex.compile(r"\p{M}*[\p{L}\p{Nd}][\p{L}\p{M}\p{Nd}]*")
_ASCII_WORD = re.compile(r"[a-z0-9]+")  # what _WORD finds in normalised ASCII text, in a quarter of its time
_GRAPHEME = regex.compile(r"\X")


def normalise(text: str) -> str:
    """Fold what does not distinguish words: compatibility forms (NFKC) and case."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def normalised_words(text: str | None) -> list[str]:
    """Words of the default reading: runs of letters, marks and digits of the normalised text.

    Returns:
        Words in order, repeats kept; empty for None or for text without a word.
    """
    if not text:
        return []
    pattern = _ASCII_WORD if text.isascii() else _WORD
    words: list[str] = pattern.findall(normalise(text))
    return words


def verbatim_words(text: str | None) -> list[str]:
    """Words of the paper's Algorithm 1 to the letter: `str.split()`, case and punctuation kept."""
    return text.split() if text else []


def normalised_spans(text: str) -> list[tuple[str, int, int]]:
    """Words of the default reading with their place in the unchanged text.

    Returns:
        (word, start, end) with `text[start:end]` the characters that became the word.
    """
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for grapheme in _GRAPHEME.finditer(text):
        piece = normalise(grapheme.group())
        folded.append(piece)
        starts.extend([grapheme.start()] * len(piece))
        ends.extend([grapheme.end()] * len(piece))
    return [
        (match.group(), starts[match.start()], ends[match.end() - 1])
        for match in _WORD.finditer("".join(folded))
    ]
