"""The pool on disk: shards as img2dataset writes them, with the manifest of an export.

So it is both at once: a source that the pipeline ingests, and a folder that `parrot train` takes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_jobs.demo.captions import planted_cotr
from spark_jobs.demo.shard_files import ShardRow, write_shard
from spark_jobs.export.folder import Folder
from spark_jobs.export.manifest import ExportedFile, Manifest, finish
from spark_jobs.warehouse.digest import digest
from spark_jobs.world.pictures import Picture, draw_picture

if TYPE_CHECKING:
    from PIL import Image

VERSION = 2  # raise it when the same plan gives other bytes
_QUALITY = 92


@dataclass(frozen=True)
class PoolPlan:
    """What decides a pool's bytes.

    Attributes:
        name: Decides the pictures together with the seed: pools of other names share none.
        samples: Pairs.
        size: Side of the pictures, px.
        seed: Chooses the pool.
        mix: Share of each kind of picture; they add up to 1.
        per_shard: Pairs per shard.
    """

    name: str
    samples: int
    size: int
    seed: int
    mix: Mapping[str, float]
    per_shard: int = 1000

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.samples // self.per_shard)

    def kinds(self, shard: int) -> list[str]:
        """Kind of every pair of a shard: exact shares, shuffled. Shards know nothing of each other."""
        count = min(self.per_shard, self.samples - shard * self.per_shard)
        kinds: list[str] = []
        for kind, share in self.mix.items():
            kinds += [kind] * round(share * count)
        kinds = (kinds + [next(iter(self.mix))] * count)[:count]
        random.Random(f"parrot-world/{self.name}/{self.seed}/{shard}").shuffle(kinds)
        return kinds


def write_pool(folder: Path, plan: PoolPlan, *, processes: int) -> None:
    """Draw a pool: `folder` gets shards and manifest, `folder` + `-truth.jsonl` what was planted, a line per pair.

    Args:
        folder: Where the shards go; the manifest is written last.
        plan: What to draw.
        processes: Processes that draw; they do not change the bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    work = [(folder, plan, shard) for shard in range(plan.shards)]
    truth = folder.with_name(f"{folder.name}-truth.jsonl")
    with truth.open("w", encoding="utf-8", newline="\n") as file:
        for rows in _drawn(work, processes):
            file.writelines(json.dumps(row) + "\n" for row in rows)
    names = [f"{shard:05d}{end}" for shard in range(plan.shards) for end in _ENDINGS]
    files = [_entry(folder, name, plan) for name in names]
    identity = {
        "dataset": "world",
        "subset_id": plan.name,
        "content_hash": digest({"version": VERSION, **asdict(plan)}),
        "format": "webdataset",
        "with_images": True,
    }
    note = "drawn, not exported: its truth lies in the file beside this folder"
    finish(Folder(str(folder)), Manifest(identity, {"seed": plan.seed}, {}, plan.samples, files, (note,)))


_ENDINGS = (".tar", ".parquet", "_stats.json")
_Work = tuple[Path, PoolPlan, int]


def _drawn(work: list[_Work], processes: int) -> Iterator[list[dict[str, Any]]]:
    if processes == 1:
        yield from map(_draw_shard, work)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(_draw_shard, work)


def _draw_shard(work: _Work) -> list[dict[str, Any]]:
    folder, plan, shard = work
    rows, truth = [], []
    for place, kind in enumerate(plan.kinds(shard)):
        number = shard * plan.per_shard + place
        key = f"{shard:05d}{place:04d}"
        rng = random.Random(f"parrot-world/{plan.name}/{plan.seed}/{shard}/{place}")
        picture = draw_picture(kind, rng=rng, size=plan.size)
        data = jpeg(picture.image)
        rows.append((_row(key, picture, data=data, number=number), data))
        truth.append({"key": key, **planted(picture)})
    write_shard(folder, f"{shard:05d}", rows)
    return truth


def planted(picture: Picture) -> dict[str, Any]:
    """What is known of a picture, JSON types."""
    return {
        "kind": picture.kind,
        "caption": picture.caption,
        "words": list(picture.words),
        "shapes": [item.shape for item in picture.scene.objects],
        "colours": [item.colour for item in picture.scene.objects],
        "cotr": planted_cotr(picture.caption, picture.words),
    }


def jpeg(image: Image.Image) -> bytes:
    """A picture as it is stored."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _row(key: str, picture: Picture, *, data: bytes, number: int) -> ShardRow:
    side = picture.image.width
    return ShardRow(
        SAMPLE_ID=number,
        NSFW="UNLIKELY",
        LICENSE="?",
        caption=picture.caption,
        url=f"https://world.invalid/{key}.jpg",
        key=key,
        status="success",
        width=side,
        height=side,
        original_width=side,
        original_height=side,
        exif="{}",
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _entry(folder: Path, name: str, plan: PoolPlan) -> ExportedFile:
    path = folder / name
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if not name.endswith(".tar"):
        return ExportedFile(name, 0, os.path.getsize(path), sha256)
    first = int(name[:5]) * plan.per_shard
    rows = min(plan.per_shard, plan.samples - first)
    return ExportedFile(name, rows, os.path.getsize(path), sha256, "drawn", (), {"jpeg": rows})
