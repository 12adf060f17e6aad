"""Files behind local paths and remote URIs, through fsspec: list, open, read once, fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import fsspec

from spark_jobs.errors import SourceError
from udfs.guarded_decode import read_facts

IMAGE_EXTENSIONS = frozenset(
    ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "jp2")
)

BLOCK_BYTES = 8 << 20  # one remote request; small ones make a tar of some GB tens of thousands of requests
PIECE_BYTES = 4 << 20
HOLD_BYTES = 100_000_000  # larger contents are hashed in pieces; only the first piece is held

_REMOTE = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://(.*)$", re.DOTALL)
# What the file systems call the thing that changes with a file: s3, gcs and abfs, local, sftp, memory.
_STAMPS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")

_listings: ContextVar[dict[str, list[StoredFile]] | None] = ContextVar("listings", default=None)


@dataclass(frozen=True)
class StoredFile:
    """One file of a source.

    Attributes:
        name: Path relative to the source's root, parts separated by `/`.
        uri: Absolute local path, or URI with protocol.
        size: Bytes.
        stamp: Changes when the file is written again: etag, else modification time.
    """

    name: str
    uri: str
    size: int
    stamp: str

    @property
    def extension(self) -> str:
        """Last extension, lower case, without the dot."""
        return extension_of(self.name)


@dataclass(frozen=True)
class StoredImage:
    """Where an image's bytes lie, and what their header says.

    Attributes:
        uri: Absolute local path, or URI with protocol (`s3://...`), of the file that holds the image.
        offset: First byte of the image in the file; None for a whole file.
        length: Length in bytes; None for a whole file.
        row: Row of a Parquet file, from 0; None elsewhere.
        format: Pillow's name of the format that the first bytes show; None where unknown.
        width: Real width, px, EXIF-upright; None where the header cannot be read.
        height: Real height, px, EXIF-upright; None where the header cannot be read.
        sha256: Hex digest of the stored bytes; None where they were not read.
    """

    uri: str
    offset: int | None = None
    length: int | None = None
    row: int | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Content:
    """What one pass over a file or member keeps.

    Attributes:
        head: All bytes, or the first piece where there are more than `HOLD_BYTES`.
        size: Length of the whole in bytes.
        sha256: Hex digest of the whole.
    """

    head: bytes
    size: int
    sha256: str


def extension_of(name: str) -> str:
    """Last extension of a file name, lower case, without the dot; empty where there is none."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name else ""


def absolute(root: str) -> str:
    """Write a root as all URIs of its files begin: an absolute local path, or a URI with its protocol."""
    remote = _REMOTE.match(root)
    if remote is None or remote[1] in {"file", "local"}:
        return os.path.abspath(os.path.expanduser(remote[2] if remote else root))
    return f"{remote[1]}://{remote[2].rstrip('/')}"


@contextlib.contextmanager
def listed_once() -> Iterator[None]:
    """Inside the block each root is listed once: a bucket of a million files takes minutes each time."""
    token = _listings.set({})
    try:
        yield
    finally:
        _listings.reset(token)


def list_files(root: str) -> list[StoredFile]:
    """List the files under `root`, or `root` itself where it is a file, sorted by name.

    Names that begin with a dot are left out (`.DS_Store`, `._00000.tar`). Local links are followed.

    Args:
        root: A root as `absolute` writes it.

    Returns:
        The files; empty where there is no such root.

    Raises:
        SourceError: If the protocol is unknown, the root cannot be listed or a name is not UTF-8.
    """
    listings = _listings.get()
    if listings is None:
        return _listed(root)
    if root not in listings:
        listings[root] = _listed(root)
    return list(listings[root])


def _listed(root: str) -> list[StoredFile]:
    try:
        found = _list_remote(root) if _REMOTE.match(root) else _list_local(root)
        return sorted((_utf8_named(file) for file in found), key=lambda file: file.name)
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"source {root} cannot be listed: {type(error).__name__}: {error}") from error


def open_file(uri: str) -> BinaryIO:
    """Open for reading from start to end, with large requests where it is remote."""
    if _REMOTE.match(uri) is None:
        return open(uri, "rb")
    file_system, path = _file_system(uri)
    return cast(BinaryIO, file_system.open(path, "rb", block_size=BLOCK_BYTES))


def read_content(stream: BinaryIO) -> Content:
    """Read a stream to its end in pieces, hash it, and hold at most `HOLD_BYTES` of it."""
    digest = hashlib.sha256()
    pieces: list[bytes] = []
    size = 0
    while piece := stream.read(PIECE_BYTES):
        digest.update(piece)
        size += len(piece)
        pieces.append(piece)
        if size > HOLD_BYTES:
            del pieces[1:]
    return Content(head=b"".join(pieces), size=size, sha256=digest.hexdigest())


def stored_image(
    uri: str, content: Content, *, offset: int | None = None, row: int | None = None
) -> StoredImage:
    """Describe an image by its content.

    Args:
        uri: File that holds the image.
        content: The image's bytes, as `read_content` gives them.
        offset: First byte of the image in the file; None for a whole file.
        row: Row of a Parquet file; None elsewhere.
    """
    facts = read_facts(content.head)
    return StoredImage(
        uri=uri,
        offset=offset,
        length=None if offset is None else content.size,
        row=row,
        format=facts.format if facts else None,
        width=facts.width if facts else None,
        height=facts.height if facts else None,
        sha256=content.sha256,
    )


def fingerprint(*facts: object) -> str:
    """32 hex digits that change when one of the JSON-serialisable facts changes."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def safe_name(name: str) -> str:
    """A name of letters, digits, dot, dash and underscore; with a digest where others were replaced."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def some_names(names: list[str]) -> str:
    """Name a few, count the rest; for messages."""
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + rest if names else "nothing"


def _file_system(uri: str) -> tuple[Any, str]:
    try:
        file_system, path = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise SourceError(f"{uri} cannot be opened: {error}") from error
    return file_system, str(path)


def _list_remote(root: str) -> Iterator[StoredFile]:
    file_system, base = _file_system(root)
    file_system.invalidate_cache()  # s3fs would answer from an earlier listing
    base = base.rstrip("/")
    for path, info in file_system.find(base, detail=True).items():
        name = path[len(base) :].strip("/")
        if _is_hidden(name) or path.endswith("/"):
            continue
        info = info or file_system.info(path)
        stamp = next((str(info[key]) for key in _STAMPS if info.get(key) is not None), "")
        uri = f"{root}/{name}" if name else root
        yield StoredFile(name or base.rpartition("/")[2], uri, int(info["size"] or 0), stamp)


def _list_local(root: str) -> Iterator[StoredFile]:
    if os.path.isfile(root):
        yield _local_file(os.path.basename(root), root)
        return
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=_raise_unless_missing):
        facts = os.stat(folder)
        if (facts.st_dev, facts.st_ino) in seen:  # a link back to a parent
            subfolders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            path = os.path.join(folder, name)
            if not name.startswith(".") and (os.path.isfile(path) or not os.path.exists(path)):
                yield _local_file(os.path.relpath(path, root), path)


def _local_file(name: str, path: str) -> StoredFile:
    try:
        facts = os.stat(path)
    except FileNotFoundError:  # a link to nowhere: listed, so that its absence is reported
        return StoredFile(name, path, 0, "missing")
    return StoredFile(name, path, facts.st_size, str(facts.st_mtime_ns))


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _utf8_named(file: StoredFile) -> StoredFile:
    try:
        file.name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SourceError(
            f"file name {os.fsencode(file.name)!r} is not UTF-8, so no table can hold it; rename the file"
        ) from error
    return file
