"""Where benchmarks leave their ratios: printed, and a line each in the file that `PARROT_RESULTS` names.

`make bench` names `benchmarks/RESULTS.md`. A line says on which processor and with which libraries a ratio was
measured, since it is of that run alone: what is compared ran in the same run, in turn.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LIBRARIES = {
    "torch": "torch",
    "pyspark": "pyspark",
    "delta": "delta-spark",
    "easyocr": "easyocr",
    "onnxruntime": "onnxruntime",
    "faiss": "faiss-cpu",
}
"""Name in a line -> distribution."""
# Feature in a line -> flags of /proc/cpuinfo of which one is enough.
_FLAGS = {
    "avx2": ("avx2",),
    "avx512": ("avx512f",),
    "vnni": ("avx512_vnni", "avx_vnni"),
    "bf16": ("avx512_bf16", "amx_bf16"),
    "amx": ("amx_tile",),
}
# What bounds the instructions that libraries take, whatever the processor has.
_BOUNDS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
HEAD = (
    "# Results of the benchmarks\n\n"
    "Written by `make bench`, a line per ratio; how to read them: [docs/speed.md](../docs/speed.md). Both sides of a "
    "ratio ran in one run.\nSeconds of different lines are not comparable: machines are shared.\n\n"
    "| date | benchmark | run | measure | ratio | goal | processor | libraries |\n"
    "| --- | --- | --- | --- | ---: | --- | --- | --- |\n"
)


@dataclass(frozen=True)
class Ratio:
    """One ratio within a run.

    Attributes:
        measure: What is divided by what.
        value: The ratio.
        goal: What it should be, for people; empty where there is no goal.
    """

    measure: str
    value: float
    goal: str = ""


def record(benchmark: str, ratios: Sequence[Ratio], *, run: str) -> None:
    """Print ratios, and append them to the file that `PARROT_RESULTS` names, if it names one.

    Args:
        benchmark: Name of the benchmark.
        ratios: What it found.
        run: On what, for people: sizes, settings.
    """
    for ratio in ratios:
        goal = f" (goal {ratio.goal})" if ratio.goal else ""
        sys.stdout.write(f"{benchmark}: {ratio.measure}: {ratio.value:.2f}{goal}\n")
    sys.stdout.flush()
    target = os.environ.get("PARROT_RESULTS")
    if target:
        append(Path(target), benchmark, ratios, run=run)


def append(path: Path, benchmark: str, ratios: Sequence[Ratio], *, run: str) -> None:
    """Append a line per ratio to a results file, made with its head where it is missing."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    processor = " ".join(processor_features()) or "unknown"
    libraries = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    if not path.exists():
        path.write_text(HEAD, encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        for ratio in ratios:
            cells = (
                today,
                benchmark,
                run,
                ratio.measure,
                f"{ratio.value:.2f}",
                ratio.goal,
                processor,
                libraries,
            )
            file.write("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")


def processor_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Features of the processor that decide how fast models run, and bounds that the environment sets.

    Args:
        cpuinfo: Linux's description of the processors; empty features where there is none.
    """
    flags: set[str] = set()
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "flags":
                flags.update(value.split())
    found = [name for name, any_of in _FLAGS.items() if flags.intersection(any_of)]
    return found + [f"{name}={os.environ[name]}" for name in _BOUNDS if os.environ.get(name)]


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide how fast it runs; those that are not installed are left out."""
    found = {}
    for name, distribution in LIBRARIES.items():
        try:
            found[name] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
