"""Source kind `metadata-parquet`: tables of URLs and captions as LAION, DataComp and COYO publish them.

There are no images yet: a record has a URL, and a later step fetches what it leads to. The releases spell
and type their columns differently; `spark_jobs.sources.metadata` knows the spellings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from spark_jobs.errors import SourceError
from spark_jobs.sources import storage
from spark_jobs.sources.base import SourceOptions, SourceRecord, SourceShard
from spark_jobs.sources.dirt import kinds_of_dirt
from spark_jobs.sources.img2dataset_table import file_record
from spark_jobs.sources.metadata import METADATA_COLUMNS, URL_COLUMNS, describe, lower_case_names
from spark_jobs.sources.parquet_file import ParquetFacts, ParquetFault, first_columns, read_facts, read_rows
from spark_jobs.sources.schema_drift import drift_notes
from spark_jobs.sources.storage import StoredFile
from spark_jobs.sources.url_sizes import SizeVotes, count_votes
from udfs.image_refs import image_column

READER_VERSION = (
    "metadata-parquet-1"  # enters the fingerprint: raise it when records change for the same files
)

_VOTING_ROWS = 20_000
_COSTLY_READS = 20  # so often a row group may be read before the user is told
_OPENERS = 8


@dataclass(frozen=True)
class _Table:
    """One file, and what was found out about it.

    Attributes:
        file: The file.
        facts: Its footer; None where it cannot be read.
        fault: Why not.
        swap: Whether width and height are exchanged.
        notes: What the user must know of it.
    """

    file: StoredFile
    facts: ParquetFacts | None
    fault: str | None = None
    swap: bool = False
    notes: tuple[str, ...] = ()


class MetadataParquet:
    """Parquet tables with a URL and a caption per row."""

    kind = "metadata-parquet"
    meaning = "URLs and captions in .parquet files: LAION, Re-LAION, DataComp/CommonPool, COYO; no images yet"

    def recognises(self, files: Sequence[StoredFile]) -> bool:
        """Whether there are tables with a URL column and no image bytes, and neither tars nor images."""
        others = any(f.extension == "tar" or f.extension in storage.IMAGE_EXTENSIONS for f in files)
        columns = None if others else first_columns(files)
        return columns is not None and _has_url(columns) and image_column(columns) is None

    def shards(self, root: str, options: SourceOptions) -> list[SourceShard]:
        """Cut each file into ranges of rows; look at its schema, and at its sizes where they may be swapped.

        Raises:
            SourceError: If there is no table, none has a URL column or the caption column named, or none has
                a row.
        """
        files = [f for f in storage.list_files(storage.absolute(root)) if f.extension == "parquet"]
        with ThreadPoolExecutor(_OPENERS) as openers:
            tables = list(openers.map(lambda file: _inspect(file, options), files))
        _require_columns(root, tables, options.caption_column)
        notes = drift_notes({table.file.name: table.facts.columns for table in tables if table.facts})
        shards = [
            shard
            for table in tables
            for shard in _cut(replace(table, notes=(*table.notes, *notes.get(table.file.name, ()))), options)
        ]
        if not shards:
            raise SourceError(
                f"{root} holds no rows: {storage.some_names([f.name for f in files])} are empty"
            )
        return sorted(shards, key=lambda shard: shard.shard_id)

    def read(self, shard: SourceShard, options: SourceOptions) -> Iterator[SourceRecord]:
        """Read a shard's rows. What befell the file is a record, so that no shard is without records.

        Raises:
            OSError: If the storage fails.
        """
        payload = shard.payload
        if payload["fault"] is not None:
            yield file_record(payload["file"], payload["fault"])
            return
        seen: Counter[str] = Counter()
        number = payload["start"]
        try:
            rows = read_rows(payload["uri"], payload["columns"], start=payload["start"], stop=payload["stop"])
            for number, row in enumerate(rows, start=payload["start"]):
                yield _record(payload, number, row=row, seen=seen)
                number += 1
        except ParquetFault as fault:
            error = f"rows {number} to {payload['stop'] - 1} cannot be read: {fault}"
            record = file_record(payload["file"], error)
            yield replace(record, key=f"rows {number} to {payload['stop'] - 1}")


def _has_url(columns: dict[str, str]) -> bool:
    return any(column.strip().lower() in URL_COLUMNS for column in columns)


def _require_columns(root: str, tables: list[_Table], caption_column: str | None) -> None:
    if not tables:
        raise SourceError(f"{root} holds no .parquet file: expected tables with a URL and a caption per row")
    readable = {table.file.name: table.facts.columns for table in tables if table.facts is not None}
    if not readable:
        return
    name, columns = next(iter(readable.items()))
    if not any(map(_has_url, readable.values())):
        raise SourceError(
            f"{root} holds no table with a URL column (one of {', '.join(URL_COLUMNS)}, in any case): "
            f"{name} has {', '.join(columns)}"
        )
    wanted = (caption_column or "").strip().lower()
    if wanted and not any(wanted == c.strip().lower() for columns in readable.values() for c in columns):
        raise SourceError(
            f"{root} holds no table with a column {caption_column} (ingest.caption_column): "
            f"{name} has {', '.join(columns)}"
        )


def _inspect(file: StoredFile, options: SourceOptions) -> _Table:
    try:
        facts = read_facts(file.uri)
        swap, notes = _decide_swap(file, facts, options.swap_sizes)
    except ParquetFault as fault:
        error = f"cannot be read: {fault}"
        return _Table(file, None, error, notes=(f"{file.name} {error}",))
    reads = max(facts.row_groups, default=0) // options.shard_size
    if reads > _COSTLY_READS:
        notes += (
            f"{file.name}: a row group of {max(facts.row_groups):,} rows is read once for each of its {reads:,} "
            f"shards; a larger ingest.shard_size than {options.shard_size:,} saves reads",
        )
    return _Table(file, facts, swap=swap, notes=notes)


def _decide_swap(file: StoredFile, facts: ParquetFacts, wish: str) -> tuple[bool, tuple[str, ...]]:
    columns = {name.strip().lower(): name for name in facts.columns}
    url = next((columns[name] for name in URL_COLUMNS if name in columns), None)
    if "original_width" in columns or not {"width", "height"} <= set(columns) or url is None:
        return False, ()
    if wish != "auto":
        reading = "exchanged" if wish == "yes" else "taken as written"
        return wish == "yes", (f"{file.name}: width and height {reading} (ingest.swap_sizes={wish})",)
    wanted = [url, columns["width"], columns["height"]]
    rows = (describe(row, where="").fields for row in islice(read_rows(file.uri, wanted), _VOTING_ROWS))
    votes = count_votes((row["url"], row["width"], row["height"]) for row in rows)
    return votes.say_swapped, (_swap_note(file.name, votes),)


def _swap_note(name: str, votes: SizeVotes) -> str:
    reading = "exchanged" if votes.say_swapped else "taken as written"
    doubt = "" if votes.is_enough else ": too little to tell; --set ingest.swap_sizes=yes or no decides"
    return (
        f"{name}: width and height {reading} ({votes.swapped:,} URLs state a size that says swapped, "
        f"{votes.as_written:,} as written{doubt})"
    )


def _cut(table: _Table, options: SourceOptions) -> Iterator[SourceShard]:
    file, facts = table.file, table.facts
    columns = [] if facts is None else _wanted(facts, options.caption_column)
    stop = 1 if facts is None else facts.rows
    for index, start in enumerate(range(0, stop, options.shard_size)):
        payload: dict[str, Any] = {
            "file": file.name,
            "start": start,
            "stop": min(start + options.shard_size, stop),
            "columns": columns,
            "swap": table.swap,
            "caption_column": options.caption_column,
            "fault": table.fault,
        }
        yield SourceShard(
            shard_id=f"{storage.safe_name(file.name)}-{index:05d}",
            group=file.name,
            fingerprint=storage.fingerprint(READER_VERSION, payload, file.size, file.stamp),
            payload={**payload, "uri": file.uri},
            samples=payload["stop"] - start,
            notes=table.notes,
        )


def _wanted(facts: ParquetFacts, caption_column: str | None) -> list[str]:
    wanted = METADATA_COLUMNS | ({caption_column.strip().lower()} if caption_column else set())
    return [name for name in facts.columns if name.strip().lower() in wanted]


def _record(payload: dict[str, Any], number: int, *, row: dict[str, Any], seen: Counter[str]) -> SourceRecord:
    file = payload["file"]
    described = describe(row, where=f"{file} row {number}", caption_column=payload["caption_column"])
    fields = dict(described.fields)
    if payload["swap"]:
        fields["width"], fields["height"] = fields.get("height"), fields.get("width")
    dirt = kinds_of_dirt(lower_case_names(row), caption_column=payload["caption_column"])
    if fields.get("source_id"):
        seen[fields["source_id"]] += 1
        dirt += ("repeated ids",) if seen[fields["source_id"]] > 1 else ()
    no_url = None if fields.get("url") else f"no URL and no image ({file} row {number})"
    faults = [fault for fault in (described.fault, no_url) if fault]
    return SourceRecord(file, str(number), sample_error="; ".join(faults) or None, dirt=dirt, **fields)
