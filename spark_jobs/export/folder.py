"""The folder an export goes to, local or a URI: files appear there whole, or not at all.

On a local disk a file is written under another name and renamed when it is complete. Object storage has no rename,
but puts whole objects: there a file is written to the local temporary folder first, and put when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar, cast

import fsspec

from spark_jobs.errors import ExportError
from spark_jobs.sources.storage import absolute

PARTIAL = ".partial"
_PIECE = 4 << 20
T = TypeVar("T")


@dataclass(frozen=True)
class Written:
    """Size in bytes and SHA-256 (hex) of a file that was written."""

    bytes: int
    sha256: str


class Folder:
    """Files by name relative to one root. Cheap to make and to pickle."""

    def __init__(self, root: str) -> None:
        self.root = absolute(root).rstrip("/")
        self._is_remote = "://" in self.root

    def put(self, name: str, write: Callable[[BinaryIO], T]) -> tuple[T, Written]:
        """Write a file so that it is there whole or not at all; one that is there is replaced.

        Args:
            name: Its name.
            write: Writes the content to the stream it is given, from start to end.

        Returns:
            What `write` returned, and what was written.

        Raises:
            OSError: If it cannot be written; nothing of it is left.
        """
        if self._is_remote:
            with tempfile.NamedTemporaryFile(prefix="parrot-export-") as file:
                result, written = _write(cast(BinaryIO, file), write)
                self._upload(file.name, name)
            return result, written
        final = os.path.join(self.root, name)
        partial = f"{final}.{uuid.uuid4().hex[:8]}{PARTIAL}"
        os.makedirs(os.path.dirname(final), exist_ok=True)
        try:
            with open(partial, "wb") as file:
                result, written = _write(file, write)
                os.fsync(file.fileno())
            os.replace(partial, final)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)
            raise
        return result, written

    def put_bytes(self, name: str, data: bytes) -> Written:
        """Write a small file whole."""
        return self.put(name, lambda stream: stream.write(data))[1]

    def sizes(self) -> dict[str, int]:
        """Every file below the root, hidden and unfinished ones too: bytes by name.

        Raises:
            ExportError: If the folder cannot be listed.
        """
        try:
            filesystem, base = self._at("")
            filesystem.invalidate_cache()
            found = filesystem.find(base, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise ExportError(f"{self.root} cannot be listed: {type(error).__name__}: {error}") from error
        return {path[len(base) :].strip("/"): int(facts["size"] or 0) for path, facts in found.items()}

    def read(self, name: str) -> bytes | None:
        """A small file's content; None where there is none."""
        try:
            with self.open(name) as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open a file for reading."""
        filesystem, path = self._at(name)
        with filesystem.open(path, "rb") as stream:
            yield stream

    def sha256(self, name: str) -> str:
        """SHA-256 of a file's content, hex."""
        digest = hashlib.sha256()
        with self.open(name) as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens where there is none."""
        filesystem, path = self._at(name)
        with contextlib.suppress(FileNotFoundError):
            filesystem.rm_file(path)

    def remove_folder(self, name: str) -> None:
        """Remove a folder with all that is in it."""
        if not self._is_remote:
            shutil.rmtree(os.path.join(self.root, name), ignore_errors=True)
            return
        filesystem, path = self._at(name)
        with contextlib.suppress(FileNotFoundError):
            filesystem.rm(path, recursive=True)

    def _upload(self, local: str, name: str) -> None:
        try:
            filesystem, path = self._at(name)
            filesystem.put_file(local, path)
        except OSError:
            raise
        except Exception as error:  # of the store's own library: no connection, no credentials
            raise OSError(f"{type(error).__name__}: {error}") from error

    def _at(self, name: str) -> tuple[Any, str]:
        filesystem, path = fsspec.core.url_to_fs(f"{self.root}/{name}" if name else self.root)
        return filesystem, str(path).rstrip("/")


class _Hashing(io.RawIOBase):
    """A stream that hashes and counts what passes through it to a file."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._digest = hashlib.sha256()
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._file.write(view)
        self._digest.update(view)
        self._size += view.nbytes
        return view.nbytes

    @property
    def written(self) -> Written:
        return Written(self._size, self._digest.hexdigest())


def _write(file: BinaryIO, write: Callable[[BinaryIO], T]) -> tuple[T, Written]:
    stream = _Hashing(file)
    result = write(cast(BinaryIO, stream))
    file.flush()
    return result, stream.written
