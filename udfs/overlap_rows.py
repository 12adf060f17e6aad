"""The Arrow function of stage `overlap`: captions and spotted words in, CoTR in both readings, fuzzy CoTR, types out.

Nothing of it is SQL: words are cut in Python anyway (Spark has neither NFKC nor case-folding), and what works on arrays
word by word is interpreted by Spark, at ten times the cost (docs/speed.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas._table import KEY_COLUMNS
from udfs.heap import collector_paused
from udfs.overlap_rates import cotr, fuzzy_cotr
from udfs.polygon_areas import polygon_areas
from udfs.tokens import verbatim_words
from udfs.word_cutting import WordCutter

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_WORDS, NOT_CUT = "no_words", "script_without_spaces"
"""Why there is no CoTR: the caption has no word, or its words cannot be told apart."""

_USED = pa.struct([("index", pa.int32()), ("co_emb", pa.bool_()), ("area_ratio", pa.float64())])
OVERLAP = pa.schema(
    [
        *((name, pa.string()) for name in (*KEY_COLUMNS, "status", "error")),
        *((name, pa.list_(pa.string())) for name in ("caption_words", "co_emb_words", "spotted_words")),
        ("text_detected", pa.bool_()),
        ("spotted_word_count", pa.int32()),
        ("mean_confidence", pa.float64()),
        ("used_words", pa.list_(_USED)),
        *((name, pa.float64()) for name in ("cotr", "cotr_verbatim", "fuzzy_cotr")),
        ("cotr_reason", pa.string()),
        ("image_type", pa.string()),
    ]
)
"""What comes out: the measures of table `caption_overlap`."""
_CONFIDENCE_DIGITS = 6


@dataclass(frozen=True)
class WordRules:
    """Which spotted words say what.

    Attributes:
        min_confidence: Words from here on count for CoTR.
        detection_confidence: A word with a letter or digit from here on means that the image has text.
        cutter: Cuts captions and spotted text into words.
    """

    min_confidence: float
    detection_confidence: float = 0.0
    cutter: WordCutter = field(default_factory=WordCutter)


class SpottedWord(NamedTuple):
    """A spotted word that counts or detects.

    Attributes:
        place: Its place among all spotted words of the batch.
        text: As it was read.
        confidence: The spotter's.
        counts: Whether it reaches the confidence that words for CoTR need.
        detects: Whether it reaches the one that text needs.
    """

    place: int
    text: str | None
    confidence: float
    counts: bool
    detects: bool


def measure_overlap(batches: Iterable[pa.RecordBatch], *, rules: WordRules) -> Iterator[pa.RecordBatch]:
    """Measure the overlap of each sample's caption and spotted words.

    Args:
        batches: The key, `caption`, and of the spotting `words`, `image_width`, `image_height` (px), `text_status` and
            `text_error`.
        rules: Which spotted words count.

    Yields:
        `OVERLAP`, one row per row, in order; measures are null where text was not spotted.
    """
    for batch in batches:
        with collector_paused():
            columns = _columns(batch, rules)
        yield pa.RecordBatch.from_pydict(columns, schema=OVERLAP)


def _columns(batch: pa.RecordBatch, rules: WordRules) -> dict[str, Any]:
    samples = zip(
        *(batch.column(name).to_pylist() for name in (*KEY_COLUMNS, "text_status", "text_error", "caption")),
        spotted_words(batch.column("words"), rules),
        strict=True,
    )
    rows: list[dict[str, Any]] = []
    used: list[list[tuple[int, bool]] | None] = []
    for shard_id, sample_id, status, error, caption, spotted in samples:
        if status == "ok":
            row, own = measured(caption, spotted, cutter=rules.cutter)
        else:
            row, own = {"status": "skipped", "error": f"spot_text: {error}"}, None
        row["shard_id"], row["sample_id"] = shard_id, sample_id
        rows.append(row)
        used.append(own)
    columns: dict[str, Any] = {
        name: [row.get(name) for row in rows] for name in OVERLAP.names if name != "used_words"
    }
    columns["used_words"] = _used_words(used, batch)
    return columns


def spotted_words(words: pa.ListArray, rules: WordRules) -> Iterator[list[SpottedWord]]:
    """The spotted words of each row that count or detect; none where there are no words.

    Fields are converted one by one: Arrow takes three times as long for nested values as a whole.
    """
    flat = words.flatten()
    values = dict(zip((each.name for each in flat.type), flat.flatten(), strict=True))
    confidences = values["confidence"].to_numpy(zero_copy_only=False)
    # The column is of single precision, so the bound is too: 0.3 must count where 0.3 is asked for.
    bounds = (rules.min_confidence, rules.detection_confidence)
    counts, detects = (confidences >= np.float32(bound) for bound in bounds)
    taken = np.flatnonzero(counts | detects)
    found = map(
        SpottedWord,
        taken.tolist(),
        values["text"].take(pa.array(taken)).to_pylist(),
        confidences[taken].tolist(),
        counts[taken].tolist(),
        detects[taken].tolist(),
    )
    ends = np.searchsorted(taken, np.cumsum(_lengths(words)))
    for count in np.diff(ends, prepend=0).tolist():
        yield list(islice(found, count))


def measured(
    caption: str | None, spotted: Sequence[SpottedWord], *, cutter: WordCutter
) -> tuple[dict[str, Any], list[tuple[int, bool]]]:
    """Overlap of one sample's caption and picture, by paper Algorithm 1 and section 4.1.

    Text is detected by a reading with a letter or digit: punctuation alone is no text. A word counts if it holds a
    letter or digit too and reaches the minimum confidence.

    Returns:
        Columns of `OVERLAP`, and of each word that counts its place, and whether it is co-emb text.
    """
    caption_words = _distinct(cutter.words(caption))
    reason = _reason(caption, caption_words, cutter)
    if reason is not None:
        caption_words = []
    cut = [(word, cutter.words(word.text)) for word in spotted]
    detected = any(own and word.detects for word, own in cut)
    used = [(word, own) for word, own in cut if own and word.counts]
    shown = _distinct(piece for _, own in used for piece in own)
    wanted, seen = set(caption_words), set(shown)
    co_emb = [word for word in caption_words if word in seen]
    verbatim = set() if reason == NOT_CUT else set(verbatim_words(caption))
    # To the letter, "&" is a word too; where punctuation is all there is, there is no text.
    seen_verbatim = {
        piece for word, _ in cut if detected and word.counts for piece in verbatim_words(word.text)
    }
    rate = cotr(len(co_emb), of=len(caption_words))
    measures = {
        "status": "ok",
        "caption_words": caption_words,
        "co_emb_words": co_emb,
        "spotted_words": shown,
        "text_detected": detected,
        "spotted_word_count": len(used),
        "mean_confidence": _mean([word.confidence for word, _ in used]),
        "cotr": rate,
        "cotr_verbatim": cotr(len(verbatim & seen_verbatim), of=len(verbatim)),
        "fuzzy_cotr": fuzzy_cotr(caption_words, shown),
        "cotr_reason": reason,
        "image_type": _image_type(rate, detected=detected),
    }
    return measures, [(word.place, not wanted.isdisjoint(own)) for word, own in used]


def _image_type(rate: float | None, *, detected: bool) -> str:
    if not detected:
        return "no_text"
    return "concurrent" if rate else "text_not_concurrent"


def _reason(caption: str | None, words: list[str], cutter: WordCutter) -> str | None:
    if not words:
        return NO_WORDS
    return None if cutter.is_cut(caption) else NOT_CUT


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), _CONFIDENCE_DIGITS) if values else None


def _distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _used_words(used: Sequence[list[tuple[int, bool]] | None], batch: pa.RecordBatch) -> pa.ListArray:
    """Column `used_words`: of each word its place in the row, whether it is co-emb, its share of the image's area."""
    column = batch.column("words")
    lengths = _lengths(column)
    counts = np.array([0 if own is None else len(own) for own in used], np.int64)
    places = np.array([place for own in used for place, _ in own or ()], np.int64)
    rows = np.repeat(np.arange(len(used)), counts)
    width, height = (
        batch.column(f"image_{side}").to_numpy(zero_copy_only=False).astype(np.float64)[rows]
        for side in ("width", "height")
    )
    flat = column.flatten()
    polygons = flat.flatten()[flat.type.get_field_index("polygon")].take(pa.array(places))
    sizes = width * height
    known = sizes > 0  # false of a size that is not known
    ratios = np.divide(polygon_areas(polygons), sizes, out=np.zeros(len(places)), where=known)
    words = pa.StructArray.from_arrays(
        [
            pa.array(places - (np.cumsum(lengths) - lengths)[rows], pa.int32()),
            pa.array([co_emb for own in used for _, co_emb in own or ()], pa.bool_()),
            pa.array(ratios, mask=~known),
        ],
        fields=list(_USED),
    )
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, words, mask=pa.array([own is None for own in used], pa.bool_()))


def _lengths(column: pa.ListArray) -> NDArray[np.int64]:
    """Number of values of each row; 0 of null."""
    return np.asarray(column.value_lengths().fill_null(0), dtype=np.int64)
