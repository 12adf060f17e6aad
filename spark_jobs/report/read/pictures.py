"""Read the samples that a report shows: all their rows in one query, each picture once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas._table import KEY_NAMES
from spark_jobs.report.content import GallerySample, Reading
from spark_jobs.report.read.snapshot import Snapshot, collect_together
from udfs.guarded_decode import decode
from udfs.image_codec import DecodeLimits, ImageFault
from udfs.image_refs import ImageRef, UnreadableImage, read_images

GALLERY_PIXELS = DecodeLimits(max_pixels=64_000_000)
_GALLERY_SIDE = 512
# What LAION and the sets after its example write for images that are safe; every other label is not.
_SAFE_LABELS = frozenset(("", "unlikely", "safe", "sfw", "false", "none", "neutral"))
_UNSAFE_PROBABILITY = 0.5  # of `punsafe`, which is LAION's own limit
_COLUMNS = {
    "samples": ("caption", "source_key", "nsfw", "punsafe"),
    "images": ("image_uri", "image_offset", "image_length", "image_row"),
    "spotted_text": ("words", "lines", "image_width", "image_height"),
    "clip_embeddings": ("clip_score",),
    "caption_overlap": ("image_type", "co_emb_words", "cotr", "fuzzy_cotr", "used_words"),
}

Place = tuple[str, ...]
"""Dataset, shard and sample id: values of `KEY_NAMES`."""


def place_of(row: Mapping[str, Any]) -> Place:
    """Which sample a row is of."""
    return tuple(row[name] for name in KEY_NAMES)


class Pictures:
    """The rows and pictures of some samples."""

    def __init__(self, snapshot: Snapshot, samples: Iterable[Mapping[str, Any]]) -> None:
        """Read them.

        Args:
            snapshot: Where from.
            samples: Rows with `KEY_NAMES`; a sample that comes twice is read once.
        """
        self._is_blurred = snapshot.config.blur_unsafe
        wanted = list(dict.fromkeys(map(place_of, samples)))
        self._rows = _described(snapshot, wanted)
        refs = [
            ImageRef(row["image_uri"], row["image_offset"], row["image_length"], row["image_row"])
            for row in map(self._rows.__getitem__, wanted)
        ]
        data = read_images(refs, max_bytes=GALLERY_PIXELS.max_bytes)
        self._data = dict(zip(wanted, data, strict=True))
        self._decoded: dict[Place, tuple[NDArray[np.uint8] | None, str | None]] = {}

    def row(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """All that tables say of a sample: the columns of `_COLUMNS`, null where a table has no row of it."""
        return self._rows[place_of(sample)]

    def data(self, sample: Mapping[str, Any]) -> bytes | UnreadableImage:
        """A sample's stored image."""
        return self._data[place_of(sample)]

    def sample(self, sample: Mapping[str, Any], **changes: Any) -> GallerySample:
        """A sample as the gallery shows it.

        Args:
            sample: Its `KEY_NAMES`.
            changes: Values that are shown instead of its row's.
        """
        row = {**self.row(sample), **changes}
        pixels, error = self._picture(place_of(sample))
        height, width = (None, None) if pixels is None else pixels.shape[:2]
        return GallerySample(
            sample_key=f"{sample['shard_id']}/{row['source_key']}",
            image_type=row["image_type"],
            caption=row["caption"],
            co_emb_words=tuple(row["co_emb_words"] or ()),
            cotr=row["cotr"],
            fuzzy_cotr=row["fuzzy_cotr"],
            clip_score=row["clip_score"],
            words=tuple(Reading.from_row(word) for word in row["words"] or ()),
            lines=tuple(Reading.from_row(line) for line in row["lines"] or ()),
            pixels=pixels,
            image_width=row["image_width"] or width,
            image_height=row["image_height"] or height,
            error=error,
            unsafe=self._is_blurred and is_unsafe(row["nsfw"], row["punsafe"]),
        )

    def _picture(self, place: Place) -> tuple[NDArray[np.uint8] | None, str | None]:
        """A sample's pixels at the gallery's size, or why there are none."""
        if place not in self._decoded:
            data = self._data[place]
            if isinstance(data, UnreadableImage):
                self._decoded[place] = None, str(data)
            else:
                try:
                    self._decoded[place] = shrunk(decode(data, GALLERY_PIXELS).pixels), None
                except ImageFault as fault:
                    self._decoded[place] = None, str(fault)
        return self._decoded[place]


def shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image at a size that a gallery of hundreds can hold in memory; polygons keep their own frame."""
    image = Image.fromarray(pixels)
    image.thumbnail((_GALLERY_SIDE, _GALLERY_SIDE))
    return np.asarray(image)


def is_unsafe(nsfw: str | None, punsafe: float | None) -> bool:
    """Whether a source marks an image as unsafe.

    Args:
        nsfw: Its safety label, or a probability as text; a label that is not known as safe counts as unsafe.
        punsafe: Its probability of unsafe content, 0 to 1.
    """
    label = (nsfw or "").strip().lower()
    try:
        is_labelled = float(label) >= _UNSAFE_PROBABILITY
    except ValueError:
        is_labelled = label not in _SAFE_LABELS
    return is_labelled or (punsafe is not None and punsafe >= _UNSAFE_PROBABILITY)


def _described(snapshot: Snapshot, places: list[Place]) -> dict[Place, dict[str, Any]]:
    from pyspark.sql import functions as F

    rows: dict[Place, dict[str, Any]] = {
        place: dict.fromkeys(column for columns in _COLUMNS.values() for column in columns)
        for place in places
    }
    if not places:
        return rows
    shards = sorted({shard for _, shard, _ in places})  # files are skipped by shard
    ids = sorted({sample_id for _, _, sample_id in places})
    frames = {}
    for name, columns in _COLUMNS.items():
        frame = snapshot.rows(name)
        if frame is not None:
            wanted = frame.where(F.col("shard_id").isin(shards) & F.col("sample_id").isin(ids))
            frames[name] = wanted.select(*KEY_NAMES, *columns)
    for found in collect_together(frames).values():
        for row in found:
            values: Mapping[str, Any] = row.asDict(recursive=True)
            place = place_of(values)
            if place in rows:
                rows[place] |= {name: value for name, value in values.items() if name not in KEY_NAMES}
    return rows
