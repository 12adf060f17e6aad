"""Format `webdataset`: tars of KEY.jpg, KEY.txt and KEY.json, as open_clip reads them.

Equal members give equal bytes: members of a tar are in the order of their sample ids, times and owners are 0.
"""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from spark_jobs.export.base import FileFacts, Format, Settings
from spark_jobs.export.image_bytes import image_bytes
from spark_jobs.export.manifest import ExportedFile

# open_clip takes the first four; it leaves out samples of other formats.
OPEN_CLIP_FORMATS = ("JPEG", "PNG", "WEBP")
_EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "JPEG2000": "jp2"}
SIZES = "sizes.json"


def write(stream: BinaryIO, batches: Iterator[Any], settings: Settings) -> FileFacts:
    """Write one tar."""
    import pyarrow as pa

    rows = pa.Table.from_batches(batches).to_pylist()
    facts = FileFacts()
    with (
        image_bytes(rows, max_bytes=settings.max_bytes) as found,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for index, row in enumerate(rows):
            data = found[index]
            if data is None:
                facts.fault(row, found.faults[index])
                continue
            image_format = found.formats[index]
            key = row["sample_id"]
            _add(archive, f"{key}.{_EXTENSIONS.get(image_format, image_format.lower())}", data)
            _add(archive, f"{key}.json", _json(row, settings.columns))
            _add(archive, f"{key}.txt", (row["caption"] or "").encode())
            facts.rows += 1
            facts.formats[image_format] += 1
    return facts


def count(stream: Any) -> int:
    """Samples of a tar."""
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        return sum(member.name.endswith(".json") for member in archive)


def sizes_file(files: Sequence[ExportedFile]) -> bytes:
    """What open_clip reads to learn how many samples the tars hold, in place of --train-num-samples."""
    return json.dumps({file.name: file.rows for file in files}, indent=1).encode() + b"\n"


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    archive.addfile(header, io.BytesIO(data))


def _json(row: Mapping[str, Any], columns: Sequence[str]) -> bytes:
    # NaN is not JSON.
    values = {name: None if _is_nan(row[name]) else row[name] for name in columns}
    return json.dumps({"key": row["sample_id"], **values}, ensure_ascii=False, allow_nan=False).encode()


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


FORMAT = Format(
    name="webdataset",
    meaning="tars of image, caption and measures that open_clip trains from",
    file_name="{file:05d}.tar",
    rows_per_file=10_000,
    write=write,
    count=count,
    measures=True,
    needs_images=True,
)
