"""Sources of image-text pairs. A new kind is one file in this package and one entry in `SOURCES`."""

from __future__ import annotations

from spark_jobs.errors import SourceError
from spark_jobs.sources import storage
from spark_jobs.sources.base import Source, SourceOptions, SourceRecord, SourceShard
from spark_jobs.sources.cc_tsv import ConceptualCaptions
from spark_jobs.sources.image_folder import ImageFolder
from spark_jobs.sources.img2dataset_files import Img2datasetFiles
from spark_jobs.sources.img2dataset_parquet import Img2datasetParquet
from spark_jobs.sources.metadata_parquet import MetadataParquet
from spark_jobs.sources.mmc4 import Mmc4
from spark_jobs.sources.storage import StoredImage
from spark_jobs.sources.webdataset import WebDataset

__all__ = ["SOURCES", "Source", "SourceOptions", "SourceRecord", "SourceShard", "StoredImage", "recognise"]

_ALL: tuple[Source, ...] = (
    WebDataset(),
    Img2datasetParquet(),
    Img2datasetFiles(),
    ImageFolder(),
    MetadataParquet(),
    ConceptualCaptions(),
    Mmc4(),
)
SOURCES: dict[str, Source] = {source.kind: source for source in _ALL}


def recognise(root: str, kind: str | None) -> Source:
    """Find the source that reads `root`.

    Args:
        root: Folder or file: local path or URI.
        kind: Kind that the user named; None or `auto` to recognise it.

    Raises:
        SourceError: If the kind is unknown, there is nothing at `root`, or no kind or several fit.
    """
    valid = ", ".join(SOURCES)
    if kind not in (None, "auto", *SOURCES):
        raise SourceError(
            f"unknown kind of source {kind!r}: valid kinds are auto, {valid} (--set ingest.kind=...)"
        )
    files = storage.list_files(storage.absolute(root))
    names = [file.name for file in files]
    expected = "; ".join(f"{source.kind} = {source.meaning}" for source in SOURCES.values())
    if not names:
        raise SourceError(f"no files at {root}: check the path; expected one of: {expected}")
    if kind in SOURCES:
        return SOURCES[kind]
    fitting = [source for source in SOURCES.values() if source.recognises(files)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        kinds = "; ".join(f"{source.kind} = {source.meaning}" for source in fitting)
        raise SourceError(
            f"source {root} fits several kinds: {kinds}; found {storage.some_names(names)}; "
            "choose with --set ingest.kind=KIND, or name one file instead of the folder"
        )
    raise SourceError(
        f"source {root} fits no kind: looked for {expected}; found {storage.some_names(names)}; "
        f"name the kind with --set ingest.kind=KIND, one of {valid}"
    )
