"""Export a stored subset: plan the files, write those that are missing, declare the whole complete.

A file is done again only where it is not there, is not what it was, or would be made from other rows: the
journal (or the manifest, for a complete export) names the hash of the rows that each was made from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from schemas import TABLES, subsets
from spark_jobs.errors import ExportError
from spark_jobs.export import datacomp_npy, manifest, webdataset
from spark_jobs.export.base import Format, Settings
from spark_jobs.export.folder import Folder, Written
from spark_jobs.export.manifest import ExportedFile, Manifest
from spark_jobs.export.rows import FILE, Rows, current_tables, export_rows
from spark_jobs.export.write_files import FileTask, write_files
from spark_jobs.subsets.build import content_hash, members_of, stored_subset
from spark_jobs.subsets.measures import MEASURE_TABLES
from spark_jobs.warehouse.digest import digest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_jobs.warehouse.tables import Tables

# Provenance columns of `subsets` that the manifest holds elsewhere, or that say nothing of the members.
_NOT_TOLD = frozenset(("dataset", "subset_id"))


@dataclass(frozen=True)
class Export:
    """What to export, and where to.

    Attributes:
        dataset: The dataset.
        subset_id: A subset that is stored.
        format: The format.
        settings: How files are written.
        to: Folder or URI.
    """

    dataset: str
    subset_id: str
    format: Format
    settings: Settings
    to: str


@dataclass(frozen=True)
class Outcome:
    """What an export did.

    Attributes:
        manifest: Of the export.
        written: Files written by this run.
    """

    manifest: Manifest
    written: int


def run_export(tables: Tables, export: Export) -> Outcome:
    """Bring an export up to date.

    Raises:
        ExportError: If there is no such subset, a table is missing, the folder holds something else, or a file cannot
            be written. Without a manifest nothing looks whole; the same export continues where it stopped.
    """
    stored = _stored(tables, export)
    uses_images = export.format.needs_images or export.settings.with_images
    wanted = [
        table
        for table in MEASURE_TABLES
        if table == "samples" or (table == "images" and uses_images) or export.format.measures
    ]
    required = ["samples", "images"] if uses_images else ["samples"]
    run_keys = current_tables(tables, export.dataset, wanted, required=required)
    identity = _identity(export, stored, run_keys)
    folder = Folder(export.to)
    whole, finished = manifest.claim(folder, identity)
    # Before anything is read: rows that change meanwhile are found by the next run.
    versions = {table: tables.version(TABLES[table]) for table in run_keys}
    if whole is not None and whole.tables_read == versions and manifest.all_there(folder, whole):
        folder.remove_folder(manifest.JOURNAL)  # of a run that was killed right behind its manifest
        return Outcome(whole, 0)
    return _work(tables, export, stored=stored, target=_Target(folder, identity, versions, finished, whole))


@dataclass(frozen=True)
class _Target:
    folder: Folder
    identity: Mapping[str, Any]
    versions: Mapping[str, int]
    finished: Sequence[ExportedFile]
    whole: Manifest | None


def _stored(tables: Tables, export: Export) -> dict[str, Any]:
    row = stored_subset(tables, export.dataset, export.subset_id)
    if row is None:
        built = (
            tables.read(subsets.TABLE).select("dataset", "subset_id").collect()
            if tables.exists(subsets.TABLE)
            else []
        )
        known = ", ".join(sorted(f"{one['subset_id']} of {one['dataset']}" for one in built))
        raise ExportError(
            f"subset {export.subset_id} of dataset {export.dataset} is not built in {tables.warehouse}: "
            f"`parrot curate {export.subset_id}` builds it. Built: {known or 'none'}"
        )
    if not row["members"]:
        raise ExportError(f"subset {export.subset_id} has no members: there is nothing to export")
    return row


def _identity(export: Export, stored: Mapping[str, Any], run_keys: Mapping[str, str]) -> dict[str, Any]:
    return {
        "dataset": export.dataset,
        "subset_id": export.subset_id,
        "content_hash": stored["content_hash"],
        "format": export.format.name,
        "rows_per_file": export.settings.rows_per_file,
        "with_images": export.settings.with_images,
        "max_bytes": export.settings.max_bytes,
        "run_keys": dict(sorted(run_keys.items())),
    }


def _work(tables: Tables, export: Export, *, stored: Mapping[str, Any], target: _Target) -> Outcome:
    rows = export_rows(
        tables,
        export.dataset,
        subset_id=export.subset_id,
        run_keys=target.identity["run_keys"],
        rows_per_file=export.settings.rows_per_file,
    )
    _check_members(tables, export, stored)
    if export.format is datacomp_npy.FORMAT:
        _check_uids(rows.frame, export)
    wanted = _input_keys(rows.frame)
    names = {export.format.name_of(file): key for file, key in wanted.items()}
    usable = [entry for entry in target.finished if names.get(entry.name) == entry.input_key]
    kept = manifest.intact(target.folder, usable)
    if target.whole is None or len(kept) < len(wanted):
        _begin(target, kept)
    done = {entry.name for entry in kept}
    missing = {file: key for file, key in wanted.items() if export.format.name_of(file) not in done}
    written = _write(rows, export, missing) if missing else []
    files = sorted([*kept, *written], key=lambda entry: entry.name)
    made = Manifest(
        identity=target.identity,
        subset={name: value for name, value in stored.items() if name not in _NOT_TOLD},
        tables_read=dict(target.versions),
        members=stored["members"],
        files=files,
        notes=_notes(files, export.format),
    )
    if not made.rows or (export.settings.with_images and len(made.unreadable) == made.members):
        reason = made.unreadable[0]["reason"] if made.unreadable else "no rows"
        raise ExportError(
            f"none of the {made.members:,} members of {export.subset_id} can be exported as "
            f"{export.format.name}; the first: {reason}"
        )
    return Outcome(_finish(target.folder, made, export.format), len(written))


def _begin(target: _Target, kept: Sequence[ExportedFile]) -> None:
    names = {entry.name for entry in kept}
    dropped = [entry for entry in target.finished if entry.name not in names]
    try:
        manifest.begin(target.folder, target.identity, kept=kept, dropped=dropped)
    except OSError as error:
        raise _cannot_write(target.folder.root, str(error.strerror or error)) from error


def _check_members(tables: Tables, export: Export, stored: Mapping[str, Any]) -> None:
    found = content_hash(members_of(tables, export.dataset, export.subset_id))
    if found != stored["content_hash"]:
        raise ExportError(
            f"the members of subset {export.subset_id} have content {found}, but table subsets says "
            f"{stored['content_hash']}: subset_members was changed by hand. `parrot curate` builds it again "
            "once its row is deleted from subsets"
        )


def _check_uids(frame: DataFrame, export: Export) -> None:
    wrong = frame.where(f"source_id IS NULL OR NOT source_id RLIKE '{datacomp_npy.UID}'")
    count = wrong.count()
    if count:
        example = wrong.select("sample_id", "source_id").orderBy("sample_id").limit(1).collect()[0]
        raise ExportError(
            f"datacomp-npy needs DataComp's uid (32 hex digits) as source_id, and {count:,} members of "
            f"{export.subset_id} have none: sample {example['sample_id']} has source_id {example['source_id']}. "
            "Only sources with a column uid have them; the format ids lists any source's"
        )


def _input_keys(frame: DataFrame) -> dict[int, str]:
    """Hash of each file's rows, whatever their order."""
    from pyspark.sql import functions as F

    names = sorted(frame.columns)
    # Nulls leave xxhash64 as they find it, so that a value could move to a neighbour unseen.
    nulls = F.concat(*(F.isnull(name).cast("int").cast("string") for name in names))
    row = F.xxhash64(*names, nulls)
    found = frame.groupBy(FILE).agg(
        F.count("*").alias("n"),
        F.sum(row.cast("decimal(20,0)")).alias("total"),
        F.bit_xor(F.xxhash64(row, F.lit(1))).alias("mixed"),
    )
    return {
        line[FILE]: digest([line["n"], str(line["total"]), str(line["mixed"])]) for line in found.collect()
    }


