"""How close a measurement came to what was planted in the demo corpus. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Group

IMAGE_TYPES = ("no_text", "text_not_concurrent", "concurrent")
NOT_MEASURED = "failed/skipped"


@dataclass(frozen=True)
class TruthRow:
    """What was planted in one sample of the demo corpus.

    Attributes:
        key: img2dataset key, unique in the corpus.
        shard: Name of the shard (`00000`).
        relation: How caption and text were planted: no_text, unrelated, partial or full.
        image_type: The image type that follows; None where no readable image was written.
        words: Rendered words as drawn, in reading order.
        polygons: Four (x, y) corners of each word, px of the image, in the order of `words`.
        caption: The caption, empty for the fault `empty_caption`.
        cotr: The co-embedded text rate that follows, 0 to 1; None without an image or without caption words.
        fault: failed_download, truncated_jpeg, empty_caption, or None.
    """

    key: str
    shard: str
    relation: str
    image_type: str | None
    words: tuple[str, ...]
    polygons: tuple[tuple[tuple[float, float], ...], ...]
    caption: str
    cotr: float | None
    fault: str | None = None


@dataclass(frozen=True)
class MeasuredRow:
    """What the pipeline found for one sample.

    Attributes:
        key: img2dataset key (`samples.source_key`).
        status: ok, failed or skipped (`caption_overlap.status`).
        words: Spotted words, normalised (lower case).
        cotr: Measured CoTR; None without caption words or where not ok.
        image_type: Measured image type; None where not ok.
    """

    key: str
    status: str
    words: tuple[str, ...] = ()
    cotr: float | None = None
    image_type: str | None = None


@dataclass(frozen=True)
class RelationLine:
    """Mean CoTR of one relation, over the samples where both planted and measured CoTR exist."""

    relation: str
    samples: int
    planted_cotr: float | None
    measured_cotr: float | None


@dataclass(frozen=True)
class Comparison:
    """A measurement beside the truth. Means are None where there is nothing to average.

    Attributes:
        samples: Samples planted.
        measured: Of them, measured with status ok.
        failed: Measured with status failed.
        skipped: Measured with status skipped.
        missing: Without a measured row.
        unknown: Measured rows whose key was never planted.
        lost: Not measured although a readable image was planted.
        images_with_text: Measured images with planted words.
        word_recall: Mean over them of the share of planted words that were spotted.
        word_precision: Mean over those with a spotted word of the share of spotted words that were planted.
        images_without_text: Measured images without planted words.
        images_with_false_words: Of them, those where a word was spotted all the same.
        cotr_compared: Samples with both a planted and a measured CoTR.
        cotr_error: Mean absolute difference of the two.
        relations: Mean planted and measured CoTR by relation.
        image_types: Samples by (planted, measured) image type; `NOT_MEASURED` stands for no type.
    """

    samples: int
    measured: int
    failed: int
    skipped: int
    missing: int
    unknown: int
    lost: int
    images_with_text: int
    word_recall: float | None
    word_precision: float | None
    images_without_text: int
    images_with_false_words: int
    cotr_compared: int
    cotr_error: float | None
    relations: tuple[RelationLine, ...]
    image_types: dict[tuple[str, str], int]


def compare(truth: Iterable[TruthRow], measured: Iterable[MeasuredRow]) -> Comparison:
    """Set what was measured beside what was planted, by key.

    Raises:
        ValueError: If a key occurs twice on either side.
    """
    planted = _by_key(truth, "truth")
    found = _by_key(measured, "measurement")
    pairs = [(row, found.get(key)) for key, row in planted.items()]
    good = [(row, seen) for row, seen in pairs if seen is not None and seen.status == "ok"]
    with_text = [(row, seen) for row, seen in good if row.words]
    without_text = [(row, seen) for row, seen in good if not row.words]
    rates = [
        (row.relation, row.cotr, seen.cotr)
        for row, seen in good
        if row.cotr is not None and seen.cotr is not None
    ]
    statuses = Counter(seen.status if seen else "missing" for _, seen in pairs)
    return Comparison(
        samples=len(pairs),
        measured=len(good),
        failed=statuses["failed"],
        skipped=statuses["skipped"],
        missing=statuses["missing"],
        unknown=len(found.keys() - planted.keys()),
        lost=sum(row.image_type is not None and (not seen or seen.status != "ok") for row, seen in pairs),
        images_with_text=len(with_text),
        word_recall=_mean([_share_in(_lowered(row.words), seen.words) for row, seen in with_text]),
        word_precision=_mean(
            [_share_in(seen.words, _lowered(row.words)) for row, seen in with_text if seen.words]
        ),
        images_without_text=len(without_text),
        images_with_false_words=sum(bool(seen.words) for _, seen in without_text),
        cotr_compared=len(rates),
        cotr_error=_mean([abs(planted_rate - rate) for _, planted_rate, rate in rates]),
        relations=_by_relation(rates),
        image_types=dict(Counter((row.image_type or NOT_MEASURED, _type_of(seen)) for row, seen in pairs)),
    )


def to_lines(comparison: Comparison) -> list[tuple[str, str]]:
    """The comparison's numbers as (measure, value) for print, the image types left out."""
    c = comparison
    return [
        ("samples planted / measured", f"{c.samples} / {c.measured}"),
        ("failed / skipped / missing", f"{c.failed} / {c.skipped} / {c.missing}"),
        ("readable images not measured", str(c.lost)),
        ("rows of unknown key", str(c.unknown)),
        ("word recall", f"{_percent(c.word_recall)} (mean over {c.images_with_text} images with text)"),
        ("word precision", _percent(c.word_precision)),
        ("images without text, with false words", f"{c.images_with_false_words} of {c.images_without_text}"),
        ("mean absolute CoTR error", f"{_decimal(c.cotr_error)} (over {c.cotr_compared} samples)"),
    ]


