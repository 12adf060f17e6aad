"""`parrot doctor`: what of all that a run needs is there, what is missing, and how to mend it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from spark_jobs.class_archive import java_command
from spark_jobs.commands.json_output import print_json
from spark_jobs.errors import ConfigError, ParrotError, sentence
from spark_jobs.runner.progress import output_console

if TYPE_CHECKING:
    from spark_jobs.config import RunConfig

_JAVA = (17, 21)
_PYTHON = ((3, 11), (3, 12))
# Delta's releases by the Spark release that they are built for.
_DELTA_OF = {"3.5": ("3.2", "3.3"), "4.0": ("4.0",)}
_SECONDS = 20
# Package that fsspec reads a protocol with.
_FILE_SYSTEMS = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "az"), "adlfs"),
}
_REACH = "check address, network and credentials (as the cloud's own tools read them)"
# What to do where a check itself fails; elsewhere the error says it.
_MENDS = {
    "MLflow": "start the server, set MLFLOW_TRACKING_URI, or --set tracking.enabled=false",
    "warehouse": _REACH,
    "source": _REACH,
}


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        what: What was looked for.
        state: ok; note: it works, but you may want to know; missing: a run as configured would fail.
        found: What there is.
        mend: What to do; empty where nothing is to be done.
    """

    what: str
    state: str
    found: str
    mend: str = ""


def print_findings(config: RunConfig, *, with_spark: bool, as_json: bool) -> None:
    """Look at everything, and say what is missing.

    Args:
        config: Says which models, which MLflow and which places are needed.
        with_spark: Whether to start Spark, and to write and read a small table.
        as_json: Whether a program reads it.

    Raises:
        ConfigError: If something that a run needs is missing.
    """
    findings = examine(config, with_spark=with_spark)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table("what", "is", "found", "how to mend it")
        for finding in findings:
            table.add_row(finding.what, finding.state, finding.found, finding.mend)
        output_console().print(table)
    missing = [finding.what for finding in findings if finding.state == "missing"]
    if missing:
        raise ConfigError(
            f"{len(missing)} of {len(findings)} checks found something missing: {', '.join(missing)}"
        )


def examine(config: RunConfig, *, with_spark: bool = False) -> list[Finding]:
    """Every check, in order; one that fails in a way that nobody foresaw is itself a finding."""
    checks: dict[str, Callable[[], Finding]] = {
        "Python": check_python,
        "Java": lambda: check_java(java_version()),
        "Spark": lambda: check_spark(_version_of("pyspark")),
        "Delta": lambda: check_delta(_version_of("delta-spark"), _version_of("pyspark")),
        "GPU": lambda: check_gpu(nvidia_driver(), torch_cuda()),
        "text spotter": lambda: check_spotter(config),
        "CLIP model": lambda: check_clip(config),
        "MLflow": lambda: check_mlflow(config),
        "warehouse": lambda: check_place("warehouse", config.warehouse),
    }
    if config.source:
        source = config.source
        checks["source"] = lambda: check_place("source", source)
    if with_spark:
        checks["Spark session"] = lambda: check_session(config)
    return [_examined(what, check) for what, check in checks.items()]


