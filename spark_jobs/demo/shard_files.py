"""Writes a shard as img2dataset 1.47 does in its webdataset format: tar, Parquet and stats."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_FIXED_TIME = 1_700_000_000  # in tars and stats, so that the same samples give the same bytes


@dataclass(frozen=True)
class ShardRow:
    """A row of the Parquet file, in img2dataset's column order; the tar's json member holds the same.

    Attributes:
        SAMPLE_ID: LAION's id of the pair.
        key: Shard number and row number.
        status: success or failed_to_download.
        error_message: Why it failed, else None.
        width: px; None where the download failed, as the fields below.
        sha256: Digest of the downloaded bytes.
    """

    SAMPLE_ID: int
    NSFW: str
    LICENSE: str
    caption: str
    url: str
    key: str
    status: str
    error_message: str | None = None
    width: int | None = None
    height: int | None = None
    original_width: int | None = None
    original_height: int | None = None
    exif: str | None = None
    sha256: str | None = None


_INT64_COLUMNS = ("SAMPLE_ID",)
_INT32_COLUMNS = ("width", "height", "original_width", "original_height")


def write_shard(folder: Path, name: str, rows: Sequence[tuple[ShardRow, bytes | None]]) -> None:
    """Write NAME.tar, NAME.parquet and NAME_stats.json.

    Args:
        folder: Existing folder.
        name: Five digits.
        rows: Every row of the shard with its stored image; None where the download failed. Such a row
            stands in the Parquet file only.
    """
    # USTAR headers hold no process ids or access times, which PAX headers may.
    with tarfile.open(folder / f"{name}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for row, data in rows:
            if data is None:
                continue
            _add(tar, f"{row.key}.jpg", data)
            _add(tar, f"{row.key}.json", json.dumps(asdict(row), indent=4).encode())
            _add(tar, f"{row.key}.txt", row.caption.encode())
    _write_parquet(folder / f"{name}.parquet", [row for row, _ in rows])
    _write_stats(folder / f"{name}_stats.json", [row for row, _ in rows])


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(data), _FIXED_TIME, 0o444
    member.uname = member.gname = "bigdata"
    tar.addfile(member, io.BytesIO(data))


def _write_parquet(path: Path, rows: Sequence[ShardRow]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {**dict.fromkeys(_INT64_COLUMNS, pa.int64()), **dict.fromkeys(_INT32_COLUMNS, pa.int32())}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in ShardRow.__dataclass_fields__])
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), str(path))


def _write_stats(path: Path, rows: Sequence[ShardRow]) -> None:
    statuses = Counter(row.status for row in rows)
    stats = {
        "count": len(rows),
        "successes": statuses["success"],
        "failed_to_download": statuses["failed_to_download"],
        "failed_to_resize": statuses["failed_to_resize"],
        "duration": 1.0,
        "start_time": float(_FIXED_TIME),
        "end_time": float(_FIXED_TIME + 1),
        "status_dict": dict(Counter(row.error_message or "success" for row in rows)),
    }
    path.write_text(json.dumps(stats, indent=4), encoding="utf-8")
