"""A warehouse with a stored subset over drawn images, for tests of exports."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd

from schemas import TABLES, caption_overlap, subset_members, subsets
from spark_jobs.commands.export import ExportOptions, order
from spark_jobs.config import load_config
from spark_jobs.export.job import run_export
from spark_jobs.export.write_files import FileTask
from spark_jobs.subsets.build import content_hash
from spark_jobs.warehouse.tables import Tables
from tests.builders import image_bytes, tar_bytes
from tests.table_rows import filled, frame_of, put_rows

FORMATS = ("JPEG", "PNG", "WEBP")
MEMBERS = 11
MAKERS = {"samples": "ingest", "images": "ingest", "clip_embeddings": "embed", "caption_overlap": "overlap"}


def drawn(folder, *, count=14, shards=3):
    """Draw samples into tars, a folder and a Parquet file, one after the other; one frame row per sample.

    The first `MEMBERS` are the subset's.
    """
    rows = []
    for number in range(count):
        data = image_bytes(FORMATS[number % 3], color=(number * 37 % 256, 90, 120), text=f"NO {number}")
        rows.append(
            {
                "sample_id": hashlib.md5(str(number).encode()).hexdigest(),
                "shard_id": f"{number % shards:05d}",
                "source_id": hashlib.sha256(str(number).encode()).hexdigest()[:32],
                "url": f"http://example.org/{number}",
                "caption": [f"picture no {number}", 'quoted, "with" comma', None][number % 3],
                "clip_score": float("nan") if number == 4 else 0.25 + number / 100,
                "data": data,
                "sha256": hashlib.sha256(data).hexdigest(),
                "format": FORMATS[number % 3],
                "status": "ok",
            }
        )
    frame = pd.DataFrame(rows)
    _place(frame, folder)
    return frame


def _place(frame, folder):
    import pyarrow as pa
    from pyarrow import parquet

    folder.mkdir(parents=True, exist_ok=True)
    frame["uri"], frame["offset"], frame["length"], frame["row"] = "", None, None, None
    tar = tar_bytes([(f"{number}.img", data) for number, data in enumerate(frame.data)])
    (folder / "images.tar").write_bytes(tar)
    parquet.write_table(pa.table({"jpg": list(frame.data)}), folder / "images.parquet")
    for number, data in enumerate(frame.data):
        if number % 3 == 0:
            frame.loc[number, ["uri", "offset", "length"]] = [
                str(folder / "images.tar"),
                tar.index(data),
                len(data),
            ]
        elif number % 3 == 1:
            frame.loc[number, ["uri", "row"]] = [str(folder / "images.parquet"), number]
        else:
            (folder / str(number)).write_bytes(data)
            frame.loc[number, "uri"] = str(folder / str(number))


def put_subset(spark, warehouse, frame, *, dataset="test", subset_id="some", members=MEMBERS):
    """Write `samples`, `images`, `clip_embeddings`, `caption_overlap` and the subset; returns the members."""
    door = Tables(spark, str(warehouse))
    for name in MAKERS:
        put_table(spark, warehouse, frame, name, dataset=dataset)
    chosen = frame.head(members)
    spec = subset_members.TABLE
    door.create(spec)
    where = {"dataset": dataset, "subset_id": subset_id}
    keys = [
        filled(spec, **where, shard_id=row.shard_id, sample_id=row.sample_id, run_key="k")
        for row in chosen.itertuples()
    ]
    stored = frame_of(spark, spec, keys)
    door.replace_where(spec, stored, where=where)
    door.create(subsets.TABLE)
    row = dict.fromkeys(subsets.TABLE.columns)
    row |= {**where, "definition": subset_id, "seed": 0, "samples": len(frame), "qualifying": members}
    row |= {"members": members, "run_key": "k", "input_key": "i", "assumptions": [], "tables_read": []}
    row |= {"attrition": [], "content_hash": content_hash(stored)}
    door.replace_where(subsets.TABLE, door.rows(subsets.TABLE, [row]), where=where)
    return chosen


def put_table(spark, warehouse, frame, name, *, dataset="test"):
    """Write one of the tables anew from the frame."""
    rows = [filled(TABLES[name], **_row(name, row, dataset)) for row in frame.itertuples()]
    put_rows(Tables(spark, str(warehouse)), TABLES[name], rows, stage=MAKERS[name])


def _row(table, row, dataset):
    key = {"dataset": dataset, "shard_id": row.shard_id, "sample_id": row.sample_id}
    own = {
        "samples": {"source_id": row.source_id, "url": row.url, "caption": row.caption, "width": 64},
        "images": {
            "image_uri": row.uri,
            "image_offset": row.offset,
            "image_length": row.length,
            "image_row": row.row,
            "format": row.format,
            "width": 64,
            "height": 48,
            "sha256": row.sha256,
            "status": row.status,
            "error": None if row.status == "ok" else "gone",
        },
        "clip_embeddings": {"model": "m", "clip_score": row.clip_score},
        "caption_overlap": {"image_type": "no_text", "cotr": 0.0},
    }
    return {**key, **own[table], "run_key": f"{table}-key"}


def put_arms(spark, root):
    """A warehouse of 24 samples of which every second cannot be trained on; returns its place.

    They have a broken image, or a caption without a word; the others no text, or text that their captions repeat.
    """
    frame = drawn(root / "source", count=24)
    frame["caption"] = ["?!" if number % 4 == 1 else f"NO {number}" for number in range(len(frame))]
    put_subset(spark, root / "warehouse", frame)
    tables, spec = Tables(spark, str(root / "warehouse")), caption_overlap.TABLE
    rows = [
        filled(
            spec,
            shard_id=row.shard_id,
            sample_id=row.sample_id,
            run_key="o",
            **(
                {"status": "skipped", "error": "spot_text: damaged"}
                if number % 4 == 3
                else {
                    "image_type": ["no_text", "concurrent"][number % 8 == 2],
                    "text_detected": number % 8 == 2,
                    "spotted_word_count": int(number % 8 == 2),
                    "cotr": None if number % 4 == 1 else float(number % 8 == 2),
                    "cotr_reason": "no_words" if number % 4 == 1 else None,
                }
            ),
        )
        for number, row in enumerate(frame.itertuples())
    ]
    put_rows(tables, spec, rows, stage="overlap")
    for number, uri in enumerate(frame.uri):
        if number % 4 == 3 and number % 3 == 2:  # an image file of its own
            with open(uri, "wb"):
                pass
    return root / "warehouse"


def wanted(to, form, *, warehouse="w", subset="some", **options):
    config = load_config(options={"warehouse": str(warehouse), "dataset": "test"})
    return order(config, subset, ExportOptions(str(to), form, **options))


def build(spark, root):
    """A warehouse with the subset `some`: its place, all samples, and the members in the order of export."""
    frame = drawn(root / "source")
    members = put_subset(spark, root / "warehouse", frame)
    ordered = members.sort_values(["shard_id", "sample_id"]).reset_index(drop=True)
    return SimpleNamespace(warehouse=root / "warehouse", frame=frame, members=ordered, root=root)


def exporter(spark, built):
    """Exports the subset: called with folder, format and options."""

    def run(to, form, **options):
        return run_export(Tables(spark, str(built.warehouse)), wanted(to, form, **options))

    return run


def failing_in(files, error):
    """In place of `FileTask`: workers get a writer that fails in the middle of these files, given by number."""

    def task(*args):
        whole = FileTask(*args)
        honest = whole.format.write

        def write(stream, batches, settings):
            first = next(batches)
            if first.column("file")[0].as_py() in files:
                stream.write(b"half of it")
                raise error
            return honest(stream, itertools.chain([first], batches), settings)

        return replace(whole, format=replace(whole.format, write=write))

    return task
