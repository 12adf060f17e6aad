"""Exports made without Spark, for tests and benchmarks of training, and a model that trains in seconds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa

from spark_jobs.export.base import IMAGE_FAULT, Settings
from spark_jobs.export.folder import Folder
from spark_jobs.export.formats import FORMATS
from spark_jobs.export.manifest import ExportedFile, Manifest, finish
from spark_jobs.training.worker import train
from spark_jobs.warehouse.digest import digest
from tests.builders import image_bytes
from udfs.clip_model import ensure_architecture

COLUMNS = ("sample_id", "shard_id", "caption")
_LARGE = 100_000_000


def sample_id_of(number):
    return hashlib.md5(str(number).encode()).hexdigest()


def write_export(folder, pairs, *, form="parquet", rows_per_file=16, dataset="test"):
    """Write pairs of (image bytes or None, caption) as an export; returns its folder.

    An image of None is one that could not be read.
    """
    images = Path(folder).with_name(Path(folder).name + "-images")
    images.mkdir(parents=True, exist_ok=True)
    rows = [_row(images, number, data, caption) for number, (data, caption) in enumerate(pairs)]
    rows.sort(key=lambda row: row["sample_id"])
    target, format_ = Folder(str(folder)), FORMATS[form]
    settings = Settings(rows_per_file, True, _LARGE, COLUMNS)
    files = []
    for number in range(-(-len(rows) // rows_per_file)):
        part = rows[number * rows_per_file : (number + 1) * rows_per_file]
        batches = pa.Table.from_pylist(part, schema=_SCHEMA).to_batches()
        name = format_.name_of(number)
        facts, written = target.put(
            name, lambda stream, batches=batches: format_.write(stream, iter(batches), settings)
        )
        files.append(
            ExportedFile(
                name, facts.rows, written.bytes, written.sha256, "key", facts.unreadable, dict(facts.formats)
            )
        )
    content = digest([[row["sample_id"], row["caption"]] for row in rows])
    identity = {
        "dataset": dataset,
        "subset_id": "some",
        "content_hash": content,
        "format": form,
        "with_images": True,
    }
    finish(target, Manifest(identity, {"seed": 0}, {"samples": 1}, len(rows), files))
    return str(folder)


_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in (*COLUMNS, "image_uri", "image_sha256", IMAGE_FAULT)),
        *((name, pa.int64()) for name in ("image_offset", "image_length", "image_row")),
    ]
)


def _row(images, number, data, caption):
    path = images / f"{number:06d}"
    if data is not None:
        path.write_bytes(data)
    return {
        "sample_id": sample_id_of(number),
        "shard_id": "00000",
        "caption": caption,
        "image_uri": str(path),
        "image_sha256": None,
        IMAGE_FAULT: "gone" if data is None else "",
        "image_offset": None,
        "image_length": None,
        "image_row": None,
    }


TINY = "test-train-vit"
TINY_CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 220), "grey": (128, 128, 128)}


def register_tiny():
    """Make open_clip of this process know the architecture `TINY`: a training of it takes seconds."""
    ensure_architecture(TINY, TINY_CONFIG)


def coloured_pairs(times=3):
    """Pictures of one colour each with its name: four colours, each so many times."""
    return [
        (image_bytes("PNG", size=(20, 16), color=color), f"a {name} picture")
        for _ in range(times)
        for name, color in COLOURS.items()
    ]


def in_process(_job, folder):
    """In place of what starts processes: train in this one."""
    train(str(folder))
