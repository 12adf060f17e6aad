"""Hostile files through every stage: crashes, rows lost, failed rows by reason, peak memory.

Writes a folder of some 500 generated hostile files (tests/hostile.py: bombs, cut and flipped files, impostors,
metadata bombs) with the odd images of `../shared/data/ocr_oddities`, runs all stages over it in one `parrot run`,
and counts. A hostile file whose name begins with `sound-` must be read, one with `bad-` must not.

    python -m benchmarks.hostile --folder build/hostile
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks.memory import MB, watched
from schemas import TABLES
from spark_jobs.config import load_config
from spark_jobs.pipeline import maker_of, select
from spark_jobs.session import open_session
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from tests.builders import write_captions
from tests.hostile import hostile_images

ODDITIES = Path(__file__).resolve().parents[2] / "shared" / "data" / "ocr_oddities"
DATASET = "hostile"
SAMPLE_TABLES = {
    table: maker_of(table)
    for stage in select([])
    for table in stage.writes
    if "shard_id" in TABLES[table].columns and "gram" not in TABLES[table].columns
}
_NAMED = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d,.]*|0x[0-9a-f]+")
_REASON_CHARACTERS = 110


def main() -> None:
    """Write the folder, run, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/hostile"))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--keep", action="store_true", help="continue in the warehouse that is there")
    arguments = parser.parse_args()
    warehouse = arguments.folder / "warehouse"
    if not arguments.keep:
        shutil.rmtree(warehouse, ignore_errors=True)
    names = write_folder(arguments.folder / "images")
    settings = [
        part for text in ["runner.max_failed_share=1", *arguments.overrides] for part in ("--set", text)
    ]
    source = ["--source", arguments.folder / "images", "--dataset", DATASET, "--warehouse", warehouse]
    code, peaks = watched(["run", *source, *settings], log=arguments.folder / "run.log")
    print(f"{len(names)} files; crashes: {int(code != 0)} (exit code {code})", flush=True)
    print("peak memory: " + ", ".join(f"{kind} {peak / MB:,.0f} MB" for kind, peak in peaks.items()))
    count(warehouse, names)


def write_folder(folder: Path) -> list[str]:
    """Write the images with captions, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    files = hostile_images()
    captions = dict.fromkeys(files, "a picture of a sign")
    if ODDITIES.is_dir():
        for line in (ODDITIES / "index.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            path = ODDITIES / record["file"]
            files[f"odd-{path.name}"] = path.read_bytes()
            captions[f"odd-{path.name}"] = " ".join(record["words"] or record["captions"][:1]) or "a picture"
    else:
        print(f"without the odd images: there is no {ODDITIES}")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    rows = [{"file_name": name, "caption": caption} for name, caption in captions.items()]
    write_captions(folder / "captions.jsonl", rows)
    return list(files)


def count(warehouse: Path, names: list[str]) -> None:
    """Compare every sample-level table with the files, and print the failed rows by reason."""
    config = load_config(options={"warehouse": str(warehouse), "dataset": DATASET})
    tables = Tables(open_session(config.session), config.warehouse)
    current = current_run_keys(tables)
    keys: dict[str, str] = {}
    for table, stage in SAMPLE_TABLES.items():
        if (DATASET, table) not in current:
            print(f"{table}: not made")
            continue
        frame = tables.read(TABLES[table], dataset=DATASET, run_key=current[DATASET, table])
        if table == "samples":
            keys = {row["sample_id"]: row["source_key"] for row in frame.collect()}
        rows = {keys[row["sample_id"]]: row for row in frame.select("sample_id", "status", "error").collect()}
        lost, more = set(names) - set(rows), frame.count() - len(rows)
        statuses = Counter(row["status"] for row in rows.values())
        told = ", ".join(f"{rows} {status}" for status, rows in sorted(statuses.items()))
        print(f"{stage} ({table}): {told}; rows lost: {len(lost)}, rows too many: {more}")
        for reason, number in failures(row["error"] for row in rows.values() if row["status"] == "failed"):
            print(f"{number:8}  {reason}")
        if stage in ("embed", "spot_text"):
            tell_wrong({name: row["status"] for name, row in rows.items()})


def failures(errors: Iterable[str | None]) -> list[tuple[str, int]]:
    """Reasons with their number, most frequent first; names and numbers in them are left out."""
    reasons = Counter(_NAMED.sub("*", error or "no reason given")[:_REASON_CHARACTERS] for error in errors)
    return reasons.most_common()


def tell_wrong(statuses: dict[str, str]) -> None:
    """Print the files that should have been read and were not, and the other way round."""
    for prefix, is_wrong in (
        ("sound-", lambda status: status != "ok"),
        ("bad-", lambda status: status == "ok"),
    ):
        wrong = sorted(
            name for name, status in statuses.items() if name.startswith(prefix) and is_wrong(status)
        )
        print(f"          {prefix}files with another outcome: {', '.join(wrong) or 'none'}")


if __name__ == "__main__":
    main()
