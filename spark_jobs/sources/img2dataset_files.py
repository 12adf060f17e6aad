"""Source kind `img2dataset-files`: img2dataset's `files` output, a folder of images per shard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from spark_jobs.errors import SourceError
from spark_jobs.sources import storage
from spark_jobs.sources.base import SourceOptions, SourceRecord, SourceShard
from spark_jobs.sources.img2dataset_table import file_record, image_record, read_table
from spark_jobs.sources.storage import IMAGE_EXTENSIONS, StoredFile, extension_of
from spark_jobs.sources.tar_index import TarMember
from spark_jobs.sources.tar_samples import TarSample

READER_VERSION = "img2dataset-files-1"  # enters the fingerprint: raise it when records change

_MEMBER = re.compile(r"(?P<shard>(?:.*/)?\d+)/(?P<key>[^/.]+)\.(?P<suffix>[^/]+)$")


class Img2datasetFiles:
    """Folders of images with a json, a txt, and a table for each shard."""

    kind = "img2dataset-files"
    meaning = "img2dataset's files output: NNNNN/KEY.jpg with KEY.json and KEY.txt, and NNNNN.parquet"

    def recognises(self, files: Sequence[StoredFile]) -> bool:
        """Whether there are numbered folders of images, with a table beside the folder or a json by an image."""
        names = {file.name for file in files}
        for file in files:
            member = _MEMBER.match(file.name)
            if member and file.extension in IMAGE_EXTENSIONS:
                stem = f"{member['shard']}/{member['key']}"
                if names & {f"{member['shard']}.parquet", f"{stem}.json", f"{stem}.txt"}:
                    return True
        return False

    def shards(self, root: str, options: SourceOptions) -> list[SourceShard]:
        """List one shard per numbered folder, and per numbered table whose folder is missing.

        Raises:
            SourceError: If there are neither.
        """
        root = storage.absolute(root)
        files = {file.name: file for file in storage.list_files(root)}
        folders: dict[str, list[StoredFile]] = {}
        for file in files.values():
            member = _MEMBER.match(file.name)
            table = re.fullmatch(r"((?:.*/)?\d+)\.parquet", file.name)
            name = member["shard"] if member else table[1] if table else None
            if name is not None:
                folders.setdefault(name, []).append(file)
        if not folders:
            raise SourceError(
                f"{root} holds no img2dataset shards: expected folders NNNNN with KEY.jpg, found "
                f"{storage.some_names(list(files))}"
            )
        return [_shard(root, name, found) for name, found in sorted(folders.items())]

    def read(self, shard: SourceShard, options: SourceOptions) -> Iterator[SourceRecord]:
        """Read a shard: rows of the table with their images, then images that the table lacks.

        Raises:
            OSError: If the storage fails, other than by a file being missing or forbidden.
        """
        folder, table = f"{shard.shard_id}/", f"{shard.shard_id}.parquet"
        rows, table_fault = read_table(shard.payload["parquet"], table)
        members = _by_key(storage.list_files(shard.payload["folder"]))
        for (key, occurrence), row in rows.items():
            sample = TarSample(key, occurrence)
            if row.image_error is None and not occurrence:
                _add_image(sample, members.pop(key, []))
            yield image_record(folder, row, sample)
        for key, files in members.items():
            if (key, 0) not in rows and any(file.extension in IMAGE_EXTENSIONS for file in files):
                sample = TarSample(key)
                _add_image(sample, files)
                _add_texts(sample, files)
                yield image_record(folder, None, sample)
        if table_fault:
            yield file_record(table, table_fault)
        elif not rows and not members:
            yield file_record(folder.rstrip("/"), "holds no samples")


def _shard(root: str, name: str, files: list[StoredFile]) -> SourceShard:
    table = next((file.uri for file in files if file.name == f"{name}.parquet"), None)
    facts = sorted((file.name, file.size, file.stamp) for file in files)
    return SourceShard(
        shard_id=name,
        fingerprint=storage.fingerprint(READER_VERSION, facts),
        payload={"folder": f"{root}/{name}", "parquet": table},
    )


def _by_key(files: Iterable[StoredFile]) -> dict[str, list[StoredFile]]:
    members: dict[str, list[StoredFile]] = {}
    for file in files:
        if "/" not in file.name and "." in file.name:
            members.setdefault(file.name.partition(".")[0], []).append(file)
    return members


def _add_image(sample: TarSample, files: list[StoredFile]) -> None:
    file = next((file for file in files if file.extension in IMAGE_EXTENSIONS), None)
    if file is None:
        return
    try:
        with storage.open_file(file.uri) as stream:
            content = storage.read_content(stream)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        sample.image_fault = f"{file.name} cannot be read: {error.strerror or error}"
        return
    if content.size:
        sample.image = storage.stored_image(file.uri, content)
    else:
        sample.image_fault = f"{file.name} is empty (0 bytes)"


def _add_texts(sample: TarSample, files: list[StoredFile]) -> None:
    for file in files:
        if extension_of(file.name) in ("json", "txt"):
            with storage.open_file(file.uri) as stream:
                content = storage.read_content(stream)
            member = TarMember(file.name, 0, content.size, content)
            sample.add(member, suffix=file.name.partition(".")[2], uri=file.uri)
