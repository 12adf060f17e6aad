"""Every built-in subset as pandas conditions, written from the papers' text and not from the definitions.

Sections are those of "Parrot Captions Teach CLIP to Spot Text" where no other paper is named.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable

import pandas as pd

from udfs.language import languages

Frame = pd.DataFrame
Mask = Callable[[Frame], "pd.Series[bool]"]


def hashed(ids, seed):
    return [hashlib.md5(f"{seed}:{name}".encode()).hexdigest() for name in ids]


def first_by_hash(frame, size, seed):
    """The draw of a size: the samples with the lowest hashes."""
    return frame.assign(hash=hashed(frame.sample_id, seed)).sort_values("hash").head(size)


def qualifying(frame, name):
    """The rows of a built-in subset.

    Args:
        frame: One row per sample, null where there is no measure: `sample_id`, `is_sound`, `caption`, `width`,
            `height` (px), `image_type`, `is_unsure` (text, but no word that counts), `cotr`, `confidence` (mean of the
            words that count), `clip_score`, `score_raw`,
            `score_all_removed`, `rsa`, `rsc`, `aesthetic_score`, `is_duplicate`; `similarity` and `aesthetic` as
            the source ships them.
        name: The subset.
    """
    sound = trainable(frame)
    if name in HIGHEST:
        score, share = HIGHEST[name]
        return _highest(sound, score(sound), share)
    return sound[MASKS[name](sound)]


def trainable(frame):
    """What can be trained on: the image was read, and the caption has a word."""
    has_word = frame.caption.map(lambda caption: any(letter.isalnum() for letter in caption or ""))
    return frame[frame.is_sound & frame.image_type.notna() & has_word]


def _highest(frame, score, percent):
    """The best so many percent of the scored, rounded down; among equal scores the lowest hashes."""
    scored = frame.assign(score=score, hash=hashed(frame.sample_id, 0))[score.notna()]
    ranked = scored.sort_values(["score", "hash"], ascending=[False, True])
    return ranked.head(len(scored) * percent // 100)


def numbers(column):
    return pd.to_numeric(column.astype(float))


def has_text(frame):
    return frame.image_type.isin(["text_not_concurrent", "concurrent"]) & ~frame.is_unsure


def has_no_text(frame):
    return frame.image_type == "no_text"


def _cotr(compared, bound):
    """Section 6.1, Curation II: drawn from the images with text."""
    return lambda frame: has_text(frame) & compared(numbers(frame.cotr), bound)


def _relative(column, compared, bound):
    """Section 6.1, Curation III: raw score minus the score without (co-emb) text, where there is such text."""
    return lambda frame: compared(numbers(frame[column]), bound)


def _is_english(frame):
    return pd.Series(languages(frame.caption), index=frame.index) == "en"


def _simple_fix(score, beauty):
    """Section 8: no text, score above 0.3, aesthetics above 4.5, no near-duplicate inside its cluster."""

    def mask(frame):
        is_first = frame.is_duplicate.map(lambda value: value is not None and not value)
        return has_no_text(frame) & (numbers(frame[score]) > 0.3) & (numbers(frame[beauty]) > 4.5) & is_first

    return mask


def _laion(frame):
    """LAION-5B: cosine of at least 0.28 and an English caption."""
    return (numbers(frame.clip_score) >= 0.28) & _is_english(frame)


def _datacomp_basic(frame):
    """DataComp: English, more than two words and five characters, smaller side of 200, aspect ratio to 3."""
    words = frame.caption.map(lambda caption: len((caption or "").split()))
    letters = frame.caption.map(lambda caption: len(caption or ""))
    sides = pd.concat([numbers(frame.width), numbers(frame.height)], axis=1)
    shorter, longer = sides.min(axis=1, skipna=False), sides.max(axis=1, skipna=False)
    fits = (shorter >= 200) & (longer / shorter <= 3)
    return _is_english(frame) & (words > 2) & (letters > 5) & fits


def _diht(frame):
    """DiHT as section 2.3 tells it: out go pairs whose text is read with confidence and matches the caption."""
    is_sure = has_text(frame) & (numbers(frame.confidence).round(6) >= 0.8)
    return ~(is_sure & (numbers(frame.cotr) >= 0.5))


def _masked_score(frame):
    """T-MARS: the CLIP score of the masked image; where no text is found there is nothing to mask."""
    return numbers(frame.score_all_removed.where(frame.score_all_removed.notna(), frame.score_raw))


MASKS: dict[str, Mask] = {
    "random": lambda frame: frame.is_sound,
    "with_text": has_text,
    "without_text": has_no_text,
    "cotr_eq_0": _cotr(operator.eq, 0),
    "cotr_ge_0.3": _cotr(operator.ge, 0.3),
    "cotr_ge_0.5": _cotr(operator.ge, 0.5),
    "cotr_ge_0.8": _cotr(operator.ge, 0.8),
    "cotr_eq_1": _cotr(operator.eq, 1),
    "rsa_lt_0": _relative("rsa", operator.lt, 0),
    "rsa_ge_0": _relative("rsa", operator.ge, 0),
    "rsa_ge_0.1": _relative("rsa", operator.ge, 0.1),
    "rsa_ge_0.2": _relative("rsa", operator.ge, 0.2),
    "rsa_ge_0.3": _relative("rsa", operator.ge, 0.3),
    "rsc_lt_0": _relative("rsc", operator.lt, 0),
    "rsc_ge_0": _relative("rsc", operator.ge, 0),
    "rsc_ge_0.1": _relative("rsc", operator.ge, 0.1),
    "rsc_ge_0.2": _relative("rsc", operator.ge, 0.2),
    "rsc_ge_0.3": _relative("rsc", operator.ge, 0.3),
    "debiased": _simple_fix("clip_score", "aesthetic_score"),
    "debiased_shipped_scores": _simple_fix("similarity", "aesthetic"),
    "laion_clip_0.28": _laion,
    "datacomp_basic": _datacomp_basic,
    "diht_text": _diht,
}
# Score and percent: DataComp's best share of the pool, T-MARS' half.
HIGHEST: dict[str, tuple[Callable[[Frame], pd.Series], int]] = {
    "clip_top_30": (lambda frame: numbers(frame.clip_score), 30),
    "tmars": (_masked_score, 50),
}
NAMES = frozenset(MASKS) | frozenset(HIGHEST)