def _examined(what: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks are to be made
        told = str(error) if isinstance(error, ParrotError) else sentence(error)
        return Finding(what, "missing", told.splitlines()[0][:300], _MENDS.get(what, "see what it says"))


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Whether this Python is one that is tested."""
    found = ".".join(map(str, version))
    if version in _PYTHON:
        return Finding("Python", "ok", found)
    return Finding("Python", "missing", found, "install parrot in Python 3.11 or 3.12")


def java_version() -> str | None:
    """What Java says of its version, from JAVA_HOME, else from the PATH; None where there is none."""
    java = java_command()
    said = _output(java, "-version") if java else None
    match = re.search(r'version "([^"]+)"', said or "")
    return match[1] if match else None


def check_java(version: str | None) -> Finding:
    """Whether Java is one that Spark runs on."""
    mend = "install openjdk-17-jre-headless, or point JAVA_HOME to a Java 17 or 21"
    if version is None:
        return Finding("Java", "missing", "none in JAVA_HOME or on the PATH", mend)
    is_known = int(re.split(r"[._+-]", version)[0]) in _JAVA
    return Finding("Java", "ok" if is_known else "missing", version, "" if is_known else mend)


def check_spark(version: str | None) -> Finding:
    """Whether PySpark is there, of a version that is tested."""
    if version is None:
        return Finding("Spark", "missing", "no pyspark", "pip install 'parrot-captions[spark]'")
    if _release(version) in _DELTA_OF:
        return Finding("Spark", "ok", version)
    return Finding("Spark", "missing", version, f"install pyspark {' or '.join(_DELTA_OF)}")


def check_delta(version: str | None, spark: str | None) -> Finding:
    """Whether Delta's Python package is there, and of the release that is built for this Spark."""
    fitting = _DELTA_OF.get(_release(spark or ""), ())
    mend = (
        f"pip install 'delta-spark=={fitting[-1]}.*'" if fitting else "pip install 'parrot-captions[spark]'"
    )
    if version is None:
        return Finding("Delta", "missing", "no delta-spark", mend)
    if fitting and _release(version) not in fitting:
        return Finding("Delta", "missing", f"{version}, which is not for Spark {spark}", mend)
    return Finding("Delta", "ok", version)


def nvidia_driver() -> str | None:
    """Name and driver version of the first GPU; None where the driver shows none."""
    tool = shutil.which("nvidia-smi")
    said = _output(tool, "--query-gpu=name,driver_version", "--format=csv,noheader") if tool else None
    return said.splitlines()[0].strip() if said and said.strip() else None


def torch_cuda() -> tuple[str | None, bool]:
    """The CUDA version that torch is built for (None: for CPUs), and whether it can use a GPU."""
    import torch

    return torch.version.cuda, bool(torch.cuda.is_available())


def check_gpu(driver: str | None, torch: tuple[str | None, bool]) -> Finding:
    """Whether a GPU that is there can be used. None is needed."""
    cuda, is_usable = torch
    if driver is None:
        return Finding("GPU", "note", "none: models run on the CPU", "")
    if is_usable:
        return Finding("GPU", "ok", f"{driver}; torch for CUDA {cuda}")
    if cuda is None:
        return Finding(
            "GPU", "missing", f"{driver}, but torch is built for CPUs", "install torch's CUDA build"
        )
    return Finding(
        "GPU",
        "missing",
        f"{driver}, which torch for CUDA {cuda} cannot use",
        f"update the driver, or install a torch for an older CUDA than {cuda}",
    )


def check_spotter(config: RunConfig) -> Finding:
    """Whether the text spotter's package and weights are there and are what they should be."""
    from spark_jobs.stages.spot_text import spotter_of

    return Finding("text spotter", "ok", spotter_of(config.spot_text).spotter)


def check_clip(config: RunConfig) -> Finding:
    """Whether the CLIP model's weights are there; nothing is downloaded."""
    from spark_jobs.clip_models import models_named

    name = models_named(config, "embed")[0]
    weights = config.embed.pretrained
    if weights in (None, "", "random"):
        mend = "--set embed.model=ViT-B-32 --set embed.pretrained=openai"
        return Finding("CLIP model", "note", f"{name}: random weights, scores mean nothing", mend)
    if "/" in str(weights) or Path(str(weights)).suffix:
        if Path(str(weights)).is_file():
            return Finding("CLIP model", "ok", name)
        return Finding("CLIP model", "missing", f"no file {weights}", "put it there, or name another")
    if config.embed.model.startswith("parrot-"):
        return Finding("CLIP model", "ok", f"{name}, which comes along")
    return Finding("CLIP model", "note", f"{name}: downloaded when it is first used, if it is not there")


def check_mlflow(config: RunConfig) -> Finding:
    """Whether the MLflow store can be reached, where runs are tracked."""
    from spark_jobs.tracking import reach

    if not config.tracking.enabled:
        return Finding("MLflow", "note", "tracking is switched off")
    return Finding("MLflow", "ok", reach(config))


def check_place(what: str, place: str) -> Finding:
    """Whether a folder, URI or catalog is there, or can be made."""
    from spark_jobs.warehouse.addresses import is_catalog

    if is_catalog(place):
        return Finding(what, "note", f"{place}, a catalog: only its Spark session can tell")
    if "://" in place:
        return _check_object_store(what, place)
    folder = Path(place)
    if what == "source":
        is_there = folder.exists()
        return Finding(what, "ok" if is_there else "missing", place, "" if is_there else "--source PATH")
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(above, os.W_OK):
        return Finding(what, "missing", f"{above} cannot be written", "--warehouse DIR")
    return Finding(what, "ok", place if folder.exists() else f"{place}, which is made by the first run")


def _check_object_store(what: str, place: str) -> Finding:
    import fsspec

    protocol = place.partition("://")[0]
    package = _FILE_SYSTEMS.get(protocol)
    if package and importlib.util.find_spec(package) is None:
        extra = "pip install 'parrot-captions[s3]'" if package == "s3fs" else f"pip install {package}"
        return Finding(what, "missing", f"no {package}, which reads {protocol}://", extra)
    system, path = fsspec.core.url_to_fs(place)
    is_there = system.exists(path)
    if is_there or what == "warehouse":
        return Finding(what, "ok", place if is_there else f"{place}, which is made by the first run")
    return Finding(what, "missing", f"nothing at {place}", "--source URI")


def check_session(config: RunConfig) -> Finding:
    """Whether Spark starts, and Delta writes and reads a table."""
    from schemas import samples
    from spark_jobs.session import open_session
    from spark_jobs.warehouse.tables import Tables

    spark = open_session(config.session)
    with tempfile.TemporaryDirectory(prefix="parrot-doctor-") as folder:
        tables = Tables(spark, folder)
        tables.create(samples.TABLE)
        rows = tables.read(samples.TABLE).count()
    return Finding(
        "Spark session",
        "ok",
        f"Spark {spark.version} at {spark.sparkContext.master}, {rows} rows in a new Delta table",
    )


def _release(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _output(*command: str) -> str | None:
    """What a program says on both its streams; None where it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None

    return done.stdout + done.stderr if done.returncode == 0 else None
