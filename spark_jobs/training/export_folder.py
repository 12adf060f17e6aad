"""An export as a training sees it: verified, with images, and which of its samples can be trained on."""

from __future__ import annotations

import json
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spark_jobs.errors import ExportError
from spark_jobs.export.folder import Folder
from spark_jobs.export.manifest import Manifest, read_manifest
from spark_jobs.export.verify import verify
from spark_jobs.warehouse.digest import digest
from udfs.guarded_decode import decode
from udfs.image_codec import DecodeLimits, ImageFault
from udfs.weights import write_once

FEEDS_OF = {"parquet": ("parquet", "petastorm"), "webdataset": ("webdataset",)}
NO_IMAGE, NO_CAPTION, NOT_DECODED = "no image", "no caption", "image does not decode"
_AHEAD = 64


@dataclass(frozen=True)
class TrainingExport:
    """A verified export that holds images.

    Attributes:
        root: Local folder.
        manifest: What it says of itself.
    """

    root: str
    manifest: Manifest

    @property
    def format(self) -> str:
        """`parquet` or `webdataset`."""
        return str(self.manifest.identity["format"])

    @property
    def content_hash(self) -> str:
        """Hash of the subset's members."""
        return str(self.manifest.identity["content_hash"])

    @property
    def files(self) -> list[str]:
        """Names of the files that hold samples, in order."""
        return [file.name for file in self.manifest.files if file.input_key]

    @property
    def digest(self) -> str:
        """Hash of the files' contents."""
        return digest({file.name: file.sha256 for file in self.manifest.files})


@dataclass(frozen=True)
class Chunk:
    """What is read in one go: a tar, or a row group of a Parquet file.

    Attributes:
        file: Name of the file.
        group: Row group; 0 for a tar.
        rows: Samples in it.
        skipped: Samples that cannot be trained on, by row in the chunk: sample id and reason.
    """

    file: str
    group: int
    rows: int
    skipped: Mapping[int, tuple[str, str]]

    @property
    def usable(self) -> int:
        """Samples that can be trained on."""
        return self.rows - len(self.skipped)

    def usable_rows(self) -> list[int]:
        """Their rows, in order."""
        return [row for row in range(self.rows) if row not in self.skipped]


@dataclass(frozen=True)
class Inventory:
    """All chunks of an export, in order."""

    chunks: tuple[Chunk, ...]

    @property
    def usable(self) -> int:
        """Samples that can be trained on: as many per epoch."""
        return sum(chunk.usable for chunk in self.chunks)

    @property
    def skipped(self) -> dict[str, int]:
        """Samples that cannot, by reason."""
        return dict(Counter(reason for chunk in self.chunks for _, reason in chunk.skipped.values()))

    def to_json(self) -> str:
        """For a file."""
        return json.dumps([asdict(chunk) for chunk in self.chunks])

    @classmethod
    def parse(cls, text: str) -> Inventory:
        """From its JSON form."""
        chunks = [
            Chunk(
                one["file"],
                one["group"],
                one["rows"],
                {int(row): (entry[0], entry[1]) for row, entry in one["skipped"].items()},
            )
            for one in json.loads(text)
        ]
        return cls(tuple(chunks))


def open_export(place: str, feed: str = "auto") -> tuple[TrainingExport, str]:
    """Check that a folder holds a whole export with images that a feed can read.

    Args:
        place: Local folder.
        feed: Name of the feed, or `auto`.

    Returns:
        The export, and the name of its feed.

    Raises:
        ExportError: If it is not complete, differs from its manifest, holds no images or is not the feed's.
    """
    if "://" in place:
        raise ExportError(
            f"training reads local folders, {place} is a URI: export to a disk (or a volume) that the training "
            "processes see"
        )
    manifest, differences = verify(place)
    if differences:
        first = differences[0]
        raise ExportError(
            f"the export in {place} is not what its manifest says: {len(differences)} files differ, the first "
            f"{first.name}, {first.kind} ({first.detail}). `parrot verify {place}` lists all; remove "
            "those files and export again"
        )
    form = str(manifest.identity["format"])
    feeds = FEEDS_OF.get(form, ())
    if not feeds or (form == "parquet" and not manifest.identity["with_images"]):
        raise ExportError(
            f"the export in {place} holds no images ({form}): export again with --format webdataset, or with --format "
            "parquet --with-images"
        )
    if feed not in ("auto", *feeds):
        raise ExportError(f"the feed {feed} does not read {form} ({place}): its feeds are {', '.join(feeds)}")
    chosen = feeds[0] if feed == "auto" else feed
    return TrainingExport(os.path.abspath(place), manifest), chosen


