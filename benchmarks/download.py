"""300 URLs of a loopback server with planted faults: downloaded, profiled, repaired, profiled again.

Everything goes through the command line, in one warehouse: `run ingest download`, `run`, `run download
--retry-failed` once the server is repaired, `run`. After each step the tables are compared with what was planted:
every sample has its row and its reason, the retry repairs what can be had now and nothing else, what it repairs
flows downstream, and all other rows stay as they were. The metadata are three Parquet files in LAION's columns, each
one shard; the first has no fault that goes away, so nothing of it may be done again. Images are those of
`../shared/data/laion_like`, where it is there, and drawn ones.

    python -m benchmarks.download --folder build/download --set spot_text.canvas_size=640
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from schemas import TABLES
from schemas._table import TableSpec
from spark_jobs.config import load_config
from spark_jobs.pipeline import maker_of, select
from spark_jobs.session import open_session
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from tests.builders import image_bytes, png_that_claims
from tests.loopback import Loopback, serving

SHARDS = Path(__file__).resolve().parents[2] / "shared" / "data" / "laion_like" / "webdataset"
DATASET = "loopback"
MEASURED = ("clip_embeddings", "spotted_text", "caption_overlap", "text_removal_scores")
# Hashes of what was read; and what the other samples of a shard decide.
_PROVENANCE = {"input_key", "run_key", "model_version"}
_OF_OTHERS = {name for name in TABLES["text_removal_scores"].columns if "random" in name} | {"donor_id"}
_REAL_SHARE = 3  # two of three images are real
_MAX_BYTES = 2_000_000
_TIMEOUT, _TOTAL = 4.0, 12.0  # seconds

ROBOTS = "failed_to_download: Use of image disallowed"
# By file: answer, how many, what the row's error begins with (None: an image).
SOUND = [
    ("ok", 80, None),
    ("nofollow", 5, None),
    ("missing", 8, "failed_to_download: HTTP Error 404"),
    ("noai", 7, ROBOTS),
]
BROKEN = [
    ("ok", 35, None),
    ("redirect", 10, None),
    ("wrong_type", 5, None),
    ("loop", 3, "failed_to_download: HTTP Error 302"),
    ("to_file", 3, "failed_to_download: HTTP Error 302"),
    ("html", 8, "failed_to_resize: format not supported"),
    ("bomb", 3, "failed_to_resize: image of 60000 x 60000 px"),
    ("cut", 5, "failed_to_resize: "),
    ("promises_more", 4, "failed_to_download: IncompleteRead("),
    ("huge", 3, "failed_to_download: body of"),
    ("endless", 3, "failed_to_download: body exceeds the limit"),
    ("drip", 3, "failed_to_download: download took longer than"),
    ("drip_header", 3, "failed_to_download: download took longer than"),
    ("silent", 3, "failed_to_download: timed out"),
    ("hang_up", 3, "failed_to_download: Remote end closed connection"),
    ("refused", 2, "failed_to_download: <urlopen error"),
    ("malformed", 2, "failed_to_download: "),
    ("no_url", 2, "no URL and no image"),
]
MENDED = [
    ("ok", 60, None),
    ("flaky", 20, "failed_to_download: HTTP Error 503"),
    ("flaky-html", 4, "failed_to_resize: format not supported"),
    ("flaky-silent", 3, "failed_to_download: timed out"),
    ("flaky-promises_more", 3, "failed_to_download: IncompleteRead("),
    ("missing", 10, "failed_to_download: HTTP Error 404"),
]


@dataclass(frozen=True)
class Planted:
    """One URL: the kind of its answer, and what its row's error begins with (None: an image)."""

    kind: str
    url: str | None
    error: str | None

    @property
    def is_repairable(self) -> bool:
        """Whether the server, once repaired, gives the image."""
        return self.kind.startswith("flaky")


Rows = Mapping[str, dict[str, Any]]


