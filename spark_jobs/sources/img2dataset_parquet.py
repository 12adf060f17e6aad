"""Source kind `img2dataset-parquet`: img2dataset's Parquet output, image bytes in a column of the table.

Images stay where they are: a record refers to a row of the file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from spark_jobs.errors import SourceError
from spark_jobs.sources import storage
from spark_jobs.sources.base import SourceOptions, SourceRecord, SourceShard
from spark_jobs.sources.img2dataset_table import RowKeys, file_record, image_record, wanted_columns
from spark_jobs.sources.parquet_file import ParquetFault, first_columns, read_facts, read_rows
from spark_jobs.sources.storage import StoredFile, StoredImage
from spark_jobs.sources.tar_samples import TarSample
from udfs.image_refs import IMAGE_COLUMNS, image_column

READER_VERSION = "img2dataset-parquet-1"  # enters the fingerprint: raise it when records change

_BATCH_ROWS = 64  # images held at a time


class Img2datasetParquet:
    """Parquet tables that hold the images."""

    kind = "img2dataset-parquet"
    meaning = "img2dataset's Parquet output: NNNNN.parquet with the image bytes in a column jpg, png or webp"

    def recognises(self, files: Sequence[StoredFile]) -> bool:
        """Whether there are tables with a column of image bytes, and no tars."""
        has_tars = any(file.extension == "tar" for file in files)
        columns = None if has_tars else first_columns(files)
        return columns is not None and image_column(columns) is not None

    def shards(self, root: str, options: SourceOptions) -> list[SourceShard]:
        """List one shard per table.

        Raises:
            SourceError: If there is none.
        """
        files = storage.list_files(storage.absolute(root))
        tables = [file for file in files if file.extension == "parquet"]
        if not tables:
            raise SourceError(
                f"{root} holds no .parquet file: expected img2dataset's Parquet output, found "
                f"{storage.some_names([file.name for file in files])}"
            )
        return [
            SourceShard(
                shard_id=file.name.removesuffix(".parquet"),
                fingerprint=storage.fingerprint(READER_VERSION, file.name, file.size, file.stamp),
                payload={"uri": file.uri, "file": file.name},
            )
            for file in tables
        ]

    def read(self, shard: SourceShard, options: SourceOptions) -> Iterator[SourceRecord]:
        """Read a table's rows and the header of each image.

        Raises:
            OSError: If the storage fails.
        """
        uri, name = shard.payload["uri"], shard.payload["file"]
        number = 0
        try:
            columns = read_facts(uri).columns
            column = image_column(columns)
            if column is None:
                raise ParquetFault(f"no column of image bytes ({', '.join(IMAGE_COLUMNS)})")
            keys = RowKeys(name)
            wanted = [*wanted_columns(columns), column]
            for number, values in enumerate(read_rows(uri, wanted, batch_rows=_BATCH_ROWS), start=1):
                data = values.pop(column)
                (key, occurrence), row = keys.row(values)
                image = _stored(data, uri=uri, row=number - 1)
                yield image_record(name, row, TarSample(key, occurrence, image=image))
        except ParquetFault as fault:
            yield file_record(name, f"cannot be read from row {number} on: {fault}")
        else:
            if not number:
                yield file_record(name, "holds no samples")


def _stored(data: bytes | None, *, uri: str, row: int) -> StoredImage | None:
    if not data:
        return None
    content = storage.read_content(io.BytesIO(data))
    return storage.stored_image(uri, content, row=row)