def open_manifest(place: str) -> TrainingExport:
    """An export that was verified before: its manifest is read, its files are not.

    Raises:
        ExportError: If there is none any more.
    """
    manifest = read_manifest(Folder(place))
    if manifest is None:
        raise ExportError(f"no export in {place} any more")
    return TrainingExport(os.path.abspath(place), manifest)


def inventory_of(export: TrainingExport, cache: Path, *, threads: int) -> Inventory:
    """Which samples can be trained on; every image is decoded once per export, and the answer kept.

    So all processes leave out the same samples, and know before the first step how many there are.

    Args:
        export: The export.
        cache: Folder for the answer.
        threads: Threads that decode.
    """
    path = cache / f"inventory-{export.digest}.json"

    def write(partial: Path) -> None:
        partial.write_text(take_inventory(export, threads=threads).to_json(), encoding="utf-8")

    return Inventory.parse(write_once(path, write).read_text(encoding="utf-8"))


def take_inventory(export: TrainingExport, *, threads: int) -> Inventory:
    """Decode every image of an export once."""
    chunks = tar_chunks(export) if export.format == "webdataset" else parquet_chunks(export)
    with ThreadPoolExecutor(threads) as pool:
        found = [Chunk(file, group, rows, _faults(samples(), pool)) for file, group, rows, samples in chunks]
    return Inventory(tuple(found))


Sample = tuple[str, bytes | None, str | None]
"""Sample id, stored image, caption."""
_Opened = tuple[str, int, int, Callable[[], Iterable[Sample]]]


def tar_samples(path: str) -> Iterator[Sample]:
    """Samples of an exported tar in order: it holds image, KEY.json and KEY.txt of one after the other."""
    with tarfile.open(path, mode="r|") as archive:
        key, image, caption = "", None, None
        for member in archive:
            name, _, extension = member.name.partition(".")
            if name != key and key:
                yield key, image, caption
                image, caption = None, None
            key = name
            stream = archive.extractfile(member)
            data = stream.read() if stream else b""
            if extension == "txt":
                caption = data.decode("utf-8")
            elif extension != "json":
                image = data
        if key:
            yield key, image, caption


def tar_chunks(export: TrainingExport) -> Iterator[_Opened]:
    """A chunk per tar: file, 0, samples, and what reads them."""
    for file in export.manifest.files:
        if file.input_key:
            path = os.path.join(export.root, file.name)
            yield file.name, 0, file.rows, lambda path=path: tar_samples(path)  # type: ignore[misc]


def parquet_chunks(export: TrainingExport) -> Iterator[_Opened]:
    """A chunk per row group: file, group, rows, and what reads them."""
    from pyarrow import parquet

    for name in export.files:
        path = os.path.join(export.root, name)
        metadata = parquet.read_metadata(path)
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            yield name, group, rows, lambda path=path, group=group: group_samples(path, group)  # type: ignore[misc]


def group_samples(path: str, group: int) -> list[Sample]:
    """Samples of a row group, in order."""
    table = read_group(path, group, ("sample_id", "image", "caption"))
    columns = (table.column(name).to_pylist() for name in ("sample_id", "image", "caption"))
    return list(zip(*columns, strict=True))


def read_group(path: str, group: int, columns: Sequence[str]) -> Any:
    """A row group as an Arrow table. By path: a process that read Parquet from memory may abort at its end."""
    from pyarrow import parquet

    with parquet.ParquetFile(path, memory_map=True) as file:
        return file.read_row_group(group, columns=list(columns))


def _faults(samples: Iterable[Sample], pool: ThreadPoolExecutor) -> dict[int, tuple[str, str]]:
    faults: dict[int, tuple[str, str]] = {}
    waiting: list[tuple[int, str, Any]] = []
    for row, (sample_id, image, caption) in enumerate(samples):
        waiting.append((row, sample_id, pool.submit(_fault, image, caption)))
        if len(waiting) >= _AHEAD:
            _collect(waiting, faults)
    _collect(waiting, faults)
    return faults


def _collect(waiting: list[tuple[int, str, Any]], faults: dict[int, tuple[str, str]]) -> None:
    for row, sample_id, future in waiting:
        reason = future.result()
        if reason:
            faults[row] = (sample_id, reason)
    waiting.clear()


def _fault(image: bytes | None, caption: str | None) -> str | None:
    if not (caption or "").strip():
        return NO_CAPTION
    if image is None:
        return NO_IMAGE
    try:
        decode(image, DecodeLimits())
    except ImageFault:
        return NOT_DECODED
    return None
