"""Where the characters of a reading stand in the picture: right-to-left scripts run from the right.

Readings are in logical order, as they are spoken. Their visual order is that of the Unicode Bidirectional Algorithm
(UAX #9), by python-bidi, which EasyOCR itself takes to bring Arabic readings into logical order.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI"})


def visual_spans(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """Places of parts of a line, from its left end to its right one.

    Args:
        text: A line in logical order.
        spans: Parts of it, (start, end) in characters.

    Returns:
        (left, right) of each part, as shares of the line's characters, 0 to 1. A part whose characters are apart in
        the picture has all that lies between them too.
    """
    if not any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text):
        return [(start / len(text), end / len(text)) for start, end in spans]
    order = visual_order(text)
    place = {index: number for number, index in enumerate(order)}
    found = []
    for start, end in spans:
        places = [place[index] for index in range(start, end) if index in place]
        # Marks of direction alone take no room.
        left, right = (min(places), max(places) + 1) if places else (0, 0)
        found.append((left / max(1, len(order)), right / max(1, len(order))))
    return found


def visual_order(text: str) -> list[int]:
    """Index into the text of each character that is shown, from left to right."""
    from bidi import algorithm

    storage = algorithm.get_empty_storage()
    storage["base_level"] = algorithm.get_base_level(text)
    storage["base_dir"] = "LR"[storage["base_level"]]
    algorithm.get_embedding_levels(text, storage)
    for index, character in enumerate(storage["chars"]):
        character["index"] = index
    algorithm.explicit_embed_and_overrides(storage)
    algorithm.resolve_weak_types(storage)
    algorithm.resolve_neutral_types(storage, False)
    algorithm.resolve_implicit_levels(storage, False)
    algorithm.reorder_resolved_levels(storage, False)
    return [character["index"] for character in storage["chars"]]
