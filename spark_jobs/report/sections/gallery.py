"""The gallery: a card per sample, with its thumbnail, and captions with the co-emb words marked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from markupsafe import Markup, escape

from spark_jobs.report import formatting
from spark_jobs.report.content import GallerySample, Reading
from spark_jobs.report.figures.thumbnails import draw_thumbnail, is_co_emb, jpeg_data_uri
from udfs.tokens import normalised_spans

CAPTION_CHARACTERS = 280
SPOTTED_WORDS = 40


@dataclass(frozen=True)
class Card:
    """One sample, ready for the template. Strings are unescaped unless they are `Markup`."""

    sample_key: str
    image_uri: str | None
    alt: str
    width: int | None
    height: int | None
    caption: Markup | None
    cut_from: str | None
    spotted: Markup | None
    spotted_left_out: int
    measured: bool
    cotr: str
    fuzzy_cotr: str
    clip_score: str
    error: str | None
    blurred: bool


def card(sample: GallerySample) -> Card:
    """Make the card of one sample.

    Raises:
        ValueError: If the sample's pixels are no RGB image.
    """
    readings = sample.words or sample.lines
    thumbnail = None if sample.pixels is None else draw_thumbnail(sample)
    caption = None if sample.caption is None else mark(_shown(sample.caption), sample.co_emb_words)
    spotted = [mark(_shown(reading.text), sample.co_emb_words) for reading in readings[:SPOTTED_WORDS]]
    too_long = sample.caption is not None and len(sample.caption) > CAPTION_CHARACTERS
    return Card(
        sample_key=sample.sample_key,
        image_uri=None if thumbnail is None else jpeg_data_uri(thumbnail),
        alt=_alternative_text(sample, readings),
        width=None if thumbnail is None else thumbnail.width,
        height=None if thumbnail is None else thumbnail.height,
        caption=caption,
        cut_from=formatting.count(len(sample.caption)) if too_long and sample.caption else None,
        spotted=Markup(" ").join(spotted) if spotted else None,
        spotted_left_out=max(0, len(readings) - SPOTTED_WORDS),
        measured=sample.image_type is not None,
        cotr=formatting.percent(sample.cotr),
        fuzzy_cotr=formatting.percent(sample.fuzzy_cotr),
        clip_score=formatting.score(sample.clip_score),
        error=None if sample.error is None else _shown(sample.error),
        blurred=sample.unsafe and thumbnail is not None,
    )


def mark(text: str, words: Collection[str]) -> Markup:
    """Escape `text` and put `<mark>` around every word whose normalised form is in `words`.

    Args:
        text: Any text; it is escaped.
        words: Normalised words (`caption_overlap.co_emb_words`).

    Returns:
        HTML.
    """
    wanted = set(words)
    pieces: list[Markup] = []
    position = 0
    for word, start, end in normalised_spans(text) if wanted else []:
        # One character can hold two words ("½"): the second then starts before the first has ended.
        start = max(start, position)
        if word not in wanted or start >= end:
            continue
        pieces += [escape(text[position:start]), Markup("<mark>{}</mark>").format(text[start:end])]
        position = end
    return Markup("").join([*pieces, escape(text[position:])])


def _shown(text: str) -> str:
    """Cut a text that is too long to show, between two words where there is a blank to cut at."""
    if len(text) <= CAPTION_CHARACTERS:
        return text
    head = text[:CAPTION_CHARACTERS]
    blank = max(head.rfind(" "), head.rfind("\n"), head.rfind("\t"))
    return (head[:blank] if blank > CAPTION_CHARACTERS // 2 else head) + " \N{HORIZONTAL ELLIPSIS}"


def _alternative_text(sample: GallerySample, readings: tuple[Reading, ...]) -> str:
    words = set(sample.co_emb_words)
    shown = readings[:SPOTTED_WORDS]
    co_emb = [_shown(reading.text) for reading in shown if is_co_emb(reading, words)]
    others = [_shown(reading.text) for reading in shown if not is_co_emb(reading, words)]
    blurred = " (blurred)" if sample.unsafe else ""
    parts = [f"Image of sample {sample.sample_key}{blurred}."]
    if co_emb:
        parts.append(f"Spotted and in the caption: {', '.join(co_emb)}.")
    if others:
        parts.append(f"Spotted, not in the caption: {', '.join(others)}.")
    if not readings and sample.image_type is not None:
        parts.append("No text spotted.")
    return " ".join(parts)