def main() -> None:
    """Serve, run the four steps, compare after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/download"))
    parser.add_argument(
        "--stages", nargs="*", default=[], help="stages that measure; all that profile where none is named"
    )
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.folder, ignore_errors=True)
    (arguments.folder / "metadata").mkdir(parents=True)
    with serving({}) as server:
        planted = plant(server, arguments.folder / "metadata")
        trial = Trial(arguments.folder, server, planted, arguments.overrides)
        trial.run(arguments.stages)


def plant(server: Loopback, folder: Path) -> dict[str, Planted]:
    """Write the metadata, and let the server have the images; what was planted, by SAMPLE_ID."""
    planted: dict[str, Planted] = {}
    real, numbers = _real_images(), count()
    for letter, answers in zip("abc", (SOUND, BROKEN, MENDED), strict=True):
        rows = []
        for kind, times, error in answers:
            for _ in range(times):
                number = next(numbers)
                name, caption = f"{number}.jpg", f"a picture with the number {number}"
                drawn = image_bytes(size=(320, 240), color=(number % 200, 90, 60), text=f"number {number}")
                server.images[name] = drawn
                if number % _REAL_SHARE:
                    server.images[name], caption = next(real, (drawn, caption))
                if kind == "bomb":
                    server.images[name] = png_that_claims(60_000, 60_000)
                planted[str(number)] = Planted(kind, _url(server, kind, name), error)
                rows.append({"SAMPLE_ID": float(number), "URL": planted[str(number)].url, "TEXT": caption})
        table = pa.Table.from_pylist(rows)
        for column in ("HEIGHT", "WIDTH"):
            table = table.append_column(column, pa.nulls(len(rows), pa.float64()))
        pq.write_table(table, folder / f"{letter}.parquet")
    return planted


def _real_images() -> Iterator[tuple[bytes, str]]:
    """Images and captions of the stored shards."""
    if not SHARDS.is_dir():
        print(f"without real images: there is no {SHARDS}")
        return
    for path in sorted(SHARDS.glob("*.tar")):
        with tarfile.open(path) as archive:
            held = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
        for name, data in held.items():
            if name.endswith(".jpg"):
                yield data, held[name.replace(".jpg", ".txt")].decode()


def _url(server: Loopback, kind: str, name: str) -> str | None:
    special = {
        "no_url": None,
        "refused": f"http://127.0.0.1:9/{name}",
        "malformed": f"http://[half/{name}",
        "bomb": server.address("ok", name),
    }
    return special[kind] if kind in special else server.address(kind, name)


class Trial:
    """The four steps over one warehouse."""

    def __init__(
        self, folder: Path, server: Loopback, planted: dict[str, Planted], overrides: list[str]
    ) -> None:
        self._folder, self._server, self._planted = folder, server, planted
        self._overrides = [
            f"images.max_bytes={_MAX_BYTES}",
            f"download.timeout_seconds={_TIMEOUT}",
            f"download.total_seconds={_TOTAL}",
            *overrides,
        ]
        config = load_config(options={"warehouse": str(folder / "warehouse"), "dataset": DATASET})
        self._spark, self._warehouse = open_session(config.session), config.warehouse

    def run(self, stages: list[str]) -> None:
        """Do all steps, measuring by some stages; an AssertionError names what is not as planted."""
        measured = [
            table for table in MEASURED if maker_of(table) in {stage.name for stage in select(stages)}
        ]
        kinds = Counter(plan.error is None for plan in self._planted.values())
        repairable = {key for key, plan in self._planted.items() if plan.is_repairable}
        lasting = {key for key, plan in self._planted.items() if plan.error and not plan.is_repairable}
        print(
            f"{len(self._planted)} URLs: {kinds[True]} sound, {len(repairable)} that can be repaired, "
            f"{len(lasting)} that cannot",
            flush=True,
        )
        seconds = self._parrot("run", "ingest", "download", "--source", self._folder / "metadata")
        images = self._check_images(mended=False)
        print(f"   all as planted; download: {self._rate(images)}; both stages and Spark: {seconds:.0f} s")
        self._parrot("run", *stages)
        before = {table: self._rows(table) for table in measured}
        self._check_measured(before, images)

        self._server.repaired = True
        asked = dict(self._server.asked)
        self._parrot("run", "download", "--retry-failed")
        again = {
            path: n - asked.get(path, 0) for path, n in self._server.asked.items() if n > asked.get(path, 0)
        }
        mended = self._check_images(mended=True)
        changed = {key for key in images if _values(images[key]) != _values(mended[key])}
        assert changed == repairable, f"changed though not repairable: {sorted(changed ^ repairable)}"
        sound = {plan.url for plan in self._planted.values() if plan.error is None}
        asked_again = [path for path in again if self._server.url + path in sound]
        assert not asked_again, f"sound images were asked for again: {asked_again}"
        print(
            f"   repaired: {len(changed)} of {len(repairable)}; other rows changed: 0; sound URLs asked for again: 0"
        )
        self._parrot("run", *stages)
        after = {table: self._rows(table) for table in measured}
        self._check_measured(after, mended)
        self._check_flow(before, after, repairable)
        versions = self._versions(measured)
        self._parrot("run", *stages)
        assert self._versions(measured) == versions, "a run with nothing to do has written"
        print("   once more: nothing to do, nothing written")

    @property
    def _tables(self) -> Tables:
        # A new one each time: it keeps what it has read of the log, and other processes write.
        return Tables(self._spark, self._warehouse)

    def _parrot(self, *arguments: object) -> float:
        print(f"parrot {' '.join(map(str, arguments))}", flush=True)
        settings = [part for text in self._overrides for part in ("--set", text)]
        place = ["--dataset", DATASET, "--warehouse", self._folder / "warehouse"]
        started = time.monotonic()
        command = [sys.executable, "-m", "spark_jobs.cli", *arguments, *place, *settings]
        done = subprocess.run([*map(str, command)], stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return time.monotonic() - started

    def _rows(self, table: str) -> dict[str, dict[str, Any]]:
        """Rows of the current run key by SAMPLE_ID; none is missing and none is there twice."""
        current = current_run_keys(self._tables)

        def read(spec: TableSpec) -> Any:
            return self._tables.read(spec, dataset=DATASET, run_key=current[DATASET, spec.name])

        names = read(TABLES["samples"]).select("sample_id", F.col("source_id").alias("planted"))
        rows = [row.asDict(recursive=True) for row in read(TABLES[table]).join(names, "sample_id").collect()]
        held = {row.pop("planted"): row for row in rows}
        assert len(rows) == len(held), f"{table}: {len(rows) - len(held)} rows too many"
        assert set(held) == set(self._planted), f"{table} lacks {sorted(set(self._planted) - set(held))}"
        return held

    def _check_images(self, *, mended: bool) -> dict[str, dict[str, Any]]:
        rows = self._rows("images")
        for key, plan in self._planted.items():
            expected = None if mended and plan.is_repairable else plan.error
            found = rows[key]["error"]
            is_right = found is None if expected is None else (found or "").startswith(expected)
            assert is_right, f"{plan.kind} {key}: expected {expected!r}, found {found!r}"
        print(f"   images: {_counts(rows)}")
        return rows

    def _check_measured(self, tables: Mapping[str, Rows], images: Rows) -> None:
        for table, rows in tables.items():
            print(f"   {table}: {_counts(rows)}")
            for key, row in rows.items():
                expected = "ok" if images[key]["status"] == "ok" else "skipped"
                assert row["status"] == expected, f"{table} {key}: {row['status']} ({row['error']})"

    def _check_flow(
        self, before: Mapping[str, Rows], after: Mapping[str, Rows], repairable: set[str]
    ) -> None:
        for table in before:
            of_others = _OF_OTHERS if table == "text_removal_scores" else set()
            changed = {
                key
                for key, row in before[table].items()
                if not _are_alike(
                    _values(row, without=of_others), _values(after[table][key], without=of_others)
                )
            }
            assert changed == repairable, f"{table}: {sorted(changed ^ repairable)} changed or did not"
            kept = [
                key
                for key, row in before[table].items()
                if row["input_key"] == after[table][key]["input_key"]
            ]
            shards = {before[table][key]["shard_id"] for key in kept}
            assert {row["shard_id"] for row in before[table].values()} - shards == {
                before[table][key]["shard_id"] for key in repairable
            }, f"{table}: a shard without repaired images was done again"
        print(
            f"   repaired rows measured: {len(repairable)} in each of {len(before)} tables; shards done again: "
            "1 of 3; other rows changed: 0 (but for random removals, which have donors among the repaired)"
        )

    def _rate(self, images: Rows) -> str:
        current = current_run_keys(self._tables)[DATASET, "images"]
        runs = self._tables.read(TABLES["stage_runs"]).where(F.col("run_key") == current)
        seconds = runs.where("stage = 'download'").agg(F.max("seconds")).first()[0]
        fetched = sum(row["status"] == "ok" for row in images.values())
        faults = len(images) - fetched
        return f"{fetched} images in {seconds:.1f} s, {fetched / seconds:.1f} images/s beside {faults} faults"

    def _versions(self, measured: list[str]) -> dict[str, int]:
        specs = [TABLES[name] for name in ("samples", "images", *measured)]
        return {spec.name: self._tables.version(spec) for spec in specs}


def _values(row: Mapping[str, Any], *, without: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    return {name: value for name, value in row.items() if name not in _PROVENANCE | without}


def _are_alike(one: Any, other: Any) -> bool:
    """Equal, but for the last digits of floats: a forward pass of 32 images rounds otherwise than one of 31."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < 1e-5
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_are_alike(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_are_alike, one, other))
    return bool(one == other)


def _counts(rows: Rows) -> str:
    return ", ".join(
        f"{number} {status}" for status, number in sorted(Counter(r["status"] for r in rows.values()).items())
    )


if __name__ == "__main__":
    main()
