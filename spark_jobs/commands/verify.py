"""`parrot verify`: check an export against its manifest."""

from __future__ import annotations

from rich.table import Table

from spark_jobs.errors import ExportError
from spark_jobs.export.verify import verify
from spark_jobs.runner.progress import output_console


def print_verification(place: str) -> None:
    """Print what differs between an export and its manifest.

    Raises:
        ExportError: If something does, or there is no complete export.
    """
    manifest, differences = verify(place)
    console = output_console()
    if differences:
        shown = Table("file", "is", "what was found")
        for difference in differences:
            shown.add_row(difference.name, difference.kind, difference.detail)
        console.print(shown)
        raise ExportError(f"{len(differences):,} files of the export in {place} differ from its manifest")
    identity = manifest.identity
    shown = Table("export", place)
    facts = {
        "subset": f"{identity['subset_id']} of {identity['dataset']}",
        "content": identity["content_hash"],
        "format": identity["format"],
        "files": f"{len(manifest.files):,}, all as the manifest says",
        "samples": f"{manifest.rows:,} of {manifest.members:,} members",
        "unreadable": f"{len(manifest.unreadable):,}",
    }
    for name, value in facts.items():
        shown.add_row(name, str(value))
    console.print(shown)
