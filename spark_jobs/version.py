"""Which version of parrot this is."""

from __future__ import annotations

import importlib.metadata


def parrot_version() -> str:
    """Version of the installed distribution, or `source` in a bare checkout."""
    try:
        return importlib.metadata.version("parrot-captions")
    except importlib.metadata.PackageNotFoundError:
        return "source"
