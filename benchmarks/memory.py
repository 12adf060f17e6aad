"""Peak memory of a run over one shard against four shards of the same size.

Samples the resident memory of the driver, the JVM and the Python workers while `parrot run` works on a drawn
corpus. Memory must not grow with the number of shards.

    python -m benchmarks.memory --samples-per-shard 64
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.results import Ratio, record
from spark_jobs.demo.corpus import write_corpus

MB = 1024 * 1024
KINDS = ("driver", "JVM", "largest worker", "largest decoder", "all")


def main() -> None:
    """Measure both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples-per-shard", type=int, default=64)
    parser.add_argument("--stages", nargs="+", default=["ingest", "embed", "spot_text", "overlap"])
    arguments = parser.parse_args()
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for shards in (1, 4):
            root = Path(folder) / str(shards)
            corpus = write_corpus(
                root / "corpus", samples=shards * arguments.samples_per_shard, shards=shards
            )
            peaks[shards] = peak_memory(
                ["run", *arguments.stages, "--source", corpus.webdataset, "--dataset", "d"],
                root / "warehouse",
            )
            shown = "  ".join(f"{kind} {peak / MB:,.0f} MB" for kind, peak in peaks[shards].items())
            print(f"{shards} shard(s): {shown}")
    ratios = [
        Ratio(f"four shards / one, {kind}", peak / peaks[1][kind])
        for kind, peak in peaks[4].items()
        if peaks[1][kind]
    ]
    record("memory", ratios, run=f"{arguments.samples_per_shard} samples a shard")


def peak_memory(arguments: list[object], warehouse: Path) -> dict[str, int]:
    """Peak resident bytes of a `parrot` command, by kind of process."""
    code, peaks = watched([*arguments, "--warehouse", warehouse])
    if code:
        raise SystemExit(f"the run failed with exit code {code}")
    return peaks


def watched(arguments: list[object], *, log: Path = Path(os.devnull)) -> tuple[int, dict[str, int]]:
    """Run a `parrot` command; its exit code, and its peak resident bytes by kind of process.

    Args:
        arguments: The command's arguments.
        log: Where its progress and errors go.
    """
    command = [sys.executable, "-m", "spark_jobs.cli", *map(str, arguments)]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stderr=errors)
    peaks = dict.fromkeys(KINDS, 0)
    while process.poll() is None:
        found = resident(psutil.Process(process.pid))
        for kind, value in found.items():
            peaks[kind] = max(peaks[kind], value)
        time.sleep(0.2)
    return process.returncode, peaks


def resident(driver: psutil.Process) -> dict[str, int]:
    """Resident bytes now, by kind of process."""
    sizes = dict.fromkeys(KINDS, 0)
    try:
        processes = [driver, *driver.children(recursive=True)]
    except psutil.NoSuchProcess:
        return sizes
    for process in processes:
        try:  # it may end at any time
            size, kind = process.memory_info().rss, _kind_of(process, driver)
        except psutil.Error:
            continue
        sizes[kind] = max(sizes[kind], size)
        sizes["all"] += size
    return sizes


def _kind_of(process: psutil.Process, driver: psutil.Process) -> str:
    if process == driver:
        return "driver"
    command = process.cmdline()
    if "java" in process.name():
        return "JVM"
    return "largest decoder" if "udfs.decoder_child" in command else "largest worker"


if __name__ == "__main__":
    main()
