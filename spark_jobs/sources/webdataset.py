"""Source kind `webdataset`: tar shards with one parquet table each, as img2dataset writes them.

Images stay where they are: a record refers to the byte range of a member in its tar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spark_jobs.errors import SourceError
from spark_jobs.sources import storage
from spark_jobs.sources.base import SourceOptions, SourceRecord, SourceShard
from spark_jobs.sources.img2dataset_table import file_record, image_record, read_table
from spark_jobs.sources.storage import StoredFile
from spark_jobs.sources.tar_index import TarScan
from spark_jobs.sources.tar_samples import TarSample, group_samples

READER_VERSION = "webdataset-2"  # enters the fingerprint: raise it when records change for the same files

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


class WebDataset:
    """Tar shards as img2dataset and the webdataset library write them."""

    kind = "webdataset"
    meaning = "tar shards as img2dataset writes them: NNNNN.tar, with or without NNNNN.parquet"

    def recognises(self, files: Sequence[StoredFile]) -> bool:
        """Whether there is a tar."""
        return any(file.name.endswith((".tar", *_COMPRESSED)) for file in files)

    def shards(self, root: str, options: SourceOptions) -> list[SourceShard]:
        """List one shard per tar, and per parquet table whose tar is missing.

        Raises:
            SourceError: If there are neither, or tars are compressed.
        """
        folder, files = _listing(storage.absolute(root))
        compressed = [name for name in files if name.endswith(_COMPRESSED)]
        if compressed:
            raise SourceError(
                f"{root} holds compressed tars ({storage.some_names(compressed)}), but images are read by "
                "byte range, which needs plain ones: unpack them to .tar"
            )
        names = {_stem(name) for name in files if name.endswith((".tar", ".parquet"))}
        if not names:
            raise SourceError(
                f"{root} holds no webdataset shards: expected NAME.tar (with NAME.parquet where img2dataset "
                f"wrote them), found {storage.some_names(list(files))}"
            )
        return [_shard(folder, name, files) for name in sorted(names)]

    def read(self, shard: SourceShard, options: SourceOptions) -> Iterator[SourceRecord]:
        """Read a shard: samples in the order of the tar, then rows of the table that the tar lacks.

        What befell a whole file (cut tar without a table, corrupt table) is a record with the file's name
        as key, so no shard is without records.

        Raises:
            OSError: If the storage fails.
        """
        tar, table = f"{shard.shard_id}.tar", f"{shard.shard_id}.parquet"
        rows, table_fault = read_table(shard.payload["parquet"], table)
        has_rows, has_samples = bool(rows), False
        is_covered = has_rows and table_fault is None  # every sample has a row, which tells what it lacks
        scan = TarScan(shard.payload["tar"])
        for sample in group_samples(scan.members(), uri=scan.uri):
            has_samples = True
            row = rows.pop((sample.key, sample.occurrence), None)
            yield image_record(tar, row, sample, tar_fault=scan.fault)
        for (key, occurrence), row in rows.items():
            yield image_record(tar, row, TarSample(key, occurrence), tar_fault=scan.fault)
        if table_fault:
            yield file_record(table, table_fault)
        if (scan.fault and not is_covered) or not (has_rows or has_samples):
            yield file_record(tar, scan.fault or "holds no samples")


def _listing(root: str) -> tuple[str, dict[str, StoredFile]]:
    """Folder and files by name; for a single tar or table, those of its shard."""
    files = storage.list_files(root)
    if [file.uri for file in files] == [root]:
        root, _, name = root.rpartition("/")
        files = [file for file in storage.list_files(root) if _stem(file.name) == _stem(name)]
    return root, {file.name: file for file in files}


def _stem(name: str) -> str:
    return name.removesuffix(".tar").removesuffix(".parquet")


def _shard(folder: str, name: str, files: dict[str, StoredFile]) -> SourceShard:
    tar, table = files.get(f"{name}.tar"), files.get(f"{name}.parquet")
    facts = [(file.name, file.size, file.stamp) for file in (tar, table) if file is not None]
    return SourceShard(
        shard_id=name,
        fingerprint=storage.fingerprint(READER_VERSION, facts),
        # A tar that is not there is named all the same: reading it says that it is missing.
        payload={"tar": f"{folder}/{name}.tar", "parquet": table.uri if table else None},
    )
