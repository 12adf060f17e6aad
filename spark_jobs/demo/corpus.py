"""The demo corpus on disk: what img2dataset's webdataset format holds, and the truth beside it.

    FOLDER/webdataset/00000.tar  00000.parquet  00000_stats.json ...
    FOLDER/truth.jsonl           one `TruthRow` per sample
    FOLDER/manifest.json         arguments and files with their sha256; written last

The same arguments give the same bytes. A few samples are broken on purpose (`FAULTS`).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spark_jobs.demo.captions import FULL, NO_TEXT, RELATIONS, planted_cotr
from spark_jobs.demo.comparison import TruthRow
from spark_jobs.demo.examples import make_example
from spark_jobs.demo.shard_files import ShardRow, write_shard
from spark_jobs.errors import ConfigError, SourceError

GENERATOR_VERSION = 1  # raise it when the same arguments give other bytes
FAILED_DOWNLOAD, TRUNCATED_JPEG, EMPTY_CAPTION = "failed_download", "truncated_jpeg", "empty_caption"
# Each planted fault, and the relation of the sample that it befalls.
FAULTS: tuple[tuple[str, str], ...] = (
    (FAILED_DOWNLOAD, NO_TEXT),
    (FAILED_DOWNLOAD, FULL),
    (TRUNCATED_JPEG, FULL),
    (EMPTY_CAPTION, NO_TEXT),
)
DOWNLOAD_ERRORS = ("HTTP Error 404: Not Found", "<urlopen error timed out>")
MIN_SAMPLES = 16
MIN_SIZE = 224  # px; below, text that leaves room for a scene is too small to read

_JPEG_QUALITY = 92
_KEPT_OF_TRUNCATED = 0.6  # header and upper part: read as a JPEG, not decoded to the end
_FILES_PER_SHARD = 3
_OWN_FILE = re.compile(r"truth\.jsonl|webdataset/\d{5}(\.tar|\.parquet|_stats\.json)")


@dataclass(frozen=True)
class CorpusSummary:
    """What lies in the folder.

    Attributes:
        folder: The corpus.
        webdataset: The part that a pipeline ingests.
        truth: What was planted, JSON lines.
        samples: Rows of all Parquet files.
        images: Samples in the tars, the truncated one included.
        shards: Number of shards.
        relations: Samples by relation.
        faults: Samples by planted fault.
        written: False if the corpus was there already.
    """

    folder: Path
    webdataset: Path
    truth: Path
    samples: int
    images: int
    shards: int
    relations: dict[str, int]
    faults: dict[str, int]
    written: bool


@dataclass(frozen=True)
class _Plan:
    key: str
    shard: str
    number: int
    relation: str
    fault: str | None


def write_corpus(
    folder: str | Path, *, samples: int = 240, shards: int = 3, seed: int = 0, size: int = 320
) -> CorpusSummary:
    """Write a demo corpus, or leave the complete one with these arguments as it is.

    A corpus of other arguments that this function wrote is replaced. Files that it did not write are never
    touched. A run that is killed leaves no manifest that fits, and the next run writes what is missing.

    Args:
        folder: Where the corpus shall lie; made if missing.
        samples: Rows in all, at least `MIN_SAMPLES`.
        shards: Number of tars; at most a quarter of `samples`.
        seed: Chooses the corpus.
        size: Side of the square images, px, at least `MIN_SIZE`.

    Raises:
        ConfigError: If an argument is out of range.
        SourceError: If the folder holds shards that this function did not write.
    """
    _check_arguments(samples=samples, shards=shards, size=size)
    folder = Path(folder)
    arguments = {"samples": samples, "shards": shards, "seed": seed, "size": size}
    plans = _plan_corpus(samples, shards, seed=seed)
    summary = _summarise(folder, plans)
    described = {"generator_version": GENERATOR_VERSION, "arguments": arguments}
    old = _read_manifest(folder / "manifest.json")
    old_files = {name: digest for name, digest in old.get("files", {}).items() if _OWN_FILE.fullmatch(name)}
    if {**old, **described} == old and _is_complete(folder, old_files, shards):
        return replace(summary, written=False)

    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".parrot-demo-", dir=folder))
    try:
        _write_draft(draft, plans, seed=seed, size=size)
        files = {name: _sha256(draft / name) for name in _files_in(draft)}
        _refuse_foreign_files(folder, files, known=old_files)
        for name, digest in files.items():
            if not _holds(folder / name, digest):  # an equal file keeps its time, so no source looks changed
                (folder / name).parent.mkdir(exist_ok=True)
                os.replace(draft / name, folder / name)
        for name in set(old_files) - set(files):
            (folder / name).unlink(missing_ok=True)
        manifest = draft / "manifest.json"
        manifest.write_text(json.dumps({**described, "files": files}, indent=2) + "\n", encoding="utf-8")
        os.replace(manifest, folder / "manifest.json")
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return summary


def read_truth(path: str | Path) -> list[TruthRow]:
    """Read a corpus's `truth.jsonl`.

    Raises:
        SourceError: If the file is missing or a line is not a truth row.
    """
    path = Path(path)
    if not path.is_file():
        raise SourceError(
            f"expected the truth of a demo corpus, found no file {path}; write the corpus first"
        )
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            fields = json.loads(line)
            fields["words"] = tuple(fields["words"])
            fields["polygons"] = tuple(tuple((x, y) for x, y in polygon) for polygon in fields["polygons"])
            rows.append(TruthRow(**fields))
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(f"expected a truth row in line {number} of {path}, found: {error}") from error
    return rows


def _check_arguments(*, samples: int, shards: int, size: int) -> None:
    faults = []
    if samples < MIN_SAMPLES:
        faults.append(
            f"expected at least {MIN_SAMPLES} samples (some are broken on purpose), found {samples}"
        )
    if not 1 <= shards <= samples // 4:
        faults.append(f"expected 1 to {samples // 4} shards for {samples} samples, found {shards}")
    if size < MIN_SIZE:
        faults.append(f"expected images of at least {MIN_SIZE} px (text must be legible), found {size}")
    if faults:
        raise ConfigError("demo corpus: " + "; ".join(faults))


def _plan_corpus(samples: int, shards: int, *, seed: int) -> list[_Plan]:
    """Deal relations and faults to keys: exact shares, shuffled, shards of equal size but for one row."""
    rng = random.Random(f"parrot-demo/{seed}/plan")
    relations: list[str] = []
    for relation, share in RELATIONS.items():
        relations += [relation] * round(share * samples)
    relations = (relations + [FULL] * samples)[:samples]
    rng.shuffle(relations)
    faults: dict[int, str] = {}
    for fault, relation in FAULTS:
        free = [i for i, name in enumerate(relations) if name == relation and i not in faults]
        faults[rng.choice(free)] = fault
    plans = []
    for number, relation in enumerate(relations):
        shard = number * shards // samples
        first = -(-shard * samples // shards)
        key = f"{shard:05d}{number - first:04d}"
        plans.append(_Plan(key, f"{shard:05d}", number, relation, faults.get(number)))
    return plans


def _summarise(folder: Path, plans: Sequence[_Plan]) -> CorpusSummary:
    faults = Counter(plan.fault for plan in plans if plan.fault)
    return CorpusSummary(
        folder=folder,
        webdataset=folder / "webdataset",
        truth=folder / "truth.jsonl",
        samples=len(plans),
        images=len(plans) - faults[FAILED_DOWNLOAD],
        shards=len({plan.shard for plan in plans}),
        relations=dict(Counter(plan.relation for plan in plans)),
        faults=dict(faults),
        written=True,
    )


def _write_draft(draft: Path, plans: Sequence[_Plan], *, seed: int, size: int) -> None:
    webdataset = draft / "webdataset"
    webdataset.mkdir()
    errors = iter(DOWNLOAD_ERRORS)
    with (draft / "truth.jsonl").open("w", encoding="utf-8", newline="\n") as truth:
        for shard in dict.fromkeys(plan.shard for plan in plans):
            rows = []
            for plan in plans:
                if plan.shard == shard:
                    error = next(errors) if plan.fault == FAILED_DOWNLOAD else None
                    row, data, planted = _make_sample(plan, error, seed=seed, size=size)
                    rows.append((row, data))
                    truth.write(json.dumps(asdict(planted)) + "\n")
            write_shard(webdataset, shard, rows)


def _make_sample(
    plan: _Plan, download_error: str | None, *, seed: int, size: int
) -> tuple[ShardRow, bytes | None, TruthRow]:
    """The Parquet row, the stored image (None after a failed download) and the truth of one sample."""
    rng = random.Random(f"parrot-demo/{seed}/{plan.number}")
    example = make_example(plan.relation, rng=rng, size=size)
    caption = "" if plan.fault == EMPTY_CAPTION else example.caption
    row = ShardRow(
        SAMPLE_ID=1_000_000 + plan.number,
        NSFW="UNLIKELY",
        LICENSE="?",
        caption=caption,
        url=f"https://demo.invalid/{plan.key}.jpg",
        key=plan.key,
        status="success",
    )
    truth = TruthRow(
        key=plan.key,
        shard=plan.shard,
        relation=plan.relation,
        image_type=None,
        words=example.words,
        polygons=example.polygons,
        caption=caption,
        cotr=None,
        fault=plan.fault,
    )
    if download_error:
        row = replace(row, status="failed_to_download", error_message=download_error)
        return row, None, replace(truth, words=(), polygons=())

    buffer = io.BytesIO()
    example.image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    data = buffer.getvalue()
    row = replace(
        row,
        width=size,
        height=size,
        original_width=size,
        original_height=size,
        exif="{}",
        sha256=hashlib.sha256(data).hexdigest(),
    )
    if plan.fault == TRUNCATED_JPEG:
        return row, data[: int(len(data) * _KEPT_OF_TRUNCATED)], truth
    cotr = planted_cotr(caption, example.words)
    return row, data, replace(truth, cotr=cotr, image_type=_planted_image_type(example.words, cotr))


def _planted_image_type(words: Sequence[str], cotr: float | None) -> str:
    if not words:
        return "no_text"
    return "concurrent" if cotr else "text_not_concurrent"


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a corpus that lies there, or nothing.

    Raises:
        SourceError: If the file is there and is not such a manifest.
    """
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(manifest["files"], dict) and isinstance(manifest["generator_version"], int):
            return dict(manifest)
    except (ValueError, KeyError, TypeError):
        pass
    raise SourceError(
        f"expected the manifest of a demo corpus, found another file: {path}; choose another folder"
    )