def render(comparison: Comparison) -> Group:
    """The comparison as tables for a terminal: numbers, CoTR by relation, image types."""
    from rich.console import Group
    from rich.table import Table

    numbers = Table("measure", "value", title="Measured against what was planted", title_justify="left")
    for measure, value in to_lines(comparison):
        numbers.add_row(measure, value)

    rates = Table(title="Mean CoTR by planted relation", title_justify="left")
    for name in ("relation", "samples", "planted", "measured"):
        rates.add_column(name, justify="left" if name == "relation" else "right")
    for line in comparison.relations:
        rates.add_row(
            line.relation, str(line.samples), _decimal(line.planted_cotr), _decimal(line.measured_cotr)
        )

    types = Table(title="Image types: planted (rows), measured (columns)", title_justify="left")
    types.add_column("planted")
    labels = (*IMAGE_TYPES, NOT_MEASURED)
    for label in labels:
        types.add_column(label, justify="right")
    for planted in labels:
        types.add_row(planted, *(str(comparison.image_types.get((planted, label), 0)) for label in labels))
    return Group(numbers, rates, types)


_Row = TypeVar("_Row", TruthRow, MeasuredRow)


def _by_key(rows: Iterable[_Row], side: str) -> dict[str, _Row]:
    by_key: dict[str, _Row] = {}
    for row in rows:
        if row.key in by_key:
            raise ValueError(f"expected each key once in the {side}, found {row.key!r} twice")
        by_key[row.key] = row
    return by_key


def _by_relation(rates: Sequence[tuple[str, float, float]]) -> tuple[RelationLine, ...]:
    lines = []
    for relation in dict.fromkeys(name for name, _, _ in rates):
        planted = [rate for name, rate, _ in rates if name == relation]
        measured = [rate for name, _, rate in rates if name == relation]
        lines.append(RelationLine(relation, len(planted), _mean(planted), _mean(measured)))
    return tuple(sorted(lines, key=lambda line: (line.planted_cotr or 0.0, line.relation)))


def _type_of(row: MeasuredRow | None) -> str:
    if row is None or row.status != "ok":
        return NOT_MEASURED
    return row.image_type or NOT_MEASURED


def _lowered(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


def _share_in(words: Sequence[str], others: Sequence[str]) -> float:
    distinct = set(words)
    return len(distinct & set(others)) / len(distinct)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
