"""Images of a slice of URLs: img2dataset's own downloader, within limits, into one tar.

img2dataset gets, resizes and writes (webdataset layout: tar, Parquet table, stats); what it lacks is put around
it: bounded reads (`udfs.bounded_http`), guarded decodes, and a row for each sample that it drops.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spark_jobs.sources.storage import StoredImage, safe_name
from spark_jobs.sources.tar_index import TarScan
from spark_jobs.sources.tar_samples import group_samples
from udfs import guarded_decode
from udfs.bounded_http import HttpLimits, bounded_opener
from udfs.image_codec import DecodeLimits, ImageFault, check_file
from udfs.image_structure import oddity

_SHARD = 0  # img2dataset numbers shards; each slice is one, in a folder of its own
_SHARD_DIGITS = 5
_NAME = f"{_SHARD:0{_SHARD_DIGITS}d}"
_FILES = (".tar", ".parquet", "_stats.json")
_KEY_SPACE = 10_000  # img2dataset's number_sample_per_shard, from which it takes the length of keys
_PLAIN_MODES = {"RGB", "L"}
_EXIF_ORIENTATION = 0x0112
_SUCCESS = "success"


@dataclass(frozen=True)
class FetchOptions:
    """How images are fetched; pickled to workers.

    Attributes:
        output: Folder or URI under which tars are put.
        image_size: Size that `resize_mode` aims at, px.
        resize_mode: img2dataset's: no, border, keep_ratio, keep_ratio_largest, center_crop.
        resize_only_if_bigger: Whether smaller images are left as they are.
        encode_format: jpg, png or webp.
        encode_quality: Quality, or compression level for png.
        skip_reencode: Whether an image that needs no change keeps its bytes.
        threads: Downloads at a time.
        timeout: Longest wait for a server to say anything, s.
        retries: Further attempts per URL within one run.
        disallowed: Directives of `X-Robots-Tag` that forbid a download.
        user_agent_token: Name that directives may be addressed to.
        http: Limits of one download.
        decode: Limits of one decode.
    """

    output: str
    image_size: int = 1024
    resize_mode: str = "keep_ratio_largest"
    resize_only_if_bigger: bool = True
    encode_format: str = "jpg"
    encode_quality: int = 95
    skip_reencode: bool = True
    threads: int = 32
    timeout: float = 10.0
    retries: int = 0
    disallowed: tuple[str, ...] = ()
    user_agent_token: str | None = None
    http: HttpLimits = field(default_factory=HttpLimits)
    decode: DecodeLimits = field(default_factory=DecodeLimits)


@dataclass(frozen=True)
class Fetched:
    """What became of one URL: an image in a tar, or img2dataset's status and message."""

    image: StoredImage | None
    error: str | None


