"""The image bytes of one file's rows: read in storage order, given in any order."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from spark_jobs.export.base import IMAGE_FAULT
from udfs.image_refs import ImageRef, UnreadableImage, read_images
from udfs.image_structure import format_of, look_of

# Images asked for at a time: range reads are joined within these, and their bytes are held in memory.
_BATCH = 256


class ImageBytes:
    """Images of some rows, spooled to the local temporary folder, and why others could not be read."""

    def __init__(self, spool: Any, count: int) -> None:
        self._spool = spool
        self._places: list[tuple[int, int] | None] = [None] * count
        self.faults: dict[int, str] = {}
        self.formats: dict[int, str] = {}

    def add(self, index: int, data: bytes, image_format: str) -> None:
        """Keep the bytes of a row."""
        self._places[index] = (self._spool.seek(0, 2), len(data))
        self._spool.write(data)
        self.formats[index] = image_format

    def __getitem__(self, index: int) -> bytes | None:
        """Bytes of a row; None where `faults` says why not."""
        place = self._places[index]
        if place is None:
            return None
        self._spool.seek(place[0])
        return bytes(self._spool.read(place[1]))


@contextmanager
def image_bytes(rows: Sequence[Mapping[str, Any]], *, max_bytes: int) -> Iterator[ImageBytes]:
    """Read the images of some rows with few requests, holding few of them in memory.

    Bytes are spooled to a local temporary file, because they lie in another order than they are written in.

    Args:
        rows: With reference, `image_fault` and `image_sha256`.
        max_bytes: Largest image that is read.
    """
    with tempfile.TemporaryFile(prefix="parrot-images-") as spool:
        found = ImageBytes(spool, len(rows))
        order = sorted(range(len(rows)), key=lambda index: _place(rows[index]))
        for index in order:
            if rows[index][IMAGE_FAULT]:
                found.faults[index] = rows[index][IMAGE_FAULT]
        wanted = [index for index in order if index not in found.faults]
        for first in range(0, len(wanted), _BATCH):
            batch = wanted[first : first + _BATCH]
            for index, data in zip(
                batch,
                read_images([_reference(rows[index]) for index in batch], max_bytes=max_bytes),
                strict=True,
            ):
                _take(found, index, data=data, sha256=rows[index]["image_sha256"])
        yield found


def _take(found: ImageBytes, index: int, *, data: bytes | UnreadableImage, sha256: str | None) -> None:
    if isinstance(data, UnreadableImage):
        found.faults[index] = str(data)
        return
    image_format = format_of(data)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        found.faults[index] = "the image has changed since it was measured: its SHA-256 is another"
    elif image_format is None:
        found.faults[index] = f"no image: {look_of(data)}"
    else:
        found.add(index, data, image_format)


def _place(row: Mapping[str, Any]) -> tuple[str, int, int]:
    return row["image_uri"] or "", row["image_offset"] or 0, row["image_row"] or 0


def _reference(row: Mapping[str, Any]) -> ImageRef:
    return ImageRef(row["image_uri"], row["image_offset"], row["image_length"], row["image_row"])
