"""Does a model read? The paper's Sync score, with the mean over wrong words and word retrieval beside it.

A Sync cosine alone says nothing: a model that cannot read gives the same to every word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spark_jobs.errors import ConfigError
from spark_jobs.evaluation.measures import Measure, mean, share
from udfs.text_rendering import STYLES, TextRenderer, available_layout, default_font

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from udfs.clip_model import ClipModel

TASK = "synthetic_text"


def read_words(path: Path, count: int) -> list[str]:
    """The first words of a file with a word per line.

    Raises:
        ConfigError: If there are fewer than two.
    """
    if not path.is_file():
        raise ConfigError(f"evaluate_clip.words: no file {path}")
    lines = path.read_text(encoding="utf-8").splitlines()
    words = list(dict.fromkeys(line.strip() for line in lines if line.strip()))[:count]
    if len(words) < 2:
        raise ConfigError(f"evaluate_clip.words: {path} holds {len(words)} words, at least 2 are needed")
    return words


def measure(model: ClipModel, words: Sequence[str], *, batch_size: int, task: str = TASK) -> list[Measure]:
    """Draw each word in the paper's four styles and compare the pictures with all words.

    Args:
        model: The model.
        words: Different words; those that the font cannot show are left out.
        batch_size: Pictures per forward pass.
        task: Name for the measures.

    Returns:
        sync_score (mean cosine of a picture with its word), sync_wrong (with the other words), sync_margin (their
        difference, mean over words), word_retrieval@1 and @5 (its word is among the first for a picture).
    """
    renderer = TextRenderer(default_font(), available_layout())
    shown = [word for word in words if renderer.fault(word) is None]
    texts = np.concatenate(
        [
            model.embed_texts(list(shown[first : first + batch_size]))
            for first in range(0, len(shown), batch_size)
        ]
    )
    cosines = [
        _pictures(model, renderer, shown, style=number, batch_size=batch_size) @ texts.T.astype(np.float64)
        for number in range(len(STYLES))
    ]
    return _measures(np.stack(cosines), task)


def _pictures(
    model: ClipModel, renderer: TextRenderer, words: Sequence[str], *, style: int, batch_size: int
) -> NDArray[np.float64]:
    vectors = []
    for first in range(0, len(words), batch_size):
        drawn = [renderer.render(word, STYLES[style]) for word in words[first : first + batch_size]]
        vectors.append(model.embed_images([model.prepare(image) for image in drawn]))
    return np.concatenate(vectors).astype(np.float64)


def _measures(cosines: NDArray[np.float64], task: str) -> list[Measure]:
    """From cosines, shape (styles, words as pictures, words as texts), own word on the diagonal."""
    _, count, _ = cosines.shape
    own = np.diagonal(cosines, axis1=1, axis2=2)
    wrong = (cosines.sum(axis=2) - own) / (count - 1)
    # Ties count half: a model that gives all words the same is at chance.
    above = (cosines > own[:, :, None]).sum(axis=2)
    level = (cosines == own[:, :, None]).sum(axis=2)
    measures = [
        mean(task, "sync_score", own.mean(axis=0)),
        mean(task, "sync_wrong", wrong.mean(axis=0)),
        mean(task, "sync_margin", (own - wrong).mean(axis=0), chance=0.0),
    ]
    for at in (1, 5):
        hits = np.clip((at - above) / level, 0.0, 1.0)
        measures.append(
            share(
                task, f"word_retrieval@{at}", float(hits.mean()), samples=count, chance=min(1.0, at / count)
            )
        )
    return measures