def fetch_images(
    pairs: Sequence[Mapping[str, Any]], options: FetchOptions, *, shard_id: str
) -> dict[str, Fetched]:
    """Download the images of some samples into one tar below `options.output`.

    Args:
        pairs: `sample_id`, `url` and `caption` of each sample.
        options: How.
        shard_id: Their shard; names the folder.

    Returns:
        What became of each, by sample id: every sample is in it.

    Raises:
        OSError: If the output cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="parrot-download-") as folder:
        _run_img2dataset(pairs, options, folder=folder)
        # A name of its own per attempt: Spark may run a task twice, and each attempt has its own byte offsets.
        place = f"{options.output.rstrip('/')}/{safe_name(shard_id)}/{uuid.uuid4().hex[:12]}"
        fetched = dict(_outcomes(folder, tar_uri=f"{place}.tar"))
        _put(folder, place)
    lost = Fetched(None, "failed_to_download: img2dataset dropped this sample without a message")
    return {pair["sample_id"]: fetched.get(pair["sample_id"], lost) for pair in pairs}


def _run_img2dataset(pairs: Sequence[Mapping[str, Any]], options: FetchOptions, *, folder: str) -> None:
    import pyarrow as pa

    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks its registry for news at import
    from img2dataset.downloader import Downloader
    from img2dataset.resizer import Resizer
    from img2dataset.writer import WebDatasetSampleWriter

    columns = ["url", "caption", "sample_id"]
    table = pa.table({name: pa.array([pair[name] for pair in pairs], pa.string()) for name in columns})
    urls = f"{folder}/urls.arrow"
    with pa.OSFile(urls, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    resizer = Resizer(
        image_size=options.image_size,
        resize_mode=options.resize_mode,
        resize_only_if_bigger=options.resize_only_if_bigger,
        encode_format=options.encode_format,
        encode_quality=options.encode_quality,
        skip_reencode=options.skip_reencode,
    )
    downloader = Downloader(
        sample_writer_class=WebDatasetSampleWriter,
        resizer=_GuardedResizer(resizer, options.decode),
        thread_count=options.threads,
        save_caption=True,
        extract_exif=False,
        output_folder=folder,
        column_list=columns,
        timeout=options.timeout,
        number_sample_per_shard=_KEY_SPACE,
        oom_shard_count=_SHARD_DIGITS,
        compute_hash=None,
        verify_hash_type=None,
        encode_format=options.encode_format,
        retries=options.retries,
        user_agent_token=options.user_agent_token,
        disallowed_header_directives=list(options.disallowed) or None,
    )
    with bounded_opener(options.http):
        # Not `downloader(...)`: that swallows what ends a whole shard (a full disk).
        downloader.download_shard((_SHARD, urls))


class _GuardedResizer:
    """img2dataset's resizer behind checks: it decodes in this process whatever a server sends.

    Ordinary upright files are handed on as they came. Others (suspicious, turned by EXIF, which the resizer
    ignores, palettes, 16 bits, formats that OpenCV lacks) are decoded apart and handed on as plain pixels.
    """

    def __init__(self, resizer: Any, limits: DecodeLimits) -> None:
        self._resizer = resizer
        self._limits = limits

    def __call__(self, stream: io.BytesIO, blurring_bbox_list: Any = None) -> tuple[Any, ...]:
        data = stream.getvalue()
        try:
            check_file(data, self._limits)
            plain = data if _is_plain(data, self._limits) else self._plain_copy(data)
        except ImageFault as fault:
            return None, None, None, None, None, str(fault)
        result: tuple[Any, ...] = self._resizer(io.BytesIO(plain), blurring_bbox_list)
        return result

    def _plain_copy(self, data: bytes) -> bytes:
        import cv2

        pixels = guarded_decode.decode(data, self._limits).pixels
        encoded: bytes = cv2.imencode(".bmp", pixels[:, :, ::-1])[1].tobytes()
        return encoded


def _is_plain(data: bytes, limits: DecodeLimits) -> bool:
    """Whether the resizer may open a file itself, and sees what a browser would show."""
    from PIL import Image

    if oddity(data) is not None:
        return False
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            is_upright = image.getexif().get(_EXIF_ORIENTATION, 1) == 1
            is_plain = image.mode in _PLAIN_MODES and "transparency" not in image.info
    except Exception:  # noqa: BLE001 - Pillow's parsers raise anything; the guarded decode says what is wrong
        return False
    return is_upright and is_plain and width * height <= limits.max_pixels


def _outcomes(folder: str, *, tar_uri: str) -> Iterator[tuple[str, Fetched]]:
    """Sample id and outcome of each row of img2dataset's table."""
    from pyarrow import parquet

    stored = {
        sample.key: sample.image
        for sample in group_samples(TarScan(f"{folder}/{_NAME}.tar").members(), uri=tar_uri)
    }
    table = parquet.read_table(
        f"{folder}/{_NAME}.parquet", columns=["sample_id", "key", "status", "error_message"]
    )
    for row in table.to_pylist():
        image = stored.get(row["key"])
        if row["status"] == _SUCCESS and image is not None:
            yield row["sample_id"], Fetched(image, None)
        elif row["status"] == _SUCCESS:
            yield row["sample_id"], Fetched(None, f"image of key {row['key']} is not in {tar_uri}")
        else:
            message = " ".join((row["error_message"] or "").split())
            yield (
                row["sample_id"],
                Fetched(None, f"{row['status']}: {message}" if message else row["status"]),
            )


def _put(folder: str, place: str) -> None:
    """Move img2dataset's files to where they stay; a file is there whole or not at all."""
    import fsspec

    file_system, path = fsspec.core.url_to_fs(place)
    if "://" not in place:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    for suffix in _FILES:
        source = f"{folder}/{_NAME}{suffix}"
        if "://" in place:
            file_system.put_file(source, f"{path}{suffix}")
        else:
            part = f"{path}{suffix}.part"
            shutil.copyfile(source, part)
            os.replace(part, f"{path}{suffix}")
