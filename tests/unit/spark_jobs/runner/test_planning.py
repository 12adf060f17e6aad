"""Which shards a stage works on, and in which chunks: without Spark."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from schemas import images, samples, spotted_text
from spark_jobs.errors import StageError
from spark_jobs.runner.pending import (
    Input,
    InputShards,
    Plan,
    Shard,
    chunks_of,
    joined_shards,
    planned,
    sample_shards,
    upstream_of,
)

SAMPLES, IMAGES, TEXT = (Input(spec.TABLE, {}) for spec in (samples, images, spotted_text))
EMPTY = Plan("key", {})


def shards(**keys: str) -> list[Shard]:
    return [Shard(name, 10, key) for name, key in keys.items()]


def test_a_shard_is_pending_where_its_input_is_not_what_its_output_came_from():
    inputs = InputShards(shards(a="1", b="2", c="3"), [], {})
    plan = planned(EMPTY, inputs, {"a": ("1", 0), "b": ("old", 4)}, limit=None)
    assert [shard.shard_id for shard in plan.pending] == ["b", "c"]
    assert (plan.kept, plan.kept_samples, plan.retries, plan.orphans) == (1, 10, [], [])


def test_failed_rows_of_kept_shards_can_be_retried_and_pending_ones_are_not_retried_twice():
    inputs = InputShards(shards(a="1", b="2"), [], {})
    plan = planned(EMPTY, inputs, {"a": ("1", 2), "b": ("old", 2)}, limit=None)
    assert [shard.shard_id for shard in plan.retries] == ["a"]


def test_a_shard_without_input_is_an_orphan_but_not_while_it_waits():
    inputs = InputShards(shards(a="1"), ["b"], {"images": 3})
    plan = planned(EMPTY, inputs, {"a": ("1", 0), "b": ("2", 0), "c": ("3", 0)}, limit=None)
    assert plan.orphans == ["c"]


def test_a_limit_takes_the_same_shards_at_every_call_and_leaves_the_others_alone():
    names = [f"{number:03}" for number in range(20)]
    inputs = InputShards([Shard(name, 1, "new") for name in names], [], {})
    plan = planned(EMPTY, inputs, dict.fromkeys(names, ("old", 1)), limit=5)
    lowest = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:5]
    assert [shard.shard_id for shard in plan.pending] == sorted(lowest)
    assert (plan.kept, plan.retries, plan.orphans) == (0, [], [])
    more = sample_shards(dict.fromkeys(names), 6)
    assert set(lowest) < set(more)


def test_a_shard_is_ready_when_every_input_holds_all_its_samples():
    per_input = [{"a": (2, "x"), "b": (3, "y"), "c": (1, "z")}, {"a": (2, "1"), "b": (1, "2")}]
    found = joined_shards([SAMPLES, IMAGES], per_input)
    assert [(shard.shard_id, shard.samples) for shard in found.ready] == [("a", 2)]
    assert found.waiting == ["b", "c"]
    assert found.lacking == {"images": 3}


def test_an_optional_input_never_lets_a_shard_wait_but_decides_its_key():
    optional = Input(images.TABLE, {}, optional=True)
    without, with_rows = (
        joined_shards([SAMPLES, optional], [{"a": (2, "x")}, found]) for found in ({}, {"a": (1, "1")})
    )
    assert [one.waiting for one in (without, with_rows)] == [[], []]
    assert without.ready[0].input_key != with_rows.ready[0].input_key


def test_the_input_key_changes_with_each_input():
    keys = {
        joined_shards([SAMPLES, TEXT], [{"a": (1, first)}, {"a": (1, second)}]).ready[0].input_key
        for first, second in itertools.product("xy", repeat=2)
    }
    assert len(keys) == 4


def test_chunks_grow_to_what_the_rate_allows_and_never_shrink():
    rates = iter([5.0, 1.0, 1.0, 1.0])
    cut = chunks_of(shards(**dict.fromkeys("abcdefg", "k")), first=15, seconds=6, rate=lambda: next(rates))
    assert [[shard.shard_id for shard in chunk] for chunk in cut] == [["a"], ["b", "c", "d"], ["e", "f", "g"]]


def test_chunks_of_a_fixed_size_hold_one_shard_at_least():
    cut = chunks_of(shards(**dict.fromkeys("abc", "k")), first=1, seconds=None, rate=lambda: 1e9)
    assert [len(chunk) for chunk in cut] == [1, 1, 1]
    assert list(chunks_of([], first=1, seconds=None, rate=lambda: 1.0)) == []


def test_a_missing_table_is_told_with_the_stage_that_makes_it():
    with pytest.raises(StageError, match="parrot run spot_text") as raised:
        upstream_of({("other", "samples"): "k", ("d", "samples"): "k"}, "d", (SAMPLES, TEXT))
    assert "d, other" in str(raised.value)


def test_an_input_that_names_a_run_key_is_read_under_it():
    own = Input(samples.TABLE, {}, run_key="own")
    current = {("d", "samples"): "now", ("d", "images"): "now"}
    assert upstream_of(current, "d", (own, IMAGES)) == {"samples": "own", "images": "now"}
