"""How many tokens CLIP's byte-pair encoding makes of a text: what its text tower reads instead of characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from udfs.clip_model import MAX_CAPTION_CHARS

if TYPE_CHECKING:
    import pyarrow as pa


def add_bpe_tokens(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Append column `bpe_tokens` to batches with a column `gram` of texts, never null: for `mapInArrow`."""
    import pyarrow as pa
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    for batch in batches:
        # Its time grows with the square of a word's length.
        texts = (text[:MAX_CAPTION_CHARS] for text in batch.column("gram").to_pylist())
        tokens = pa.array([len(tokenizer.encode(text)) for text in texts], pa.int32())
        yield pa.RecordBatch.from_arrays([*batch.columns, tokens], names=[*batch.schema.names, "bpe_tokens"])