def _write(rows: Rows, export: Export, missing: Mapping[int, str]) -> list[ExportedFile]:
    settings = replace(export.settings, columns=rows.columns)
    task = FileTask(Folder(export.to).root, export.format, settings, dict(missing))
    frame = rows.frame.where(rows.frame[FILE].isin(list(missing)))
    written, errors = write_files(frame, task)
    if errors:
        raise _cannot_write(export.to, "; ".join(sorted(set(errors))[:3]))
    return written


def _cannot_write(place: str, reason: str) -> ExportError:
    return ExportError(
        f"the export to {place} is not complete and has no manifest: {reason}. Files that are complete are kept; "
        "the same command continues"
    )


def _finish(folder: Folder, made: Manifest, form: Format) -> Manifest:
    try:
        if form is webdataset.FORMAT:
            data = webdataset.sizes_file(made.files)
            made = replace(made, files=[*made.files, _plain(folder.put_bytes(webdataset.SIZES, data))])
        manifest.finish(folder, made)
    except OSError as error:
        raise _cannot_write(folder.root, str(error.strerror or error)) from error
    return made


def _plain(written: Written) -> ExportedFile:
    return ExportedFile(webdataset.SIZES, rows=0, bytes=written.bytes, sha256=written.sha256)


def _notes(files: Sequence[ExportedFile], form: Format) -> list[str]:
    formats: Counter[str] = Counter()
    for file in files:
        formats.update(file.formats or {})
    odd = {name: count for name, count in sorted(formats.items()) if name not in webdataset.OPEN_CLIP_FORMATS}
    if form is not webdataset.FORMAT or not odd:
        return []
    counted = ", ".join(f"{count:,} {name}" for name, count in odd.items())
    return [f"open_clip leaves out {counted}: it reads JPEG, PNG and WebP alone"]
