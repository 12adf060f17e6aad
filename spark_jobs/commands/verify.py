"""`parrot verify`: check an export against its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Table

from spark_jobs.commands.json_output import print_json
from spark_jobs.errors import ExportError
from spark_jobs.export.verify import verify
from spark_jobs.runner.progress import output_console


def print_verification(place: str, *, as_json: bool = False) -> None:
    """Print what differs between an export and its manifest.

    Raises:
        ExportError: If something does, or there is no complete export.
    """
    manifest, differences = verify(place)
    identity = manifest.identity
    facts = {
        "export": place,
        "subset_id": identity["subset_id"],
        "dataset": identity["dataset"],
        "content_hash": identity["content_hash"],
        "format": identity["format"],
        "files": len(manifest.files),
        "samples": manifest.rows,
        "members": manifest.members,
        "unreadable": len(manifest.unreadable),
    }
    console = output_console()
    if as_json:
        print_json({**facts, "is_as_written": not differences, "differences": list(map(asdict, differences))})
    if differences:
        if not as_json:
            shown = Table("file", "is", "what was found")
            for difference in differences:
                shown.add_row(difference.name, difference.kind, difference.detail)
            console.print(shown)
        raise ExportError(f"{len(differences):,} files of the export in {place} differ from its manifest")
    if not as_json:
        console.print(_table(facts))


def _table(facts: Mapping[str, Any]) -> Table:
    shown = Table("export", facts["export"])
    lines = {
        "subset": f"{facts['subset_id']} of {facts['dataset']}",
        "content": facts["content_hash"],
        "format": facts["format"],
        "files": f"{facts['files']:,}, all as the manifest says",
        "samples": f"{facts['samples']:,} of {facts['members']:,} members",
        "unreadable": f"{facts['unreadable']:,}",
    }
    for name, value in lines.items():
        shown.add_row(name, str(value))
    return shown