def _is_complete(folder: Path, files: Mapping[str, str], shards: int) -> bool:
    """Whether the listed files are those of a whole corpus and hold what they held when they were written."""
    all_listed = len(files) == _FILES_PER_SHARD * shards + 1
    return all_listed and all(_holds(folder / name, digest) for name, digest in files.items())


def _refuse_foreign_files(folder: Path, files: Mapping[str, str], *, known: Mapping[str, str]) -> None:
    """Stop before a file is overwritten, or ingested along, that no earlier run wrote.

    Raises:
        SourceError: If there is one.
    """
    foreign = [
        name
        for name in _files_in(folder / "webdataset", root=folder)
        if name not in known and name not in files and name.endswith((".tar", ".parquet"))
    ]
    for name, digest in files.items():
        if name not in known and (folder / name).exists() and not _holds(folder / name, digest):
            foreign.append(name)
    if foreign:
        raise SourceError(
            f"expected an empty folder or a demo corpus in {folder}, found {len(foreign)} other files, "
            f"first {min(foreign)}; choose another folder, or remove them if an interrupted run left them"
        )


def _files_in(folder: Path, *, root: Path | None = None) -> list[str]:
    """Files below `folder`, as sorted POSIX paths relative to `root` (`folder` itself if not given)."""
    paths = folder.rglob("*") if folder.is_dir() else ()
    return sorted(path.relative_to(root or folder).as_posix() for path in paths if path.is_file())


def _holds(path: Path, digest: str) -> bool:
    return path.is_file() and _sha256(path) == digest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
