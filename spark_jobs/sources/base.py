"""What a source of image-text pairs is: it lists shards, and reads a shard into records.

A source is one file in this package, entered in `SOURCES` of `spark_jobs.sources`. `shards` runs on the
driver, `read` in a Python worker, one call per shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from spark_jobs.sources.storage import StoredFile, StoredImage


@dataclass(frozen=True)
class SourceRecord:
    """One image-text pair as a source gives it.

    `file`, `key` and `occurrence` identify it: the same pair has the same three at every ingest.

    Attributes:
        file: Source-relative path of the file that lists the pair.
        key: The source's own handle within that file.
        occurrence: 0 for the first pair of that file and key, 1 for the second, ...
        sample_error: Why the pair itself cannot be used (caption not UTF-8, duplicate key); None if it can.
        image: Where the image lies; None where there is none yet (only a URL) or none at all.
        image_error: Why the image cannot be used (download failed, member truncated); None if it can.
        dirt: Kinds of what is odd about the pair but kept (`null captions`, ...); for counts only.
    """

    file: str
    key: str
    occurrence: int = 0
    source_id: str | None = None
    url: str | None = None
    caption: str | None = None
    width: int | None = None
    height: int | None = None
    similarity: float | None = None
    aesthetic: float | None = None
    punsafe: float | None = None
    pwatermark: float | None = None
    nsfw: str | None = None
    sample_error: str | None = None
    image: StoredImage | None = None
    image_error: str | None = None
    dirt: tuple[str, ...] = ()

    @property
    def has_only_url(self) -> bool:
        """Whether the image is still to be fetched (or has no place to be fetched from)."""
        return self.image is None and self.image_error is None

    def sample_id(self) -> str:
        """32 hex digits that identify the pair within its dataset."""
        identity = "\x1f".join((self.file, self.key, str(self.occurrence)))
        return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True)
class SourceShard:
    """Some thousands of pairs that came together.

    Attributes:
        shard_id: Unique within the dataset, stable between ingests (e.g. `00000`).
        fingerprint: Changes when the shard's files change (sizes and modification times or etags).
        payload: What `read` needs, JSON-serialisable.
        group: File that was cut into this shard and others by position; empty where a shard is a file. When a
            cut moves, pairs move between the shards of a group, so they are only ingested anew together.
        samples: Number of pairs where it is known without reading the shard; for plans only.
        notes: Sentences about the shard's file that the user must see (schema drift, swapped sizes).
    """

    shard_id: str
    fingerprint: str
    payload: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    samples: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceOptions:
    """How to read a source.

    Attributes:
        shard_size: Pairs per shard, for sources that do not come in shards.
        image_column: Column of the captions file that names the image; None to recognise it.
        caption_column: Column that holds the caption; None to recognise it.
        swap_sizes: Whether metadata tables have width and height swapped: `auto`, `yes` or `no`.
        tsv_order: Columns of TSV files without a header: `auto`, `url-caption` or `caption-url`.
    """

    shard_size: int = 1000
    image_column: str | None = None
    caption_column: str | None = None
    swap_sizes: str = "auto"
    tsv_order: str = "auto"


class Source(Protocol):
    """One kind of source."""

    kind: str
    meaning: str

    def recognises(self, files: Sequence[StoredFile]) -> bool:
        """Whether the files of a root look like this kind. Cheap: names, and at most one file's schema."""
        ...

    def shards(self, root: str, options: SourceOptions) -> list[SourceShard]:
        """List the shards, sorted by id.

        Raises:
            SourceError: If there are none, or the source lacks what this kind needs.
        """
        ...

    def read(self, shard: SourceShard, options: SourceOptions) -> Iterator[SourceRecord]:
        """Read one shard. Faults of single pairs become `sample_error` or `image_error`, never exceptions."""
        ...
