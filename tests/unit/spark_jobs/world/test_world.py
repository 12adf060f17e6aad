from __future__ import annotations

import io
import json
import random
import re
import tarfile

import numpy as np
import pytest
from PIL import Image

from spark_jobs.demo.captions import TEXT_WORDS
from spark_jobs.demo.lettering import draw_text
from spark_jobs.demo.scenes import COLOURS, SHAPES, SIZES, draw_scene
from spark_jobs.errors import ConfigError, SourceError
from spark_jobs.evaluation.tasks import find_tasks
from spark_jobs.training.export_folder import open_export, take_inventory
from spark_jobs.world import vocabulary
from spark_jobs.world.build import World, parse_mix, write_world
from spark_jobs.world.pictures import KINDS, LARGE, draw_picture, plan_seen_scene
from spark_jobs.world.pool import PoolPlan, write_pool
from spark_jobs.world.tasks import class_tasks

MIX = {"scene": 0.5, "parrot": 0.2, "words": 0.1, "mixed": 0.1, "labelled": 0.1}
WORLD = World(40, 64, mix=MIX, parrots=4, per_class=1, scenes=6)


def contents(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "w"
    assert write_world(folder, WORLD)
    return folder


def pictures(kind, count=60, size=64):
    return [draw_picture(kind, rng=random.Random(f"{kind}{number}"), size=size) for number in range(count)]


def words_of(caption):
    return set(re.findall(r"[a-z0-9]+", caption.lower()))


def test_equal_arguments_give_equal_bytes_whatever_the_number_of_processes(world, tmp_path) -> None:
    plan = PoolPlan("pool", 40, 64, 0, MIX, per_shard=15)
    write_pool(tmp_path / "one", plan, processes=1)
    write_pool(tmp_path / "two", plan, processes=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert not write_world(world, WORLD)
    other = PoolPlan("pool", 40, 64, 1, MIX, per_shard=15)
    write_pool(tmp_path / "other", other, processes=1)
    assert contents(tmp_path / "one")["00000.tar"] != contents(tmp_path / "other")["00000.tar"]


def test_a_larger_pool_begins_with_the_shards_of_a_smaller_one(tmp_path) -> None:
    for name, samples in (("small", 20), ("large", 30)):
        write_pool(tmp_path / name, PoolPlan("pool", samples, 64, 0, MIX, per_shard=10), processes=1)
    small, large = contents(tmp_path / "small"), contents(tmp_path / "large")
    assert [small[f"0000{n}.tar"] == large[f"0000{n}.tar"] for n in (0, 1)] == [True, True]


def test_a_pool_is_an_export_to_train_on(world) -> None:
    export, feed = open_export(str(world / "pool"))
    inventory = take_inventory(export, threads=1)
    assert (feed, inventory.usable, inventory.skipped) == ("webdataset", 40, {})


def test_shares_of_kinds_are_those_asked_for(world) -> None:
    truth = [json.loads(line) for line in (world / "pool-truth.jsonl").read_text().splitlines()]
    found = {kind: sum(row["kind"] == kind for row in truth) for kind in KINDS}
    assert found == {kind: round(share * 40) for kind, share in MIX.items()}
    with tarfile.open(world / "pool" / "00000.tar") as tar:
        captions = {
            name.removesuffix(".txt"): tar.extractfile(name).read().decode()
            for name in tar.getnames()
            if name.endswith(".txt")
        }
    assert captions == {row["key"]: row["caption"] for row in truth}


@pytest.mark.parametrize(
    ("kind", "lowest", "highest"),
    [("scene", 0, 0), ("parrot", 1, 1), ("words", 1, 1), ("mixed", 0.01, 0.99), ("labelled", 0, 0)],
)
def test_captions_stand_in_their_kinds_relation_to_the_words(kind, lowest, highest) -> None:
    for picture in pictures(kind, 30):
        caption = words_of(picture.caption)
        shared = len(caption & {word.lower() for word in picture.words}) / len(caption)
        assert lowest <= shared <= highest
        assert bool(picture.words) == (kind != "scene")


def test_the_pool_never_shows_what_is_held_out() -> None:
    for kind in KINDS:
        for picture in pictures(kind):
            assert not {word.lower() for word in picture.words} & set(vocabulary.HELD_OUT_WORDS)
            pairs = {(item.shape, item.colour) for item in picture.scene.objects}
            assert not pairs & vocabulary.HELD_OUT_PAIRS


def test_vocabulary_parts_share_no_word_and_held_out_pairs_leave_every_shape_and_colour() -> None:
    parts = [vocabulary.FREQUENT_WORDS, vocabulary.RARE_WORDS, vocabulary.HELD_OUT_WORDS]
    assert len({word for part in parts for word in part}) == sum(map(len, parts))
    assert all(word in TEXT_WORDS for part in parts for word in part)
    for place, names in enumerate((SHAPES, COLOURS)):
        assert {pair[place] for pair in vocabulary.HELD_OUT_PAIRS} == set(names)
    assert len(vocabulary.HELD_OUT_PAIRS) < len(SHAPES) * len(COLOURS) / 8


def test_captions_often_name_the_shape_alone() -> None:
    captions = [picture.caption for picture in pictures("scene", 200, size=64)]
    alone = sum(re.sub(r"^.* (?=a )", "", one) in {f"a {shape}" for shape in SHAPES} for one in captions)
    assert 0.25 < alone / len(captions) < 0.45


def test_large_letters_have_eight_pixels_at_the_size_of_training() -> None:
    rng = random.Random(0)
    blank = Image.new("RGB", (64, 64), "white")
    for word in (*vocabulary.FREQUENT_WORDS[:20], *vocabulary.BRANDS):
        _, planted = draw_text(blank, (word.upper(),), rng=rng, letters=LARGE)
        ys = [y for _, y in planted[0].polygon]
        assert max(ys) - min(ys) >= 8


def test_every_word_of_the_world_fits_in_large_letters() -> None:
    words = (*vocabulary.FREQUENT_WORDS, *vocabulary.RARE_WORDS, *vocabulary.HELD_OUT_WORDS)
    blank = Image.new("RGB", (96, 96), "grey")
    for number, word in enumerate(words):
        for casing in (str.upper, str.title):
            draw_text(blank, (casing(word),), rng=random.Random(number), letters=LARGE)


def test_evaluation_sets_are_read_as_clip_benchmarks_folders(world) -> None:
    tasks = {task.name: task for task in find_tasks(world / "tasks")}
    assert set(tasks) == {one.name for one in class_tasks()} | {"world_retrieval"}
    assert tasks["world_retrieval"].image_count() == 6
    for task in class_tasks():
        read = tasks[task.name]
        assert (read.classes, read.templates) == (task.classes, task.templates)
        assert [number for _, number in read.images()] == list(range(len(task.classes)))


def test_scenes_of_a_task_show_the_class_that_they_claim() -> None:
    shape = next(task for task in class_tasks() if task.name == "world_shape")
    rng = random.Random(3)
    drawn = np.asarray(shape.draw(4, rng, 64))
    replay = random.Random(3)
    scene = plan_seen_scene(replay, ("single",))
    while scene.objects[0].shape != shape.classes[4]:
        scene = plan_seen_scene(replay, ("single",))
    assert np.array_equal(drawn, np.asarray(draw_scene(scene, replay, size=64)))


def test_most_single_shapes_are_large_and_within_the_picture() -> None:
    rng = random.Random(5)
    single = [plan_seen_scene(rng, ("single",)).objects[0] for _ in range(400)]
    assert 0.7 < sum(item.size == "large" for item in single) / len(single) < 0.82
    large = [item for item in single if item.size == "large"]
    for item in large:
        assert SIZES["large"][0] <= item.extent <= SIZES["large"][1]
        for centre in (item.x, item.y):
            assert item.extent / 2 <= centre <= 1 - item.extent / 2


def test_pictures_of_tasks_are_small_jpegs_of_the_size_asked_for(world) -> None:
    task = next(task for task in find_tasks(world / "tasks") if task.name == "world_attack")
    data, _ = next(task.images())
    assert Image.open(io.BytesIO(data)).size == (64, 64)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"samples": 0}, "samples: expected at least 1"),
        ({"samples": 5, "size": 32}, "size: expected at least 64 px"),
        ({"samples": 5, "mix": {"scene": 0.5, "sene": 0.5}}, "unknown kinds sene"),
        ({"samples": 5, "mix": {"scene": 0.5}}, "add up to 1"),
    ],
)
def test_arguments_out_of_range_are_named(tmp_path, arguments, fault) -> None:
    with pytest.raises(ConfigError, match=fault):
        write_world(tmp_path / "w", World(**arguments))
    assert not (tmp_path / "w").exists()


def test_other_folders_are_left_alone(world, tmp_path) -> None:
    with pytest.raises(SourceError, match="other arguments"):
        write_world(world, World(41, 64, mix=MIX))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SourceError, match="expected a new folder"):
        write_world(tmp_path, WORLD)
    assert parse_mix("scene=0.5,words=0.5") == {"scene": 0.5, "words": 0.5}
    with pytest.raises(ConfigError, match="kind=share"):
        parse_mix("scene")
