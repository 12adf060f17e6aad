"""Fuzzy CoTR of rows of word lists, as a pandas UDF."""

from __future__ import annotations

import pandas as pd

from udfs.overlap_rates import fuzzy_cotr


def fuzzy_cotr_rows(caption_words: pd.Series, spotted_words: pd.Series) -> pd.Series:
    """`fuzzy_cotr` row by row.

    Args:
        caption_words: Arrays of distinct words, or null.
        spotted_words: The same, never null.

    Returns:
        Rates; null where there is no caption, or none with words.
    """
    pairs = zip(caption_words, spotted_words, strict=True)
    found = [
        None if words is None else fuzzy_cotr(words.tolist(), spotted.tolist()) for words, spotted in pairs
    ]
    return pd.Series(found, dtype="float64")
