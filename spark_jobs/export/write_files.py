"""Write files in Spark workers: one task per file, nothing through the driver but what was written."""

from __future__ import annotations

import errno
import itertools
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from spark_jobs.export.base import Format, Settings
from spark_jobs.export.folder import Folder
from spark_jobs.export.manifest import ExportedFile, journal
from spark_jobs.export.rows import FILE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_RESULT = "entry string, error string"


@dataclass(frozen=True)
class FileTask:
    """What a worker needs to write files.

    Attributes:
        root: The export's folder.
        format: Its format.
        settings: How files are written.
        input_keys: Hash of a file's rows, by the file's number.
    """

    root: str
    format: Format
    settings: Settings
    input_keys: Mapping[int, str]


def write_files(frame: DataFrame, task: FileTask) -> tuple[list[ExportedFile], list[str]]:
    """Write the files of the task's input keys.

    Args:
        frame: Rows of these files and of no others.
        task: What to write.

    Returns:
        What was written, and the errors of files that could not be.
    """
    from pyspark.sql import functions as F

    order = [F.expr(name) for name in task.format.order]
    dealt = frame.repartitionByRange(len(task.input_keys), FILE).sortWithinPartitions(FILE, *order)
    results = dealt.mapInArrow(_worker(task), _RESULT).collect()
    written = [ExportedFile.parse(json.loads(row["entry"])) for row in results if row["entry"]]
    return sorted(written, key=lambda entry: entry.name), [row["error"] for row in results if row["error"]]


def _worker(task: FileTask) -> Callable[[Iterable[Any]], Iterable[Any]]:
    def work(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        for file, group in itertools.groupby(_by_file(batches), key=lambda part: part[0]):
            entry, error = _write_file(file, (batch for _, batch in group), task)
            yield pa.RecordBatch.from_pydict({"entry": [entry], "error": [error]}, _arrow_schema())
            if error:  # a full disk will not take the next one either
                for _ in batches:  # Spark takes a worker that leaves rows unread for a crashed one
                    pass
                return

    return work


def _arrow_schema() -> Any:
    import pyarrow as pa

    return pa.schema([("entry", pa.string()), ("error", pa.string())])


def _by_file(batches: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Cut record batches, sorted by file, where the file changes."""
    import numpy as np

    for batch in batches:
        files = batch.column(FILE).to_numpy()
        cuts = [0, *(np.flatnonzero(np.diff(files)) + 1).tolist(), len(files)]
        for start, end in itertools.pairwise(cuts):
            if end > start:
                yield int(files[start]), batch.slice(start, end - start)


def _write_file(file: int, batches: Iterator[Any], task: FileTask) -> tuple[str | None, str | None]:
    """Write and journal one file; JSON of its entry, or the error.

    A file that cannot be written is told, not raised: Spark would bury its message, and try a full disk again.
    """
    folder, name = Folder(task.root), task.format.name_of(file)
    try:
        facts, written = folder.put(name, lambda stream: task.format.write(stream, batches, task.settings))
        entry = ExportedFile(
            name,
            rows=facts.rows,
            bytes=written.bytes,
            sha256=written.sha256,
            input_key=task.input_keys[file],
            unreadable=facts.unreadable,
            formats=dict(sorted(facts.formats.items())),
        )
        journal(folder, entry)
    except OSError as error:
        where = f" (in {task.root}, or in {tempfile.gettempdir()})" if error.errno == errno.ENOSPC else ""
        return None, f"{name}: {error.strerror or error}{where}"
    return json.dumps(asdict(entry)), None
