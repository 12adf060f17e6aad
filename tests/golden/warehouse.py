"""The stored warehouse: unpack it, put its images where its rows refer to, run over it, list its keys."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas import ALL_TABLES
from schemas._table import TableSpec
from spark_jobs.commands.run import check, run_stages
from spark_jobs.config import RunConfig, load_config
from spark_jobs.pipeline import select
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.warehouse.tables import Tables
from tests.object_store import s3_store

FOLDER = Path(__file__).parent
ARCHIVE = FOLDER / "warehouse.tar.xz"
KEYS = FOLDER / "keys.json"
# All that need neither a network nor a file that is not packaged (`aesthetic` needs a head).
STAGES = (
    "ingest",
    "embed",
    "cluster",
    "deduplicate",
    "spot_text",
    "overlap",
    "remove_text",
    "ngrams",
    "render_text",
    "statistics",
    "curate",
    "report",
)
_LOGGED = "stage_runs"
_HIDDEN = "*"
# Their keys hold the version of the clusters, a hash of centroids that are fitted anew: the last digits of
# vectors, and so of centroids, are those of a processor. The subset `english` reads near-duplicates.
_CLUSTERED = frozenset(
    {
        "cluster_assignments",
        "near_duplicates",
        "stat_cluster",
        "stat_cluster_top",
        "stat_text_removal",
        "stat_text_removal_cluster",
        "english",
    }
)


def configuration(folder: Path) -> RunConfig:
    """The stored configuration, for a warehouse in a folder."""
    cache = f"embed.cache_dir={folder / 'weights'}"
    options = {"warehouse": str(folder / "warehouse")}
    return load_config(str(FOLDER / "config.yaml"), options=options, overrides=(cache,))


@contextlib.contextmanager
def images_in_store(folder: Path, monkeypatch, spark) -> Iterator[None]:
    """The source of the stored warehouse at its address, until the block ends.

    An object store's address and etags are the same on every machine; paths and times of files are not, and
    both enter the input keys.
    """
    import boto3

    with s3_store(monkeypatch, spark):
        for path in sorted((folder / "source").iterdir()):
            boto3.client("s3").put_object(Bucket="exports", Key=f"golden/{path.name}", Body=path.read_bytes())
        # The layout engine enters the run key of rendered text, and not every machine has the other one.
        monkeypatch.setattr("PIL.features.check", lambda feature: False)
        monkeypatch.setattr(f"{_report_module()}.parrot_version", lambda: "0.1.0")
        yield


def _report_module() -> str:
    """Where the report's key is made of the version, among others."""
    return "spark_jobs.report.read.snapshot"


def unpacked(folder: Path) -> Path:
    """The archive's content in a folder: `source` and `warehouse`."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def packed(folder: Path) -> bytes:
    """The archive of a folder; without what may be deleted at any time, and of the report only its beginning.

    There stands the report's input key; the rest is not read, and is larger than all tables together.
    """
    buffer = io.BytesIO()
    page = folder / "warehouse/report.html"
    page.write_bytes(page.read_bytes()[:4096])
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for path in sorted(path for part in ("source", "warehouse") for path in (folder / part).rglob("*")):
            parts = path.relative_to(folder).parts
            is_spare = any(part.startswith(("_answers", "_locks")) for part in parts) or path.suffix == ".crc"
            if path.is_file() and not is_spare:
                archive.add(path, arcname="/".join(parts), filter=_without_owner)
    return buffer.getvalue()


def _without_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def run_all(spark, config: RunConfig, stages=STAGES) -> list[StageReport]:
    """What `parrot run STAGES...` does."""
    chosen = select(stages)
    check(config, chosen)
    return run_stages(spark, config, chosen)


def versions(spark, config: RunConfig) -> dict[str, int]:
    """Delta version by table, of the tables that are there."""
    tables = Tables(spark, config.warehouse)
    return {spec.name: tables.version(spec) for spec in ALL_TABLES if tables.exists(spec)}


def keys(spark, config: RunConfig) -> dict[str, list[list[Any]]]:
    """Run keys and input keys of every table, with what they are keys of."""
    tables = Tables(spark, config.warehouse)
    return {
        spec.name: _keys(tables, spec) for spec in ALL_TABLES if spec.name != _LOGGED and tables.exists(spec)
    }


def _keys(tables: Tables, spec: TableSpec) -> list[list[Any]]:
    names = [n for n in ("shard_id", "subset_id", "run_key", "input_key") if n in spec.columns]
    found = tables.read(spec).select(*names).distinct().collect()
    return sorted([row[name] for name in names] for row in found)


def added(found: dict[str, list[list[Any]]], older: dict[str, list[list[Any]]]) -> dict[str, list[list[Any]]]:
    """Of the keys found, those that are current: what was not there before, in tables where there is any."""
    return {
        name: [key for key in rows if key not in older.get(name, [])] or rows for name, rows in found.items()
    }


def recorded() -> dict[str, Any]:
    """What a run over the stored warehouse must give: `tables` as `added` gives them, `stages`: run keys."""
    return json.loads(KEYS.read_text(encoding="utf-8"))


def portable(tables: dict[str, list[list[Any]]]) -> dict[str, list[list[Any]]]:
    """Keys of tables, those that hold a processor's last digits hidden: their number is left."""
    return {
        name: [
            [_HIDDEN if _is_key(cell) else cell for cell in row] if _CLUSTERED & {name, *row} else row
            for row in rows
        ]
        for name, rows in tables.items()
    }


def portable_stages(stages: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The same of stages' run keys."""
    return {
        stage: {name: _HIDDEN if name.split()[-1] in _CLUSTERED else key for name, key in made.items()}
        for stage, made in stages.items()
    }


def _is_key(cell: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{16}", cell) is not None
