"""What a tracked run is told to have read or made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DatasetInput:
    """A part of a Delta table, or an exported folder, that a run made or used.

    Attributes:
        name: Name of the dataset in MLflow.
        location: Path or catalog name of the table, or the folder.
        version: Delta version of the table; None for a folder.
        digest: Hash of the content.
        columns: Columns of the table that matter, told as text.
        rows: Number of its rows; None where nobody counted them.
        tags: What else to say of it.
        context: What the run has to do with it.
    """

    name: str
    location: str
    version: int | None
    digest: str
    columns: tuple[str, ...]
    rows: int | None
    tags: Mapping[str, Any]
    context: str = "subset"
