"""Feeds of training: each sample once per epoch, whatever the feed and the number of processes."""

import io
import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from spark_jobs.errors import ExportError
from spark_jobs.training.crops import crop_box, prepared
from spark_jobs.training.export_folder import (
    NO_CAPTION,
    NO_IMAGE,
    NOT_DECODED,
    Inventory,
    open_export,
    take_inventory,
)
from spark_jobs.training.feeds.base import FeedSpec, shuffled
from spark_jobs.training.feeds.choose import open_feed
from spark_jobs.training.feeds.shares import share_of
from tests.builders import image_bytes
from tests.training_export import sample_id_of, write_export

# petastorm calls what pyarrow 14 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
SIZE, PAIRS = 8, 23
FEEDS = ["parquet", "webdataset", "petastorm"]
CUT = image_bytes(size=(64, 64))[:300]
# By number: an image that is cut short, one that could not be read, a caption that says nothing.
FAULTY = {3: NOT_DECODED, 11: NO_IMAGE, 17: NO_CAPTION}
SOUND = {sample_id_of(number) for number in range(PAIRS) if number not in FAULTY}


def pairs():
    for number in range(PAIRS):
        data = image_bytes(("JPEG", "PNG")[number % 2], size=(16, 12), color=(number * 9 % 256, 80, 40))
        fault = FAULTY.get(number)
        data = {NOT_DECODED: CUT, NO_IMAGE: None}.get(fault, data)
        yield data, " " if fault == NO_CAPTION else f"picture {number}"


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    root = tmp_path_factory.mktemp("exports")
    return {
        form: write_export(root / form, list(pairs()), form=form, rows_per_file=6)
        for form in ("parquet", "webdataset")
    }


def spec_of(exports, feed, **values):
    form = "webdataset" if feed == "webdataset" else "parquet"
    export, _ = open_export(exports[form])
    defaults = {
        "export": export,
        "inventory": take_inventory(export, threads=1),
        "rank": 0,
        "world": 1,
        "batch": 1,
        "size": SIZE,
        "smallest_crop": 0.9,
        "seed": 5,
        "shuffle_buffer": 7,
        "threads": 2,
    }
    return FeedSpec(**{**defaults, **values})


def tokens(captions):
    return torch.tensor([[int(caption.split()[-1])] for caption in captions])


def taken(feed, spec, count, first_step=0):
    """The first batches of a feed."""
    if feed == "petastorm":
        pytest.importorskip("petastorm", reason="petastorm lives in .venv-train")
    batches = open_feed(feed, spec, tokens).batches(first_step)
    found = list(itertools.islice(batches, count))
    batches.close()
    return found


