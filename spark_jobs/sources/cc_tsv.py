"""Source kind `cc-tsv`: Conceptual Captions, two columns without a header. There are no images yet.

CC12M has the URL first, CC3M the caption. Fields are not quoted: a quote is part of a caption.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from spark_jobs.errors import SourceError
from spark_jobs.sources import storage
from spark_jobs.sources.base import SourceOptions, SourceRecord, SourceShard
from spark_jobs.sources.dirt import kinds_of_dirt
from spark_jobs.sources.metadata import CAPTION_COLUMNS, URL_COLUMNS, describe
from spark_jobs.sources.storage import IMAGE_EXTENSIONS, StoredFile

READER_VERSION = "cc-tsv-1"  # enters the fingerprint: raise it when records change for the same files

URL_FIRST, CAPTION_FIRST = "url-caption", "caption-url"
_ORDERS = {URL_FIRST: "url TAB caption", CAPTION_FIRST: "caption TAB url"}
_LOOKED_AT = 1000  # first lines that decide the order
_SCHEMES = (b"http://", b"https://")


@dataclass(frozen=True)
class _Layout:
    """Order of a file's columns, whether its first line names them, and why that is thought."""

    order: str
    has_header: bool
    note: str


class ConceptualCaptions:
    """TSV files of URLs and captions without a header."""

    kind = "cc-tsv"
    meaning = "Conceptual Captions .tsv: CC12M (url TAB caption) and CC3M (caption TAB url); no images yet"

    def recognises(self, files: Sequence[StoredFile]) -> bool:
        """Whether there are .tsv files, and no images or tars."""
        extensions = {file.extension for file in files}
        return "tsv" in extensions and extensions.isdisjoint({*IMAGE_EXTENSIONS, "tar"})

    def shards(self, root: str, options: SourceOptions) -> list[SourceShard]:
        """Cut each file into ranges of lines. Reads them once, to find where lines begin.

        Raises:
            SourceError: If there is no file, none has a line, or the order of columns cannot be told.
        """
        files = [f for f in storage.list_files(storage.absolute(root)) if f.extension == "tsv"]
        shards = [shard for file in files for shard in _cut(file, options)]
        if not shards:
            found = storage.some_names([file.name for file in files])
            raise SourceError(f"{root} holds no line of a .tsv file: expected url and caption, found {found}")
        return sorted(shards, key=lambda shard: shard.shard_id)

    def read(self, shard: SourceShard, options: SourceOptions) -> Iterator[SourceRecord]:
        """Read a shard's lines.

        Raises:
            OSError: If the storage fails.
        """
        payload = shard.payload
        with storage.open_file(payload["uri"]) as file:
            file.seek(payload["offset"])
            for number, line in enumerate(islice(file, payload["lines"]), start=payload["first_line"]):
                if text := _text(line, number):
                    yield _record(payload["file"], number, line=text, order=payload["order"])


def _cut(file: StoredFile, options: SourceOptions) -> Iterator[SourceShard]:
    layout: _Layout | None = None
    for index, (offset, first_line, lines, samples) in enumerate(_ranges(file.uri, options.shard_size)):
        if not samples:
            continue
        layout = layout or _layout(file, options.tsv_order)
        order = layout.order
        if layout.has_header and index == 0:
            with storage.open_file(file.uri) as stream:
                offset, first_line = len(stream.readline()), 2
            lines, samples = lines - 1, samples - 1
        if not samples:
            continue
        facts = {"file": file.name, "first_line": first_line, "lines": lines, "order": order}
        payload: dict[str, Any] = {**facts, "uri": file.uri, "offset": offset}
        yield SourceShard(
            shard_id=f"{storage.safe_name(file.name)}-{index:05d}",
            group=file.name,
            fingerprint=storage.fingerprint(READER_VERSION, facts, file.size, file.stamp),
            payload=payload,
            samples=samples,
            notes=(layout.note,),
        )


