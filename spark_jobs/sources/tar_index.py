"""One sequential pass over a tar: where each member's bytes lie, and what they are."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from spark_jobs.sources.storage import Content, open_file, read_content

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
}
# What tarfile asks for at a time; it copies the rest of it at every read, and 8 MB makes
# the pass 15 times as long (measured). The large requests to storage are made below it, by `open_file`.
_STREAM_BYTES = 1 << 16
# tarfile lets these escape from headers that are damaged in ways it does not foresee.
_HEADER_FAULTS = (tarfile.TarError, ValueError, OverflowError, LookupError, EOFError)


@dataclass(frozen=True)
class TarMember:
    r"""One member of a tar that is not a directory.

    Attributes:
        name: Path within the tar; bytes that are not UTF-8 are written as `\xNN`.
        offset: First byte of the data in the tar.
        size: Length of the data in bytes, as the header declares it.
        content: The bytes that were read; None where `problem` says why there are none.
        problem: Why no byte range gives the data, after the name: "is cut: ..."; None for a sound file.
    """

    name: str
    offset: int
    size: int
    content: Content | None = None
    problem: str | None = None


class TarScan:
    """One pass over one tar.

    Attributes:
        uri: The tar.
        fault: After `members` is exhausted: what is wrong with the tar as a whole, worded to stand
            after its name ("ends early at byte 1024"); None for a sound tar.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.fault: str | None = None

    def members(self) -> Iterator[TarMember]:
        """Read the tar from start to end and give its members in order, each with its content.

        At most one member is held, and of that at most `storage.HOLD_BYTES`. Members before a cut or a
        damage are given, so is the member that is cut; `fault` then says what is missing.

        Raises:
            OSError: If the storage fails, other than by the tar being missing.
        """
        try:
            with open_file(self.uri) as file:
                yield from self._members(_Input(file))
        except FileNotFoundError:
            self.fault = "is missing"

    def _members(self, source: _Input) -> Iterator[TarMember]:
        self.fault = _fault_of_first_bytes(source.first_bytes())
        if self.fault:
            return
        try:
            # Stream mode cannot seek back, whatever sizes a damaged header declares.
            archive = tarfile.open(  # noqa: SIM115 - closed below; only the opening may be caught here
                fileobj=source.as_file(),
                mode="r|",
                bufsize=_STREAM_BYTES,
                encoding="utf-8",
                errors="backslashreplace",
            )
        except _HEADER_FAULTS:
            is_tar = source.first_bytes()[257:262] == b"ustar"
            self.fault = source.end_or_damage(at=0) if is_tar else _no_tar(source.first_bytes())
            return
        with archive:
            yield from self._archive_members(archive, source)

    def _archive_members(self, archive: tarfile.TarFile, source: _Input) -> Iterator[TarMember]:
        while True:
            try:
                header = archive.next()
            except _HEADER_FAULTS:
                self.fault = source.end_or_damage(at=archive.offset)
                return
            archive.members.clear()  # type: ignore[attr-defined] # tarfile keeps every header; typeshed hides it
            if header is None:
                if source.ran_out or not source.is_end_mark(archive.offset):
                    self.fault = source.end_or_damage(at=archive.offset)
                return
            if header.isdir():
                continue
            member = _read_member(archive, header, source)
            yield member
            if member.content is None and header.isreg() and not header.issparse():
                self.fault = f"{source.end_or_damage(at=header.offset)}, inside {header.name}"
                return


class _Input:
    """Hands a file to tarfile and notes whether tarfile wanted bytes behind its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._first = file.read(tarfile.BLOCKSIZE)
        self._pending = self._first
        self.position = len(self._first)
        self.ran_out = False

    def first_bytes(self) -> bytes:
        return self._first

    def as_file(self) -> BinaryIO:
        return cast(BinaryIO, self)

    def read(self, size: int) -> bytes:
        if self._pending:
            data, self._pending = self._pending, b""
            return data
        data = self._file.read(size)
        self.position += len(data)
        self.ran_out = self.ran_out or not data
        return data

    def is_end_mark(self, offset: int) -> bool:
        """Whether a zero block lies at `offset`; ends the sequential reading."""
        self._file.seek(offset)
        return self._file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)

    def end_or_damage(self, *, at: int) -> str:
        if self.ran_out:
            return f"ends early at byte {self.position}"
        return f"is damaged: no readable tar header at byte {at}"


def _read_member(archive: tarfile.TarFile, header: tarfile.TarInfo, source: _Input) -> TarMember:
    content, problem = None, None
    if header.issparse():
        problem = "is a sparse member, which no byte range can give"
    elif not header.isreg():
        problem = "is a link, not a file" if header.issym() or header.islnk() else "is no regular file"
    else:
        stream = archive.extractfile(header)
        try:
            content = read_content(cast(BinaryIO, stream))
        except tarfile.TarError:
            problem = f"is cut: the tar ends at byte {source.position}"
    return TarMember(header.name, header.offset_data, header.size, content, problem)


def _fault_of_first_bytes(first: bytes) -> str | None:
    if not first:
        return "is empty (0 bytes)"
    for magic, name in _MAGIC.items():
        if first.startswith(magic):
            return f"is compressed ({name}), but byte ranges need a plain tar: unpack it"
    return None


def _no_tar(first: bytes) -> str:
    return f"is no tar: it begins with {first[:16]!r}"
