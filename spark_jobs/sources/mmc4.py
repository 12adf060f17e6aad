"""Source kind `mmc4`: Multimodal C4, documents of sentences and images. There are no images yet.

A pair is an image and the sentence that MMC4's assignment gave it, as the paper takes them.
"""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, cast

from spark_jobs.errors import SourceError
from spark_jobs.sources import storage
from spark_jobs.sources.base import SourceOptions, SourceRecord, SourceShard
from spark_jobs.sources.dirt import kinds_of_dirt
from spark_jobs.sources.img2dataset_table import file_record
from spark_jobs.sources.metadata import describe, to_text
from spark_jobs.sources.storage import IMAGE_EXTENSIONS, StoredFile

READER_VERSION = "mmc4-1"  # enters the fingerprint: raise it when records change for the same files

_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zip")


class Mmc4:
    """JSON lines, one document each."""

    kind = "mmc4"
    meaning = "MMC4 documents in .jsonl, .jsonl.gz or .jsonl.zip: images with their sentences; no images yet"

    def recognises(self, files: Sequence[StoredFile]) -> bool:
        """Whether there are JSON lines, and no images or tars."""
        extensions = {file.extension for file in files}
        return bool(_documents(files)) and extensions.isdisjoint({*IMAGE_EXTENSIONS, "tar"})

    def shards(self, root: str, options: SourceOptions) -> list[SourceShard]:
        """List one shard per file: MMC4 comes in files of some thousand documents.

        Raises:
            SourceError: If there is none.
        """
        files = storage.list_files(storage.absolute(root))
        documents = _documents(files)
        if not documents:
            raise SourceError(
                f"{root} holds no MMC4 documents: expected {', '.join(_ENDINGS)}, found "
                f"{storage.some_names([file.name for file in files])}"
            )
        return [
            SourceShard(
                shard_id=storage.safe_name(file.name),
                fingerprint=storage.fingerprint(READER_VERSION, file.name, file.size, file.stamp),
                payload={"uri": file.uri, "file": file.name},
            )
            for file in documents
        ]

    def read(self, shard: SourceShard, options: SourceOptions) -> Iterator[SourceRecord]:
        """Read the images of a file's documents, in order.

        Raises:
            OSError: If the storage fails.
        """
        uri, name = shard.payload["uri"], shard.payload["file"]
        number, has_records = 0, False
        try:
            for number, line in enumerate(_lines(uri), start=1):
                for record in _document(line, file=name, number=number) if line.strip() else ():
                    has_records = True
                    yield record
        except (zlib.error, EOFError, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            yield file_record(name, f"cannot be read after line {number}: {error}")
        else:
            if not has_records:
                yield file_record(name, "holds no document with images")


def _documents(files: Sequence[StoredFile]) -> list[StoredFile]:
    return [file for file in files if file.name.lower().endswith(_ENDINGS)]


def _lines(uri: str) -> Iterator[bytes]:
    with storage.open_file(uri) as file:
        if uri.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield from unpacked
        elif uri.lower().endswith(".zip"):
            yield from _zipped_lines(file)
        else:
            yield from file


def _zipped_lines(file: BinaryIO) -> Iterator[bytes]:
    with zipfile.ZipFile(file) as archive:
        for name in sorted(archive.namelist()):
            if name.lower().endswith(".jsonl") and not name.startswith("__MACOSX/"):
                with archive.open(name) as member:
                    yield from member


def _document(line: bytes, *, file: str, number: int) -> Iterator[SourceRecord]:
    where = f"{file} line {number}"
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        yield SourceRecord(file, f"line {number}", sample_error=f"{where} is no JSON: {error}")
        return
    images = document.get("image_info") if isinstance(document, dict) else None
    if not isinstance(images, list):
        fault = f"{where} is no MMC4 document: it has no list image_info"
        yield SourceRecord(file, f"line {number}", sample_error=fault)
        return
    sentences = document.get("text_list")
    seen: Counter[str] = Counter()
    for index, image in enumerate(images):
        entry = image if isinstance(image, dict) else {}
        name = to_text(entry.get("image_name")) or f"image {index}"
        yield _record(entry, sentences, file=file, key=f"{number}/{name}", occurrence=seen[name])
        seen[name] += 1


def _record(
    image: dict[str, Any], sentences: object, *, file: str, key: str, occurrence: int
) -> SourceRecord:
    caption, dirt = _assigned(sentences, image.get("matched_text_index"))
    row = {"raw_url": image.get("raw_url"), "matched_sim": image.get("matched_sim"), "caption": caption}
    described = describe(row, where=f"{file} {key}")
    no_url = None if described.fields["url"] else f"no URL and no image ({file} {key})"
    return SourceRecord(
        file=file,
        key=key,
        occurrence=occurrence,
        sample_error="; ".join(fault for fault in (described.fault, no_url) if fault) or None,
        dirt=(*dirt, *kinds_of_dirt(row)),
        **described.fields,
    )


def _assigned(sentences: object, index: object) -> tuple[object, tuple[str, ...]]:
    """The sentence of that index, or None with the kind of dirt that there is none."""
    is_index = isinstance(index, int) and not isinstance(index, bool)
    if isinstance(sentences, list) and is_index and 0 <= cast(int, index) < len(sentences):
        return sentences[cast(int, index)], ()
    return None, ("sentence indices that point nowhere",)