def _ranges(uri: str, size: int) -> Iterator[tuple[int, int, int, int]]:
    """Offset, number of the first line, lines, and lines with text, of every range of `size` lines."""
    offset = begin = lines = samples = 0
    first_line = 1
    with storage.open_file(uri) as file:
        for line in file:
            lines += 1
            samples += bool(line.strip())
            offset += len(line)
            if lines == size:
                yield begin, first_line, lines, samples
                begin, first_line, lines, samples = offset, first_line + lines, 0, 0
    if lines:
        yield begin, first_line, lines, samples


def _layout(file: StoredFile, wish: str) -> _Layout:
    with storage.open_file(file.uri) as stream:
        lines = [
            text for number, line in enumerate(islice(stream, _LOOKED_AT), 1) if (text := _text(line, number))
        ]
    named = _named_order(lines[0]) if lines else None
    lines = lines[1:] if named else lines
    first = sum(_is_url(line.partition(b"\t")[0]) for line in lines)
    last = sum(_is_url(line.rpartition(b"\t")[2]) for line in lines)
    if wish != "auto":
        return _Layout(wish, named is not None, f"{file.name}: {_ORDERS[wish]} (ingest.tsv_order={wish})")
    if named is not None:
        return _Layout(named, True, f"{file.name}: {_ORDERS[named]}, as its header says")
    if first == last:
        raise SourceError(
            f"{file.name}: cannot tell which column holds URLs ({first} of its first {len(lines)} lines begin with "
            f"one, {last} end with one): say so with --set ingest.tsv_order={URL_FIRST} or {CAPTION_FIRST}"
        )
    order = URL_FIRST if first > last else CAPTION_FIRST
    votes = f"{max(first, last):,} of its first {len(lines):,} lines have a URL there"
    return _Layout(order, False, f"{file.name}: {_ORDERS[order]} ({votes})")


def _named_order(line: bytes) -> str | None:
    names = [part.strip().lower().decode("utf-8", "replace") for part in line.split(b"\t")]
    if len(names) == 2 and names[0] in URL_COLUMNS and names[1] in CAPTION_COLUMNS:
        return URL_FIRST
    if len(names) == 2 and names[1] in URL_COLUMNS and names[0] in CAPTION_COLUMNS:
        return CAPTION_FIRST
    return None


def _is_url(field: bytes) -> bool:
    return field.strip().lower().startswith(_SCHEMES)


def _text(line: bytes, number: int) -> bytes:
    """A line without its end and the file's byte order mark; empty where it is blank."""
    text = line.rstrip(b"\r\n")
    text = text.removeprefix(codecs.BOM_UTF8) if number == 1 else text
    return text if text.strip() else b""


def _record(file: str, number: int, *, line: bytes, order: str) -> SourceRecord:
    url, caption, dirt = _split(line, order)
    row = {"url": url, "caption": caption}
    described = describe(row, where=f"{file} line {number}")
    no_url = None if described.fields["url"] else f"no URL and no image ({file} line {number})"
    return SourceRecord(
        file=file,
        key=f"line {number}",
        sample_error="; ".join(fault for fault in (described.fault, no_url) if fault) or None,
        dirt=(*dirt, *kinds_of_dirt(row)),
        **described.fields,
    )


def _split(line: bytes, order: str) -> tuple[bytes | None, bytes | None, tuple[str, ...]]:
    """URL, caption and dirt of a line; a caption may hold tabs, a URL may not."""
    if b"\t" not in line:
        parts = (line.strip(), None) if _is_url(line) else (None, line)
        return *parts, ("lines without a tab",)
    dirt = ("captions with a tab",) if line.count(b"\t") > 1 else ()
    if order == URL_FIRST:
        url, _, caption = line.partition(b"\t")
    else:
        caption, _, url = line.rpartition(b"\t")
    return url.strip(), caption, dirt
