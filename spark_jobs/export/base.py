"""What a format is to an export: how rows are dealt out, in what order, and what writes one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

IMAGE_FAULT = "image_fault"
"""Column that says why a row's image cannot be read; empty where it may be."""


@dataclass(frozen=True)
class Settings:
    """How an export is written.

    Attributes:
        rows_per_file: Samples per file; None for one file.
        with_images: Whether image bytes go into Parquet rows.
        max_bytes: Largest image that is read.
        columns: Columns that readers are given, in order.
    """

    rows_per_file: int | None
    with_images: bool
    max_bytes: int
    columns: tuple[str, ...] = ()


@dataclass
class FileFacts:
    """What a writer says of a file it has written.

    Attributes:
        rows: Samples in it.
        unreadable: Samples whose image or URL could not be had, with the reason.
        formats: Images by format.
    """

    rows: int = 0
    unreadable: list[dict[str, str]] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)

    def fault(self, row: Mapping[str, Any], reason: str) -> None:
        """Note a sample that could not be had."""
        entry = {"shard_id": row["shard_id"], "sample_id": row["sample_id"], "reason": reason}
        self.unreadable.append(entry)


Writer = Callable[[BinaryIO, Iterator[Any], Settings], FileFacts]


@dataclass(frozen=True)
class Format:
    """One format of an export.

    Attributes:
        name: As the command line knows it.
        meaning: One sentence.
        file_name: Template of a file's name, with `{file}`.
        rows_per_file: Default; None where everything is one file.
        write: Writes one file to a stream: takes its rows as an iterator of Arrow record batches in the format's
            order. Runs in a Spark worker.
        count: Number of samples in a file, read back from a stream.
        order: Columns that order the rows of a file.
        measures: Whether readers are given the measures.
        needs_images: Whether every file is made of image bytes.
    """

    name: str
    meaning: str
    file_name: str
    rows_per_file: int | None
    write: Writer
    count: Callable[[Any], int]
    order: tuple[str, ...] = ("sample_id",)
    measures: bool = False
    needs_images: bool = False

    def name_of(self, file: int) -> str:
        """Name of a file by its number, from 0."""
        return self.file_name.format(file=file)
