"""Where a warehouse lies: a local folder, a URI, or a catalog's schema."""

from __future__ import annotations

import os
import re
from pathlib import Path

from spark_jobs.errors import WarehouseError


def is_catalog(warehouse: str) -> bool:
    """Whether a warehouse names a catalog's schema: two words joined by a dot, and no such folder."""
    return bool(re.fullmatch(r"\w+\.\w+", warehouse)) and not Path(warehouse).exists()


def is_local_folder(warehouse: str) -> bool:
    """Whether a warehouse is a folder of this machine: neither a URI nor a catalog's schema."""
    return not is_catalog(warehouse) and "://" not in warehouse


def spark_path(location: str) -> str:
    """A folder as Spark is to be given it: relative paths mean another working directory to Spark."""
    return location if "://" in location else os.path.abspath(location)


def check_writable(warehouse: str) -> None:
    """Fail before any work starts if a local warehouse cannot be written.

    Raises:
        WarehouseError: If the folder cannot be made, or not be written.
    """
    if not is_local_folder(warehouse):
        return
    folder = Path(warehouse)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".parrot-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise WarehouseError(
            f"cannot write the warehouse {warehouse}: {error.strerror or error}. "
            "Give a folder that can be written: --warehouse DIR"
        ) from error


def quoted(text: str) -> str:
    """A text as a literal of Spark's SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