def ids_of(batches):
    return [sample_id for batch in batches for sample_id in batch.sample_ids]


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("feed", ["webdataset", "petastorm"])
def test_a_share_holds_each_of_its_samples_once_per_epoch(exports, feed, world):
    whole = spec_of(exports, feed, world=world)
    seen = Counter()
    for rank in range(world):
        # Two epochs: the second follows the first without a gap, also where shares differ by one.
        own = sum(len(piece.rows) for piece in share_of(whole.inventory, rank, world))
        assert own in (len(SOUND) // world, -(-len(SOUND) // world))
        seen.update(ids_of(taken(feed, replace(whole, rank=rank), 2 * own)))
    assert seen == Counter(dict.fromkeys(SOUND, 2))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_that_share_batches_see_each_sample_once_per_epoch(exports, world):
    whole = spec_of(exports, "parquet", world=world)
    steps = -(-2 * len(SOUND) // world)
    ranks = [ids_of(taken("parquet", replace(whole, rank=rank), steps)) for rank in range(world)]
    in_order = [sample_id for step in zip(*ranks, strict=True) for sample_id in step]
    for epoch in (0, 1):
        assert Counter(in_order[epoch * len(SOUND) : (epoch + 1) * len(SOUND)]) == Counter(SOUND)


@pytest.mark.parametrize("feed", FEEDS)
def test_pairs_stay_together_and_pixels_are_the_same_for_all_feeds(exports, feed):
    (batch,) = taken(feed, spec_of(exports, feed, batch=len(SOUND)), 1)
    assert batch.images.shape == (len(SOUND), 3, SIZE, SIZE)
    assert batch.images.dtype == torch.uint8
    assert batch.waited > 0
    files = dict(enumerate(pairs()))
    for pixels, (number,), sample_id in zip(
        batch.images, batch.tokens.tolist(), batch.sample_ids, strict=True
    ):
        assert sample_id == sample_id_of(number)
        key = (5, 0, int(sample_id[:15], 16))
        expected = prepared(files[number][0], size=SIZE, smallest_crop=0.9, key=key)
        assert np.array_equal(pixels.numpy(), expected)


@pytest.mark.parametrize("feed", FEEDS)
def test_a_feed_goes_on_from_any_step_as_if_it_had_never_stopped(exports, feed):
    spec = spec_of(exports, feed, batch=3, rank=1, world=2)
    at_once = taken(feed, spec, 9)
    later = taken(feed, spec, 4, first_step=5)
    assert ids_of(later) == ids_of(at_once[5:])
    for one, other in zip(at_once[5:], later, strict=True):
        assert torch.equal(one.images, other.images)


def test_parquet_gives_the_same_batches_to_one_process_and_to_two(exports):
    alone = taken("parquet", spec_of(exports, "parquet", batch=4), 12)
    halves = [
        taken("parquet", spec_of(exports, "parquet", batch=2, rank=rank, world=2), 12) for rank in (0, 1)
    ]
    assert [batch.sample_ids for batch in alone] == [
        first.sample_ids + second.sample_ids for first, second in zip(*halves, strict=True)
    ]


@pytest.mark.parametrize("feed", FEEDS)
def test_order_differs_by_epoch_and_seed(exports, feed):
    spec = spec_of(exports, feed, batch=len(SOUND))
    first, second = (batch.sample_ids for batch in taken(feed, spec, 2))
    (other,) = (batch.sample_ids for batch in taken(feed, replace(spec, seed=6), 1))
    assert len({first, second, other}) == 3


@pytest.mark.parametrize("form", ["parquet", "webdataset"])
def test_what_cannot_be_trained_on_is_named_with_its_reason(exports, form):
    inventory = take_inventory(open_export(exports[form])[0], threads=2)
    found = {entry for chunk in inventory.chunks for entry in chunk.skipped.values()}
    expected = {(sample_id_of(number), reason) for number, reason in FAULTY.items()}
    if form == "webdataset":  # tars lack what could not be read
        expected -= {(sample_id_of(11), NO_IMAGE)}
    assert found == expected
    assert inventory.usable == len(SOUND)
    assert sum(inventory.skipped.values()) == len(expected)
    assert Inventory.parse(inventory.to_json()) == inventory


def test_shares_are_equal_and_disjoint(exports):
    inventory = spec_of(exports, "parquet").inventory
    for world in range(1, 8):
        shares = [share_of(inventory, rank, world) for rank in range(world)]
        rows = [(p.chunk.file, p.chunk.group, row) for share in shares for p in share for row in p.rows]
        assert len(rows) == len(set(rows)) == len(SOUND)
        sizes = {sum(len(piece.rows) for piece in share) for share in shares}
        assert max(sizes) - min(sizes) <= 1


def test_an_image_that_no_longer_decodes_stops_the_feed(exports):
    spec = spec_of(exports, "parquet", batch=2)
    chunks = tuple(replace(chunk, skipped={}) for chunk in spec.inventory.chunks)
    with pytest.raises((ValueError, TypeError, AttributeError)):
        taken("parquet", replace(spec, inventory=Inventory(chunks)), PAIRS)


def test_an_altered_export_is_refused(exports, tmp_path):
    folder = write_export(tmp_path / "altered", list(pairs())[:4])
    file = tmp_path / "altered" / "part-00000.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(ExportError, match=r"not what its manifest says.*part-00000.parquet, altered"):
        open_export(folder)


def test_exports_that_cannot_be_trained_on_are_refused(exports, tmp_path):
    with pytest.raises(ExportError, match="no export in"):
        open_export(str(tmp_path))
    with pytest.raises(ExportError, match="does not read parquet"):
        open_export(exports["parquet"], "webdataset")
    with pytest.raises(ExportError, match="is a URI"):
        open_export("s3://bucket/export")
    assert open_export(exports["webdataset"])[1] == "webdataset"
    assert open_export(exports["parquet"], "petastorm")[1] == "petastorm"


def test_crops_keep_to_area_and_ratio():
    rng = np.random.default_rng(0)
    for _ in range(300):
        left, top, right, bottom = crop_box(90, 80, smallest=0.5, rng=rng)
        assert 0 <= left < right <= 90
        assert 0 <= top < bottom <= 80
        assert 0.49 <= (right - left) * (bottom - top) / 7200 <= 1
        assert 0.74 <= (right - left) / (bottom - top) <= 1.36
    assert crop_box(90, 80, smallest=1.0, rng=rng) == (0, 0, 90, 80)
    assert crop_box(1000, 10, smallest=0.9, rng=rng) == (
        493,
        0,
        506,
        10,
    )  # no crop of it has a ratio that is allowed


def test_whole_images_are_scaled_as_pillow_scales_them():
    data = image_bytes("PNG", size=(40, 30))
    expected = Image.open(io.BytesIO(data)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    found = prepared(data, size=SIZE, smallest_crop=1.0, key=(1,))
    assert np.array_equal(found.transpose(1, 2, 0), np.asarray(expected))


def test_shuffled_keeps_all_items():
    for size in (1, 3, 100):
        found = list(shuffled(iter(range(20)), size, np.random.default_rng(1)))
        assert sorted(found) == list(range(20))
        assert (found == list(range(20))) == (size == 1)
