"""Source kind `folder`: a folder of images with captions files (CSV, TSV, JSON lines) at its root."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from spark_jobs.errors import SourceError
from spark_jobs.sources import storage
from spark_jobs.sources.base import SourceOptions, SourceRecord, SourceShard
from spark_jobs.sources.captions_file import CAPTIONS_EXTENSIONS, read_captions_file
from spark_jobs.sources.metadata import CAPTION_COLUMNS, describe, to_text
from spark_jobs.sources.storage import IMAGE_EXTENSIONS, StoredFile, StoredImage

READER_VERSION = "folder-2"  # enters the fingerprint: raise it when records change for the same files

IMAGE_COLUMNS = ("file_name", "filename", "file", "image", "image_path", "path", "filepath")

_OUTSIDE = re.compile(r"[/\\]|[A-Za-z]:[/\\]|[A-Za-z][A-Za-z0-9+.-]*://")  # absolute path or URL

_Entry = dict[str, Any]  # "record": fields of SourceRecord without the image, "path": image's name or None


class ImageFolder:
    """A folder of images with captions files at its root."""

    kind = "folder"
    meaning = "a folder of images with captions in .csv, .tsv or .jsonl files at its root"

    def recognises(self, files: Sequence[StoredFile]) -> bool:
        """Whether there are images, and a captions file at the root."""
        return bool(_captions_files(files)) and any(file.extension in IMAGE_EXTENSIONS for file in files)

    def shards(self, root: str, options: SourceOptions) -> list[SourceShard]:
        """Read the captions files and cut their rows into shards; so are images that no file lists.

        Raises:
            SourceError: If there is no captions file, or its columns cannot be told.
        """
        root = storage.absolute(root)
        files = {file.name: file for file in storage.list_files(root)}
        captions = _captions_files(files.values())
        if not captions:
            raise SourceError(
                f"{root} holds no captions file: expected a .csv, .tsv or .jsonl file at its root that lists "
                f"image and caption, found {storage.some_names(list(files))}"
            )
        shards: list[SourceShard] = []
        listed: set[str] = set()
        for file in captions:
            entries = _entries(file, files, options)
            listed.update(entry["path"] for entry in entries if entry["path"])
            shards += _cut(file.name, entries, root=root, files=files, size=options.shard_size)
        images = [name for name, file in files.items() if file.extension in IMAGE_EXTENSIONS]
        unlisted = [_unlisted_entry(name) for name in images if name not in listed]
        shards += _cut("unlisted", unlisted, root=root, files=files, size=options.shard_size)
        if not shards:
            names = [file.name for file in captions]
            raise SourceError(
                f"{root} holds no image and no caption: {storage.some_names(names)} have no rows"
            )
        return sorted(shards, key=lambda shard: shard.shard_id)

    def read(self, shard: SourceShard, options: SourceOptions) -> Iterator[SourceRecord]:
        """Read the images of a shard's rows.

        Raises:
            OSError: If the storage fails, other than by a file being missing or forbidden.
        """
        images: dict[str, tuple[StoredImage | None, str | None]] = {}
        for entry in shard.payload["entries"]:
            record, path = SourceRecord(**entry["record"]), entry["path"]
            if path is not None:
                if path not in images:  # several captions of one image
                    images[path] = _read_image(f"{shard.payload['root']}/{path}", path)
                record = replace(record, image=images[path][0], image_error=images[path][1])
            yield record


def _captions_files(files: Iterable[StoredFile]) -> list[StoredFile]:
    return [file for file in files if "/" not in file.name and file.extension in CAPTIONS_EXTENSIONS]


def _entries(file: StoredFile, files: dict[str, StoredFile], options: SourceOptions) -> list[_Entry]:
    columns, lines = read_captions_file(file.uri, name=file.name)
    if not lines:
        return []
    image_column = _choose(
        columns, options.image_column, names=IMAGE_COLUMNS, option="ingest.image_column", file=file.name
    )
    caption_column = _choose(
        columns, options.caption_column, names=CAPTION_COLUMNS, option="ingest.caption_column", file=file.name
    )
    occurrences: Counter[str] = Counter()
    entries = []
    for line in lines:
        name = to_text(line.row.get(image_column))
        key = name or f"line {line.number}"
        path, image_error = _resolve(name, files)
        described = describe(line.row, where=f"{file.name} line {line.number}", caption_column=caption_column)
        record = {
            **described.fields,
            "file": file.name,
            "key": key,
            "occurrence": occurrences[key],
            "sample_error": line.fault or described.fault,
            "image_error": image_error or (line.fault if path is None else None),
        }
        occurrences[key] += 1
        entries.append({"record": record, "path": path})
    return entries


def _choose(columns: list[str], forced: str | None, *, names: tuple[str, ...], option: str, file: str) -> str:
    wanted = names if forced is None else (forced.strip().lower(),)
    found = [column for column in columns if column.strip().lower() in wanted]
    if len(found) == 1:
        return found[0]
    expected = f"one of {', '.join(names)}" if forced is None else forced
    problem = (
        f"has no column {expected}" if not found else f"has several columns of that kind: {', '.join(found)}"
    )
    raise SourceError(
        f"{file} {problem} (columns: {', '.join(columns) or 'none'}): name it with --set {option}=COLUMN, "
        "or move the file away if it lists no images"
    )


def _resolve(name: str | None, files: dict[str, StoredFile]) -> tuple[str | None, str | None]:
    """The listed file that a row names, or why there is none. Only files of the listing are ever opened."""
    if not name:
        return None, "the row names no image"
    if _OUTSIDE.match(name) or ".." in re.split(r"[/\\]", name):
        return None, f"refused: {name} is not a path under the folder"
    path = "/".join(part for part in name.split("/") if part not in ("", "."))
    return (path, None) if path in files else (None, f"file not found: {name}")


def _unlisted_entry(name: str) -> _Entry:
    return {"record": {"file": name, "key": name}, "path": name}


def _cut(
    name: str, entries: list[_Entry], *, root: str, files: dict[str, StoredFile], size: int
) -> Iterator[SourceShard]:
    for index, start in enumerate(range(0, len(entries), size)):
        part = entries[start : start + size]
        images = [files[entry["path"]] for entry in part if entry["path"]]
        yield SourceShard(
            shard_id=f"{storage.safe_name(name)}-{index:05d}",
            group=name,
            fingerprint=storage.fingerprint(
                READER_VERSION, part, [(image.name, image.size, image.stamp) for image in images]
            ),
            payload={"root": root, "entries": part},
            samples=len(part),
        )


def _read_image(uri: str, path: str) -> tuple[StoredImage | None, str | None]:
    try:
        with storage.open_file(uri) as file:
            content = storage.read_content(file)
    except FileNotFoundError:
        return None, f"file not found: {path}"
    except (PermissionError, IsADirectoryError) as error:
        return None, f"{path} cannot be read: {error}"
    if not content.size:
        return None, f"{path} is empty (0 bytes)"
    return storage.stored_image(uri, content), None
