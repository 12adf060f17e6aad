"""The Arrow adapter without Spark: record batches in, record batches out, a counting model between."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pytest

from tests.builders import image_bytes
from tests.crashing_decoder import order
from udfs import adapter, guarded_decode
from udfs.adapter import ImageTask, map_images, predict_all
from udfs.image_codec import DecodeLimits

OUTPUT = pa.schema(
    [
        ("shard_id", pa.string()),
        ("sample_id", pa.string()),
        ("model", pa.string()),
        ("brightness", pa.float64()),
        ("batch_rows", pa.int32()),
        ("status", pa.string()),
        ("error", pa.string()),
        *[(f"{phase}_seconds", pa.float64()) for phase in adapter.PHASES],
    ]
)
INPUT = pa.schema(
    [
        ("shard_id", pa.string()),
        ("sample_id", pa.string()),
        ("batch", pa.int32()),
        ("skip_reason", pa.string()),
        ("image_uri", pa.string()),
        ("image_offset", pa.int64()),
        ("image_length", pa.int64()),
        ("image_row", pa.int64()),
        ("caption", pa.string()),
    ]
)


class Brightness:
    """Measures the first pixel of an image; captions make it fail in several ways."""

    largest_batch = 10**6

    def prepare(self, image, data=None):
        return float(image[0, 0, 0])

    def predict(self, prepared, rows):
        captions = [row["caption"] for row in rows]
        if "poison" in captions:
            raise ValueError("this image breaks the model")
        if len(rows) > self.largest_batch or "too big" in captions:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return [{"brightness": value, "batch_rows": len(rows)} for value in prepared]


@dataclass(frozen=True)
class Factory:
    loads: list = None
    largest_batch: int = 10**6

    def __hash__(self):
        return id(self)

    def load(self):
        if self.loads is not None:
            self.loads.append(1)
        model = Brightness()
        model.largest_batch = self.largest_batch
        return model


@pytest.fixture(autouse=True)
def no_loaded_model():
    adapter._loaded.clear()
    yield
    adapter._loaded.clear()


@pytest.fixture
def images(tmp_path):
    """Seven grey images, the third one damaged."""
    paths = []
    for n in range(7):
        path = tmp_path / f"{n}.png"
        path.write_bytes(
            b"\x89PNG damaged" if n == 2 else image_bytes("PNG", size=(8, 8), color=(n * 10,) * 3)
        )
        paths.append(str(path))
    return paths


def rows_of(images, *, batch_size, captions=None, skipped=()):
    return [
        {
            "shard_id": "0",
            "sample_id": str(n),
            "batch": n // batch_size,
            "skip_reason": "image: 404" if n in skipped else None,
            "image_uri": path,
            "image_offset": None,
            "image_length": None,
            "image_row": None,
            "caption": (captions or {}).get(n, "a caption"),
        }
        for n, path in enumerate(images)
    ]


def run(rows, factory=None, *, arrow_batch=100, limits=None):
    task = ImageTask(
        factory or Factory(), OUTPUT, constants=(("model", "m"),), limits=limits or DecodeLimits()
    )
    batches = [
        pa.RecordBatch.from_pylist(rows[first : first + arrow_batch], schema=INPUT)
        for first in range(0, len(rows), arrow_batch)
    ]
    return [row for batch in map_images(task)(iter(batches)) for row in batch.to_pylist()]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("arrow_batch", [1, 2, 100])
def test_same_rows_in_the_same_order_whatever_the_batches(images, batch_size, arrow_batch):
    out = run(rows_of(images, batch_size=batch_size), arrow_batch=arrow_batch)
    assert [row["sample_id"] for row in out] == [str(n) for n in range(7)]
    assert [row["brightness"] for row in out] == [0.0, 10.0, None, 30.0, 40.0, 50.0, 60.0]
    assert [row["status"] for row in out] == ["ok", "ok", "failed", "ok", "ok", "ok", "ok"]
    assert {row["model"] for row in out} == {"m"}


def test_model_batches_are_those_the_input_names(images):
    out = run(rows_of(images, batch_size=3), arrow_batch=2)
    assert [row["batch_rows"] for row in out] == [2, 2, None, 3, 3, 3, 1]  # the damaged image is in the first


def test_a_damaged_image_is_a_row_with_its_reason(images):
    row = run(rows_of(images, batch_size=64))[2]
    assert row["status"] == "failed"
    assert "cannot be decoded" in row["error"]
    assert row["brightness"] is None


@pytest.fixture
def crashing_decoders(monkeypatch):
    """Decoder processes that die as their file asks; those that are left are ended."""
    monkeypatch.setattr(guarded_decode._Child, "codec", "tests.crashing_decoder")
    monkeypatch.setattr(guarded_decode, "_idle", [])
    yield
    for child in guarded_decode._idle:
        child.end()


def test_a_file_that_kills_its_decoder_costs_its_own_row_only(images, tmp_path, crashing_decoders):
    for n, text in ((1, "signal 11"), (4, "sleep 60"), (5, "fine")):
        (tmp_path / f"{n}.png").write_bytes(order(text))
    out = run(rows_of(images, batch_size=3), limits=DecodeLimits(seconds=1))
    assert [row["status"] for row in out] == ["ok", "failed", "failed", "ok", "failed", "ok", "ok"]
    assert out[1]["error"] == "decoder crashed (signal 11)"
    assert out[4]["error"] == "decoding took longer than 1 s"


def test_a_model_gets_no_suspicious_file_to_open_again(tmp_path):
    given = {}

    class Noting(Brightness):
        def prepare(self, image, data=None):
            given[image.shape[1]] = data
            return 0.0

    class NotingFactory:
        def load(self):
            return Noting()

    files = {20: image_bytes("JPEG", size=(20, 8)), 30: image_bytes("TIFF", size=(30, 8))}
    for width, data in files.items():
        (tmp_path / f"{width}.jpg").write_bytes(data)
    run(rows_of([str(tmp_path / f"{width}.jpg") for width in files], batch_size=2), NotingFactory())
    assert given == {20: files[20], 30: None}


def test_an_image_that_a_model_cannot_prepare_costs_its_own_row_only(images):
    class Fussy(Brightness):
        def prepare(self, image, data=None):
            if image[0, 0, 0] == 30:
                raise OverflowError("too dull")
            return float(image[0, 0, 0])

    class FussyFactory:
        def load(self):
            return Fussy()

    out = run(rows_of(images, batch_size=64), FussyFactory())
    assert [row["status"] for row in out] == ["ok", "ok", "failed", "failed", "ok", "ok", "ok"]
    assert out[3]["error"] == "model: OverflowError: too dull"


def test_an_unreadable_file_is_a_row_with_its_reason(images):
    rows = rows_of([*images, "/nowhere/gone.png"], batch_size=64)
    assert "cannot read /nowhere/gone.png" in run(rows)[7]["error"]


def test_skipped_rows_keep_their_reason_and_load_no_model(images):
    loads = []
    out = run(rows_of(images, batch_size=3, skipped=range(7)), Factory(loads))
    assert {(row["status"], row["error"]) for row in out} == {("skipped", "image: 404")}
    assert loads == []


def test_an_image_that_breaks_the_model_costs_its_own_row_only(images):
    out = run(rows_of(images, batch_size=64, captions={4: "poison"}))
    assert [row["status"] for row in out] == ["ok", "ok", "failed", "ok", "failed", "ok", "ok"]
    assert out[4]["error"] == "model: ValueError: this image breaks the model"


def test_out_of_memory_halves_the_batch(images):
    out = run(rows_of(images, batch_size=64), Factory(largest_batch=2))
    assert [row["status"] for row in out].count("ok") == 6
    assert max(row["batch_rows"] or 0 for row in out) == 2


def test_out_of_memory_on_a_single_image_fails_the_task(images):
    with pytest.raises(RuntimeError, match=r"out of memory on a single image \(sample 5\)"):
        run(rows_of(images, batch_size=64, captions={5: "too big"}))


def test_the_model_is_loaded_once_per_process(images):
    loads = []
    factory = Factory(loads)
    for _ in range(2):
        run(rows_of(images, batch_size=1), factory)
    assert len(loads) == 1


def test_an_image_over_the_limit_is_a_row(images):
    out = run(rows_of(images, batch_size=64), limits=DecodeLimits(max_pixels=10))
    assert {row["status"] for row in out} == {"failed"}
    assert "8 x 8 px exceeds the limit of 10 pixels" in out[0]["error"]


def test_an_empty_partition_gives_nothing():
    assert run([]) == []


def test_seconds_are_counted_once_per_batch(images):
    out = run(rows_of(images, batch_size=3))
    assert [row["decode_seconds"] > 0 for row in out] == [True, False, False] * 2 + [True]


def test_predictions_keep_their_order_when_one_fails():
    class Fussy:
        def predict(self, prepared, rows):
            if 13 in prepared:
                raise KeyError("13")
            return [{"value": item} for item in prepared]

    outcomes = predict_all(Fussy(), list(range(10, 20)), [{}] * 10)
    assert [outcome if isinstance(outcome, dict) else None for outcome in outcomes] == [
        None if value == 13 else {"value": value} for value in range(10, 20)
    ]
    assert isinstance(outcomes[3], KeyError)
