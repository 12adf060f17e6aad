"""Check an export against its manifest: every file's content and number of samples."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from spark_jobs.errors import ExportError
from spark_jobs.export.folder import Folder
from spark_jobs.export.formats import FORMATS
from spark_jobs.export.manifest import JOURNAL, MANIFEST, ExportedFile, Manifest, read_manifest

_READERS = 8


@dataclass(frozen=True)
class Difference:
    """A file that is not as the manifest says, or that it does not name.

    Attributes:
        name: The file.
        kind: missing, altered or extra.
        detail: What was expected and what was found.
    """

    name: str
    kind: str
    detail: str


def verify(place: str) -> tuple[Manifest, list[Difference]]:
    """Read every file of an export again.

    Args:
        place: Folder or URI.

    Returns:
        The manifest, and what differs from it, by name.

    Raises:
        ExportError: If there is no manifest: the export is not complete, or there is none.
    """
    folder = Folder(place)
    sizes = folder.sizes()  # first: it says what is wrong with a place that cannot be read
    manifest = read_manifest(folder)
    if manifest is None:
        is_begun = any(name.startswith(f"{JOURNAL}/") for name in sizes)
        raise ExportError(
            f"the export in {folder.root} is not complete: the `parrot export` that began it continues it"
            if is_begun
            else f"no export in {folder.root}: there is no {MANIFEST}"
        )
    named = {entry.name for entry in manifest.files}
    extra = [
        Difference(name, "extra", f"{size:,} bytes that the manifest does not name")
        for name, size in sizes.items()
        if name not in named and name != MANIFEST
    ]
    with ThreadPoolExecutor(_READERS) as pool:
        checked = pool.map(
            lambda entry: _check(folder, entry, sizes=sizes, manifest=manifest), manifest.files
        )
        found = [difference for difference in checked if difference]
    return manifest, sorted([*found, *extra], key=lambda difference: difference.name)


def _check(
    folder: Folder, entry: ExportedFile, *, sizes: Mapping[str, int], manifest: Manifest
) -> Difference | None:
    if entry.name not in sizes:
        return Difference(entry.name, "missing", f"{entry.rows:,} samples, {entry.bytes:,} bytes")
    if sizes[entry.name] != entry.bytes:
        return Difference(entry.name, "altered", f"{sizes[entry.name]:,} bytes, expected {entry.bytes:,}")
    sha256 = folder.sha256(entry.name)
    if sha256 != entry.sha256:
        return Difference(entry.name, "altered", f"SHA-256 {sha256[:16]}..., expected {entry.sha256[:16]}...")
    form = FORMATS[manifest.identity["format"]]
    if not entry.input_key:  # made from other files, holds no samples
        return None
    with folder.open(entry.name) as stream:
        rows = form.count(stream)
    if rows != entry.rows:
        return Difference(entry.name, "altered", f"{rows:,} samples, the manifest says {entry.rows:,}")
    return None
