"""Stage `download` against a loopback server that is slow, broken, lying and forbidding."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from schemas import clip_embeddings, images, samples
from spark_jobs.errors import StageError
from spark_jobs.stages import download, embed, ingest
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from tests.builders import image_bytes, png_that_claims, sound_pairs, write_shard
from tests.loopback import serving

pytest.importorskip("img2dataset", reason="the extra `download` is not installed")

ROBOTS = "failed_to_download: Use of image disallowed by X-Robots-Tag directive"
# (kind of answer, image, what the row's error begins with; None: ok)
SOUND_SHARD = [("ok", "0", None), ("ok", "1", None), ("nofollow", "2", None)]
FAULTY_SHARD = [
    ("ok", "3", None),
    ("redirect", "4", None),
    ("wrong_type", "5", None),
    ("ok", "png", None),
    ("ok", "turned", None),
    ("flaky", "6", "failed_to_download: HTTP Error 503: Service Unavailable"),
    ("flaky", "7", "failed_to_download: HTTP Error 503: Service Unavailable"),
    ("missing", "8", "failed_to_download: HTTP Error 404: Not Found"),
    ("noai", "9", ROBOTS),
    ("loop", "10", "failed_to_download: HTTP Error 302:"),
    ("to_file", "11", "failed_to_download: HTTP Error 302:"),
    ("html", "12", "failed_to_resize: format not supported"),
    ("ok", "bomb", "failed_to_resize: image of 60000 x 60000 px exceeds the limit"),
    ("cut", "13", "failed_to_resize: Image decoding error"),
    ("promises_more", "14", "failed_to_download: IncompleteRead("),
    ("huge", "15", f"failed_to_download: body of {1 << 40} bytes exceeds the limit of 50000 bytes"),
    ("endless", "16", "failed_to_download: body exceeds the limit of 50000 bytes"),
    ("drip", "17", "failed_to_download: download took longer than 3 s"),
    ("drip_header", "18", "failed_to_download: download took longer than 3 s"),
    ("silent", "19", "failed_to_download: timed out"),
    ("hang_up", "20", "failed_to_download: Remote end closed connection"),
]


def served_images():
    numbered = {str(n): image_bytes(size=(200, 150), color=(n * 11, 90, 60)) for n in range(21)}
    odd = {
        "png": image_bytes("PNG", size=(200, 150)),
        "turned": image_bytes(size=(200, 150), orientation=6),
        "bomb": png_that_claims(60_000, 60_000),
    }
    return {**numbered, **odd}


@pytest.fixture(scope="module")
def server():
    with serving(served_images()) as server:
        yield server


def write_tsv(folder, name, server, rows):
    folder.mkdir(exist_ok=True)
    lines = [f"{server.address(kind, image)}\tcaption of {kind} {image}\n" for kind, image, _ in rows]
    (folder / name).write_text("".join(lines))


def configured(config, source, **settings):
    updates = {
        "threads": 16, "timeout_seconds": 1.5, "total_seconds": 3, "image_size": 128, **settings
    }  # fmt: skip
    return config.model_copy(
        update={
            "source": str(source),
            "download": config.download.model_copy(update=updates),
            "images": config.images.model_copy(update={"max_bytes": 50_000}),
            "embed": config.embed.model_copy(update={"batch_size": 4}),
        }
    )


def image_rows(spark, config):
    """Rows of the current `images` by the end of their URL."""
    tables = Tables(spark, config.warehouse)
    run_key = current_run_keys(tables)["test", "images"]
    urls = {row["sample_id"]: row["url"] for row in tables.read(samples.TABLE).collect()}
    rows = tables.read(images.TABLE, run_key=run_key).collect()
    assert len(rows) == len({row["sample_id"] for row in rows}) == len(urls)
    return {"/".join(urls[row["sample_id"]].split("/")[3:]): row for row in rows}


def stored_bytes(row):
    data = Path(row["image_uri"]).read_bytes()
    return data[row["image_offset"] :][: row["image_length"]]


def test_every_sample_is_accounted_for_and_a_rerun_repairs_what_can_be(spark, config, server, tmp_path):
    write_tsv(tmp_path / "source", "a.tsv", server, SOUND_SHARD)
    write_tsv(tmp_path / "source", "b.tsv", server, FAULTY_SHARD)
    config = configured(config, tmp_path / "source")
    ingest.run(spark, config)
    with pytest.raises(StageError, match=r"^24 samples .* have only URLs; .*`parrot run download`"):
        embed.run(spark, config)
    report = download.run(spark, config)
    expected = {f"{kind}/{name}": error for kind, name, error in SOUND_SHARD + FAULTY_SHARD}
    rows = image_rows(spark, config)
    assert set(rows) == set(expected)
    for path, error in expected.items():
        found = rows[path]["error"]
        assert found is None if error is None else (found or "").startswith(error), (path, found)
    assert (report.rows, report.failed) == (24, 16)
    check_stored(rows, server)

    # Nothing left to do: no request, no commit; ingest does not take `images` back.
    asked = dict(server.asked)
    assert download.run(spark, config).did_nothing
    assert ingest.run(spark, config).did_nothing
    assert server.asked == asked
    embedded = embed.run(spark, config)
    assert (embedded.rows, embedded.skipped, embedded.failed) == (24, 16, 0)

    # The rerun asks for failed images alone, and repairs those that can be had now.
    server.repaired = True
    again = config.model_copy(update={"retry_failed": True})
    repaired = download.run(spark, again)
    assert (repaired.rows, repaired.failed) == (21, 14)
    after = image_rows(spark, config)
    assert {path for path, row in after.items() if row != rows[path]} == {"flaky/6", "flaky/7"}
    assert all(server.asked[f"/{path}"] == 1 for path, error in expected.items() if error is None)
    assert server.asked["/flaky/6"] == 2
    embedded = embed.run(spark, config)
    assert (embedded.shards_done, embedded.shards_kept, embedded.skipped) == (1, 1, 14)
    vectors = Tables(spark, config.warehouse).read(clip_embeddings.TABLE)
    assert vectors.where("status = 'ok'").count() == 10


def check_stored(rows, server):
    for path, row in rows.items():
        if row["status"] != "ok":
            continue
        data = stored_bytes(row)
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        size = (96, 128) if path == "ok/turned" else (128, 96)  # upright, the longer side 128 px
        assert Image.open(io.BytesIO(data)).size == (row["width"], row["height"]) == size
        assert row["format"] == "JPEG"
    tar = Path(rows["ok/3"]["image_uri"])
    with tarfile.open(tar) as archive:
        names = archive.getnames()
    assert sum(name.endswith(".jpg") for name in names) == 5
    assert tar.with_suffix(".parquet").is_file()
    assert tar.with_name(f"{tar.stem}_stats.json").is_file()


def test_images_that_ingest_found_are_taken_over_and_not_asked_for(spark, config, server, tmp_path):
    write_shard(tmp_path / "tars", sound_pairs(3))
    config = configured(config, tmp_path / "tars", disallowed_directives=())
    ingest.run(spark, config)
    report = download.run(spark, config)
    assert report.did_nothing
    assert report.notes == ["every sample has its image: nothing to download"]

    write_tsv(tmp_path / "urls", "a.tsv", server, [("noai", "1", None)])
    ingest.run(spark, config.model_copy(update={"source": str(tmp_path / "urls")}))
    before = Tables(spark, config.warehouse).read(images.TABLE).collect()
    assert download.run(spark, config).rows == 4
    rows = image_rows(spark, config).values()
    assert [row["status"] for row in rows] == ["ok"] * 4, "opt-outs are respected by default only"
    places = {(row["image_uri"], row["image_offset"], row["sha256"]) for row in rows}
    assert {(row["image_uri"], row["image_offset"], row["sha256"]) for row in before} < places


def test_without_a_network_nothing_is_marked_as_failed(spark, config, server, tmp_path):
    write_tsv(tmp_path / "source", "a.tsv", server, [("missing", str(n), "") for n in range(12)])
    config = configured(config, tmp_path / "source")
    ingest.run(spark, config)
    with pytest.raises(StageError, match=r"12 of 12 samples .* download\.max_failed_share=0\.95"):
        download.run(spark, config)
    assert Tables(spark, config.warehouse).read(images.TABLE).count() == 0
