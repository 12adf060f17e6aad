"""Chunks in flight: when each begins and is finished."""

from __future__ import annotations

import pytest

from spark_jobs.runner.in_flight import in_turns


def turns(items, *, most):
    """What happened, in order."""
    happened = []

    def begin(item):
        happened.append(("begin", item))
        return item

    in_turns(
        items, begin=begin, finish=lambda item: happened.append(("finish", item)), abandon=fail, most=most
    )
    return happened


def fail(item):
    raise AssertionError(f"{item} is not to be abandoned")


def test_the_next_item_has_begun_when_one_is_finished():
    assert turns("abc", most=2) == [
        ("begin", "a"),
        ("begin", "b"),
        ("finish", "a"),
        ("begin", "c"),
        ("finish", "b"),
        ("finish", "c"),
    ]


def test_one_in_flight_is_one_after_the_other():
    assert turns("ab", most=1) == [("begin", "a"), ("finish", "a"), ("begin", "b"), ("finish", "b")]


@pytest.mark.parametrize("most", [1, 2, 3, 9])
def test_each_item_is_finished_once_in_its_order(most):
    happened = turns("abcde", most=most)
    assert [item for what, item in happened if what == "finish"] == list("abcde")
    open_at_once = [sum(1 if what == "begin" else -1 for what, _ in happened[:n]) for n in range(11)]
    assert max(open_at_once) == min(most, 5)


def test_an_item_is_asked_for_just_before_it_begins():
    """Its size depends on the rate of those that are finished."""
    finished = []
    seen = []

    def items():
        for item in "abcd":
            seen.append((item, list(finished)))
            yield item

    in_turns(items(), begin=lambda item: item, finish=finished.append, abandon=fail, most=2)
    assert seen == [("a", []), ("b", []), ("c", ["a"]), ("d", ["a", "b"])]


def test_nothing_is_begun_or_finished_after_an_item_that_cannot_be_finished():
    begun, abandoned, asked = [], [], []

    def finish(item):
        asked.append(item)
        raise ValueError(item)

    with pytest.raises(ValueError, match="a"):
        in_turns(
            "abcd",
            begin=lambda item: begun.append(item) or item,
            finish=finish,
            abandon=abandoned.append,
            most=2,
        )
    assert (begun, asked, abandoned) == (["a", "b"], ["a"], ["a", "b"])


def test_the_last_item_may_fail_too():
    finished, abandoned = [], []

    def finish(item):
        if item == "c":
            raise ValueError(item)
        finished.append(item)

    with pytest.raises(ValueError, match="c"):
        in_turns("abc", begin=str, finish=finish, abandon=abandoned.append, most=2)
    assert (finished, abandoned) == (["a", "b"], ["c"])


def test_what_was_begun_is_finished_where_a_later_item_cannot_begin():
    finished = []

    def begin(item):
        if item == "c":
            raise OSError("the machine died")
        return item

    with pytest.raises(OSError, match="died"):
        in_turns("abcd", begin=begin, finish=finished.append, abandon=fail, most=2)
    assert finished == ["a", "b"]


def test_an_interrupted_wait_abandons_all_that_is_in_flight():
    abandoned = []

    def finish(item):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_turns("abcd", begin=str, finish=finish, abandon=abandoned.append, most=3)
    assert abandoned == ["a", "b", "c"]
