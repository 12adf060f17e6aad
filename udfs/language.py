"""The language of a caption, by langid.py's model, which py3langid ships.

Source: Lui and Baldwin, "langid.py: An Off-the-shelf Language Identification Tool" (ACL 2012 demo); naive Bayes
over byte n-grams, 97 languages.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import pandas as pd

_MAX_CHARACTERS = 1000  # a caption's language shows long before; hostile captions have megabytes


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_pickled_model(MODEL_FILE)


def languages(captions: Iterable[str | None]) -> list[str | None]:
    """ISO 639-1 code of each caption's language.

    Args:
        captions: Captions; may be null.

    Returns:
        One code per caption; None where there is no letter to tell by.
    """
    return [_language(caption) for caption in captions]


def identify(captions: pd.Series) -> pd.Series:
    """`languages` for a Series-to-Series pandas UDF."""
    return pd.Series(languages(captions), dtype=object)


def _language(caption: str | None) -> str | None:
    text = (caption or "")[:_MAX_CHARACTERS]
    if not any(character.isalpha() for character in text):
        return None
    return str(_identifier().classify(text)[0])
