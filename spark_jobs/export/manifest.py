"""What an export says of itself: `_manifest.json`, written last.

Its name begins with an underscore, as the journal's, because Spark, pyarrow and petastorm leave out such files
when they read a folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from spark_jobs.errors import ExportError
from spark_jobs.export.folder import PARTIAL, Folder

MANIFEST = "_manifest.json"
JOURNAL = "_journal"
_PLAN = f"{JOURNAL}/plan.json"
_READERS = 8


@dataclass(frozen=True)
class ExportedFile:
    """One file of an export.

    Attributes:
        name: Its name in the folder.
        rows: Samples in it.
        bytes: Its size.
        sha256: Of its content, hex.
        input_key: Hash of the rows it was made from; empty for a file made from other files.
        unreadable: Samples whose image (or URL) could not be had: shard_id, sample_id, reason.
        formats: Images by format.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    input_key: str = ""
    unreadable: Sequence[Mapping[str, str]] = ()
    formats: Mapping[str, int] | None = None

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> ExportedFile:
        """From its JSON form."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})


@dataclass(frozen=True)
class Manifest:
    """An export as a whole.

    Attributes:
        identity: What makes it this export and no other: dataset, subset, content, format, settings, run keys.
        subset: The row of table `subsets`: definition, provenance, counts.
        tables_read: Delta version of each table read, by name.
        members: Members of the subset.
        files: The files.
        notes: What a person should know.
    """

    identity: Mapping[str, Any]
    subset: Mapping[str, Any]
    tables_read: Mapping[str, int]
    members: int
    files: Sequence[ExportedFile]
    notes: Sequence[str] = ()

    @property
    def unreadable(self) -> list[Mapping[str, str]]:
        """Samples whose image or URL could not be had, in the order of the files."""
        return [entry for file in self.files for entry in file.unreadable]

    @property
    def rows(self) -> int:
        """Samples in the files."""
        return sum(file.rows for file in self.files)

    def to_json(self) -> bytes:
        """Readable JSON that is the same for the same export: no times, no machine."""
        files = [
            {**asdict(file), "unreadable": [dict(entry) for entry in file.unreadable]} for file in self.files
        ]
        values = {
            "parrot_export": 1,
            "identity": self.identity,
            "subset": self.subset,
            "tables_read": self.tables_read,
            "counts": {
                "members": self.members,
                "rows": self.rows,
                "unreadable": len(self.unreadable),
                "files": len(self.files),
                "bytes": sum(file.bytes for file in self.files),
            },
            "notes": list(self.notes),
            "files": files,
        }
        return json.dumps(values, indent=1, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def read_manifest(folder: Folder) -> Manifest | None:
    """The manifest of a complete export; None where there is none.

    Raises:
        ExportError: If it is damaged.
    """
    data = folder.read(MANIFEST)
    if data is None:
        return None
    try:
        values = json.loads(data)
        return Manifest(
            identity=values["identity"],
            subset=values["subset"],
            tables_read=values["tables_read"],
            members=values["counts"]["members"],
            files=tuple(ExportedFile.parse(file) for file in values["files"]),
            notes=tuple(values["notes"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{folder.root}/{MANIFEST} is damaged ({type(error).__name__}: {error}): "
            "remove the folder and export again"
        ) from error


def claim(folder: Folder, identity: Mapping[str, Any]) -> tuple[Manifest | None, list[ExportedFile]]:
    """Find what a folder holds already, and make sure that it is this export and no other.

    Returns:
        Its manifest, where it is complete; and the finished files that manifest or journal name.

    Raises:
        ExportError: If it holds something else.
    """
    names = folder.sizes()
    manifest = read_manifest(folder)
    if manifest is not None:
        _check_same(folder, manifest.identity, identity)
        return manifest, list(manifest.files)
    plan = folder.read(_PLAN)
    if plan is None:
        foreign = sorted(name for name in names if not name.endswith(PARTIAL))
        if foreign:
            raise ExportError(
                f"{folder.root} is not empty and holds no export ({foreign[0]} and others): "
                "give a new folder to --to"
            )
        return None, []
    _check_same(folder, _parsed(plan, folder), identity)
    journal = [name for name in names if name.startswith(f"{JOURNAL}/") and name.endswith(".json")]
    entries = [folder.read(name) for name in sorted(journal) if name != _PLAN]
    return None, [ExportedFile.parse(_parsed(entry, folder)) for entry in entries if entry]


def begin(
    folder: Folder,
    identity: Mapping[str, Any],
    *,
    kept: Sequence[ExportedFile],
    dropped: Sequence[ExportedFile],
) -> None:
    """Make a folder an unfinished export: a journal of what is kept, no manifest, no partial files.

    Files that no export of ours has named are left alone.
    """
    for entry in kept:  # before the manifest goes, or a kill here would forget them
        journal(folder, entry)
    folder.put_bytes(_PLAN, json.dumps(identity, sort_keys=True).encode())
    folder.remove(MANIFEST)
    for entry in dropped:
        folder.remove(f"{JOURNAL}/{entry.name}.json")
        folder.remove(entry.name)
    for name in folder.sizes():
        if name.endswith(PARTIAL):
            folder.remove(name)


def journal(folder: Folder, entry: ExportedFile) -> None:
    """Note that a file is complete."""
    folder.put_bytes(f"{JOURNAL}/{entry.name}.json", json.dumps(asdict(entry), sort_keys=True).encode())


def finish(folder: Folder, manifest: Manifest) -> None:
    """Declare an export complete."""
    folder.put_bytes(MANIFEST, manifest.to_json())
    folder.remove_folder(JOURNAL)


def intact(folder: Folder, entries: Sequence[ExportedFile]) -> list[ExportedFile]:
    """Those of the files that are there with the size and the content that they had."""
    sizes = folder.sizes()
    there = [entry for entry in entries if sizes.get(entry.name) == entry.bytes]
    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(folder.sha256, [entry.name for entry in there]))
    return [entry for entry, sha256 in zip(there, found, strict=True) if sha256 == entry.sha256]


def all_there(folder: Folder, manifest: Manifest) -> bool:
    """Whether every file is there with its size. Says nothing of contents: `parrot verify` does."""
    sizes = folder.sizes()
    return all(sizes.get(entry.name) == entry.bytes for entry in manifest.files)


def _parsed(data: bytes, folder: Folder) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except ValueError as error:
        raise ExportError(
            f"{folder.root}/{JOURNAL} is damaged: remove the folder and export again"
        ) from error
    return dict(values)


def _check_same(folder: Folder, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    if differing:
        facts = "; ".join(f"{name}: there {found.get(name)}, asked for {wanted[name]}" for name in differing)
        raise ExportError(
            f"{folder.root} holds another export ({facts}): give another folder to --to, or remove it"
        )
