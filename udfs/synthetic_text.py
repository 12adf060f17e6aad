"""Score rendered texts against themselves: the Arrow function of stage `render_text`.

As in `udfs.adapter`, batches are those that the input names, the next one is drawn while the models work, a
batch is halved on out-of-memory, and a bad text is a row that says so. Here nothing is read or decoded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from schemas._table import KEY_COLUMNS
from udfs.adapter import BATCH_COLUMN, load_once, predict_all
from udfs.text_rendering import (
    CANVAS_PX,
    FONT_PX,
    MAX_CHARACTERS,
    RENDERER_VERSION,
    STYLES,
    TextRenderer,
)
from udfs.weights import WeightFile, staged_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from udfs.clip_model import ClipFactory
    from udfs.model_api import ImageModel, Result, Row

PHASES = ("render", "infer")
_KEYS = (*KEY_COLUMNS, "vocabulary", "gram")


@dataclass(frozen=True)
class SyntheticTextFactory:
    """Loads a font and CLIP models in a worker.

    Attributes:
        models: The models; each scores every text in every style.
        font: The font file.
        layout: How Pillow lays out text, as the driver's does.
    """

    models: tuple[ClipFactory, ...]
    font: WeightFile
    layout: str

    @property
    def files(self) -> tuple[WeightFile, ...]:
        """Files that a worker needs."""
        return (self.font, *(file for model in self.models for file in model.files))

    @property
    def params(self) -> dict[str, Any]:
        """Everything that decides a score, as JSON types."""
        return {
            "models": [model.params for model in self.models],
            "font": self.font.sha256,
            "font_px": FONT_PX,
            "canvas_px": CANVAS_PX,
            "layout": self.layout,
            "max_characters": MAX_CHARACTERS,
            "renderer": RENDERER_VERSION,
            "styles": [[style.name, style.text, style.background] for style in STYLES],
        }

    @property
    def rows_per_text(self) -> int:
        """Rows that come out for one text."""
        return len(self.models) * len(STYLES)

    def load(self) -> SyntheticTextScorer:
        """Load font and models.

        Raises:
            WeightsError: If a file is not the one that was staged.
            ValueError: If the font cannot be used on this machine.
        """
        renderer = TextRenderer(staged_path(self.font), self.layout)
        return SyntheticTextScorer(renderer, {model.model_id: model.load() for model in self.models})


@dataclass(frozen=True)
class DrawnText:
    """One text as the models get it.

    Attributes:
        fault: Why the font cannot show it; None where it can.
        width_px: Width of its box; None where it cannot be shown.
        inputs: By model, what it takes of each style, in the order of `STYLES`; empty where there is a fault.
    """

    fault: str | None
    width_px: int | None
    inputs: dict[str, list[Any]]


class SyntheticTextScorer:
    """A font and loaded models."""

    def __init__(self, renderer: TextRenderer, models: dict[str, ImageModel]) -> None:
        self._renderer = renderer
        self._models = models

    def draw(self, text: str) -> DrawnText:
        """Draw a text in every style and prepare it for every model."""
        fault = self._renderer.fault(text)
        if fault is not None:
            return DrawnText(fault, None, {})
        pictures = [self._renderer.render(text, style) for style in STYLES]
        inputs = {
            name: [model.prepare(picture) for picture in pictures] for name, model in self._models.items()
        }
        return DrawnText(None, self._renderer.width(text), inputs)

    def score(self, texts: Sequence[str], drawn: Sequence[DrawnText]) -> Iterator[dict[str, Any]]:
        """Score a batch of texts.

        Args:
            texts: The texts.
            drawn: What `draw` made of them.

        Yields:
            Result columns, status and error, one row per text, model and style, in that order of nesting.
        """
        shown = [index for index, text in enumerate(drawn) if text.fault is None]
        scores = {
            name: dict(
                zip(
                    shown,
                    _scores(
                        model,
                        [texts[index] for index in shown],
                        [drawn[index].inputs[name] for index in shown],
                    ),
                    strict=True,
                )
            )
            for name, model in self._models.items()
        }
        for index, text in enumerate(drawn):
            for name in self._models:
                yield from _rows(text, name, scores[name].get(index))


def _scores(
    model: ImageModel, texts: Sequence[str], inputs: Sequence[Sequence[Any]]
) -> Iterator[list[float | Exception]]:
    """By text, the score of each style. A text is embedded once, with its first style."""
    rows: list[Row] = [
        {"sample_id": text, "caption": text if style is STYLES[0] else None}
        for text in texts
        for style in STYLES
    ]
    outcomes = predict_all(model, [item for styles in inputs for item in styles], rows) if rows else []
    for start in range(0, len(outcomes), len(STYLES)):
        of_text = outcomes[start : start + len(STYLES)]
        first = of_text[0]
        if isinstance(first, Exception):
            yield [first] * len(STYLES)
        else:
            text_vector = np.asarray(first["caption_vector"], np.float32)
            yield [_cosine(outcome, text_vector) for outcome in of_text]


def _cosine(outcome: Result | Exception, text_vector: NDArray[np.float32]) -> float | Exception:
    if isinstance(outcome, Exception):
        return outcome
    product = np.dot(np.asarray(outcome["image_vector"], np.float32), text_vector)
    return float(np.clip(product, -1.0, 1.0))


def _rows(
    text: DrawnText, model: str, scores: Sequence[float | Exception] | None
) -> Iterator[dict[str, Any]]:
    measured: dict[str, Any] = {
        "model": model,
        "text_width_px": text.width_px,
        "overflows": None if text.width_px is None else text.width_px > CANVAS_PX,
    }
    unscored: list[float | Exception | None] = [None] * len(STYLES)
    for style, score in zip(STYLES, scores or unscored, strict=True):
        row = {**measured, "style": style.name, "score": None, "status": "ok", "error": None}
        if score is None:
            row |= {"status": "skipped", "error": text.fault}
        elif isinstance(score, Exception):
            row |= {"status": "failed", "error": f"model: {type(score).__name__}: {score}"}
        else:
            row["score"] = score
        yield row


def map_texts(
    factory: SyntheticTextFactory, output: pa.Schema
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """The function for `mapInArrow`: per text one row for each model and style.

    Args:
        factory: Font and models; picklable.
        output: Schema of what comes out: keys, results, status, error, seconds by phase.

    Returns:
        A function over batches with the columns `shard_id`, `sample_id`, `vocabulary`, `gram` and `batch`.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = (row for batch in batches for row in batch.to_pylist())
        groups = (list(group) for _, group in groupby(rows, lambda row: (row["shard_id"], row[BATCH_COLUMN])))
        # One thread draws: a font of FreeType must not be used by several at once.
        with ThreadPoolExecutor(1) as artist:
            following = None
            for group in groups:
                scorer: Any = load_once(factory)  # type: ignore[arg-type]
                current, following = following, artist.submit(_drawn, scorer, group)
                if current is not None:
                    yield _scored(factory, current.result(), output)
            if following is not None:
                yield _scored(factory, following.result(), output)

    return run


_Drawn = tuple[list["Row"], list[DrawnText], float]
"""Rows, their drawn texts, and the seconds that drawing took."""


def _drawn(scorer: SyntheticTextScorer, rows: list[Row]) -> _Drawn:
    started = time.perf_counter()
    return rows, [scorer.draw(row["gram"]) for row in rows], time.perf_counter() - started


def _scored(factory: SyntheticTextFactory, group: _Drawn, output: pa.Schema) -> pa.RecordBatch:
    started = time.perf_counter()
    rows, drawn, render_seconds = group
    scorer: Any = load_once(factory)  # type: ignore[arg-type]
    results = list(scorer.score([row["gram"] for row in rows], drawn))
    out = []
    for index, result in enumerate(results):
        row = rows[index // factory.rows_per_text]
        seconds = {f"{phase}_seconds": 0.0 for phase in PHASES}
        out.append({**{name: row[name] for name in _KEYS}, **result, **seconds})
    if out:  # a batch's time stands in its first row, and is summed
        out[0] |= {"render_seconds": render_seconds, "infer_seconds": time.perf_counter() - started}
    return pa.RecordBatch.from_pylist(out, schema=output)
