"""Read a folder, or a single tar, through the webdataset source."""

from __future__ import annotations

import fsspec

from spark_jobs.sources import SOURCES, SourceOptions
from tests.builders import image_bytes, tar_bytes

OPTIONS = SourceOptions()
SOURCE = SOURCES["webdataset"]
JPEG = image_bytes()


def read(root):
    return [record for shard in SOURCE.shards(str(root), OPTIONS) for record in SOURCE.read(shard, OPTIONS)]


def read_tar(tmp_path, members, **options):
    (tmp_path / "00000.tar").write_bytes(tar_bytes(members, **options))
    return read(tmp_path)


def stored_bytes(image):
    with fsspec.open(image.uri, "rb") as file:
        file.seek(image.offset)
        return file.read(image.length)
