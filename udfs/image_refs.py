"""Read image bytes by reference: sorted, coalesced range reads where the images lie."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec

# Two ranges closer than this are read in one request: on object storage a request costs about as much
# time as 1 MB, and json and txt members between the images of a tar are a few hundred bytes.
_GAP = 256 * 1024
_SPAN = 16 * 1024 * 1024
# Rows of a Parquet file that are decoded at a time, and bytes of a column chunk that are asked for.
_BATCH_ROWS = 16
_BUFFER = 1 << 20

IMAGE_COLUMNS = ("jpg", "png", "webp")
"""Columns that hold the image bytes in img2dataset's Parquet output, by its `encode_format`."""


@dataclass(frozen=True)
class ImageRef:
    """Where an image's bytes lie.

    Attributes:
        uri: The file.
        offset: First byte, or None for the whole file.
        length: Number of bytes, or None for the whole file.
        row: Row of a Parquet file, from 0, or None.
    """

    uri: str
    offset: int | None = None
    length: int | None = None
    row: int | None = None


class UnreadableImage(OSError):
    """Raised (or returned) for an image whose bytes cannot be read. The message is for the row."""


def read_images(refs: Sequence[ImageRef], *, max_bytes: int) -> list[bytes | UnreadableImage]:
    """Read many images with few requests.

    Args:
        refs: What to read, in any order.
        max_bytes: Largest image that is read; a larger one gives an error in its place.

    Returns:
        Bytes, or the reason why not, for each reference, in the order given.
    """
    results: list[bytes | UnreadableImage] = [UnreadableImage("not read")] * len(refs)
    ranged: list[int] = []
    in_tables: dict[str, list[int]] = {}
    for index, ref in enumerate(refs):
        if ref.row is not None:
            in_tables.setdefault(ref.uri, []).append(index)
        elif ref.offset is None or ref.length is None:
            results[index] = _read_whole(ref, max_bytes=max_bytes)
        elif ref.length > max_bytes:
            results[index] = UnreadableImage(
                f"file of {ref.length} bytes exceeds the limit of {max_bytes} bytes"
            )
        else:
            ranged.append(index)
    for span in _spans(refs, ranged):
        for index, data in zip(span, _read_span([refs[i] for i in span]), strict=True):
            results[index] = data
    for uri, indices in in_tables.items():
        found = _read_rows(uri, {refs[index].row or 0 for index in indices}, max_bytes=max_bytes)
        for index in indices:
            results[index] = found[refs[index].row or 0]
    return results


def image_column(columns: Mapping[str, str]) -> str | None:
    """The column that holds image bytes, of a Parquet file with these columns and Arrow types."""
    return next((name for name in IMAGE_COLUMNS if columns.get(name) in ("binary", "large_binary")), None)


def _spans(refs: Sequence[ImageRef], indices: list[int]) -> Iterator[list[int]]:
    """Group references of one file whose ranges lie close together."""

    def place(index: int) -> tuple[str, int]:
        return refs[index].uri, refs[index].offset or 0

    span: list[int] = []
    for index in sorted(indices, key=place):
        if span and not _joins(refs[span[0]], refs[span[-1]], refs[index]):
            yield span
            span = []
        span.append(index)
    if span:
        yield span


def _joins(first: ImageRef, last: ImageRef, following: ImageRef) -> bool:
    close = (following.offset or 0) - _end(last) <= _GAP
    return following.uri == first.uri and close and _end(following) - (first.offset or 0) <= _SPAN


def _end(ref: ImageRef) -> int:
    return (ref.offset or 0) + (ref.length or 0)


def _read_span(refs: list[ImageRef]) -> list[bytes | UnreadableImage]:
    start = refs[0].offset or 0
    try:
        with _open(refs[0].uri) as file:
            file.seek(start)
            data: bytes = file.read(max(_end(ref) for ref in refs) - start)
    except OSError as error:
        return [_unreadable(refs[0].uri, error)] * len(refs)
    results: list[bytes | UnreadableImage] = []
    for ref in refs:
        piece = data[(ref.offset or 0) - start : _end(ref) - start]
        if len(piece) == ref.length:
            results.append(piece)
        else:
            results.append(UnreadableImage(f"{ref.uri} ends before byte {_end(ref)}: the file has changed"))
    return results


def _read_rows(uri: str, rows: set[int], *, max_bytes: int) -> dict[int, bytes | UnreadableImage]:
    """Read images out of a Parquet file: each row group that holds one once, and of it one column only."""
    import pyarrow as pa

    found: dict[int, bytes | UnreadableImage] = {
        row: UnreadableImage(f"{uri} has no row {row}: the file has changed") for row in rows
    }
    try:
        with _open_parquet(uri) as file:
            column = image_column({field.name: str(field.type) for field in file.schema_arrow})
            if column is None:
                fault = UnreadableImage(f"{uri} has no column with image bytes ({', '.join(IMAGE_COLUMNS)})")
                return dict.fromkeys(rows, fault)
            for row, data in _row_values(file, column, rows):
                found[row] = _image_of_row(data, f"row {row} of {uri}", max_bytes=max_bytes)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        return dict.fromkeys(rows, UnreadableImage(f"cannot read {uri}: {reason}"))
    return found


def _row_values(file: Any, column: str, rows: set[int]) -> Iterator[tuple[int, Any]]:
    """Row number and Arrow scalar of the wanted rows, holding `_BATCH_ROWS` rows at a time."""
    first = 0
    for group in range(file.num_row_groups):
        end = first + file.metadata.row_group(group).num_rows
        wanted = sorted(row for row in rows if first <= row < end)
        batches = file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=[column]) if wanted else ()
        for batch in batches:
            while wanted and wanted[0] < first + batch.num_rows:
                row = wanted.pop(0)
                yield row, batch.column(0)[row - first]
            first += batch.num_rows
            if not wanted:
                break
        first = end


def _image_of_row(value: Any, where: str, *, max_bytes: int) -> bytes | UnreadableImage:
    data = value.as_buffer()
    if data is None:
        return UnreadableImage(f"{where} holds no image")
    if data.size > max_bytes:
        return UnreadableImage(f"file of {data.size} bytes exceeds the limit of {max_bytes} bytes")
    return bytes(data.to_pybytes())


@contextlib.contextmanager
def _open_parquet(uri: str) -> Iterator[Any]:
    from pyarrow import parquet

    with contextlib.ExitStack() as stack:
        # Never from memory: a process that ends soon after pyarrow read Parquet from a buffer may abort.
        place = stack.enter_context(_open(uri)) if "://" in uri else uri
        yield stack.enter_context(parquet.ParquetFile(place, buffer_size=_BUFFER))


def _read_whole(ref: ImageRef, *, max_bytes: int) -> bytes | UnreadableImage:
    try:
        with _open(ref.uri) as file:
            data: bytes = file.read(max_bytes + 1)
    except OSError as error:
        return _unreadable(ref.uri, error)
    if len(data) > max_bytes:
        return UnreadableImage(f"file exceeds the limit of {max_bytes} bytes")
    return data


def _open(uri: str) -> Any:
    # No read-ahead: a span is asked for whole, and s3fs would fetch 50 MB more with each.
    filesystem, path = fsspec.core.url_to_fs(uri)
    options = {"cache_type": "none"} if "://" in uri else {}
    return filesystem.open(path, "rb", **options)


def _unreadable(uri: str, error: OSError) -> UnreadableImage:
    return UnreadableImage(f"cannot read {uri}: {error.strerror or error}")
