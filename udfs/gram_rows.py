"""The Arrow function of stage `ngrams`: 1-grams and 2-grams of captions, counted per batch."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

import pyarrow as pa

from udfs.tokens import normalised_words

GRAMS = pa.schema([("vocabulary", pa.string()), ("gram", pa.string()), ("occurrences", pa.int64())])
"""What comes out."""


def count_caption_grams(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Count the grams of column `caption`, never null; batches still have to be added up."""
    for batch in batches:
        words: Counter[str] = Counter()
        pairs: Counter[str] = Counter()
        for caption in batch.column("caption").to_pylist():
            sequence = normalised_words(caption)
            words.update(sequence)
            pairs.update(f"{first} {second}" for first, second in itertools.pairwise(sequence))
        names = ["caption_1gram"] * len(words) + ["caption_2gram"] * len(pairs)
        yield pa.RecordBatch.from_pydict(
            {
                "vocabulary": names,
                "gram": [*words, *pairs],
                "occurrences": [*words.values(), *pairs.values()],
            },
            schema=GRAMS,
        )
