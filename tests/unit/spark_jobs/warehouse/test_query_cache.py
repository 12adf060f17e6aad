from __future__ import annotations

from dataclasses import replace

import pytest

from spark_jobs.warehouse.query_cache import QueryCache, Question

QUESTION = Question("rows", version=1).of(run_key="r1")


def test_an_answer_lives_on_for_the_state_it_was_given_of(tmp_path):
    QueryCache(tmp_path).keep("samples", QUESTION, state="id 1", answer=[["0", 2]])
    for answers in (QueryCache(tmp_path), QueryCache(tmp_path)):
        assert answers.find("samples", QUESTION, "id 1") == (True, [["0", 2]])
        assert answers.find("samples", QUESTION, "id 2") == (False, None)
        assert answers.find("images", QUESTION, "id 1") == (False, None)
        assert answers.find("samples", QUESTION.of(run_key="r2"), "id 1") == (False, None)


def test_an_answer_of_an_older_query_is_none(tmp_path):
    QueryCache(tmp_path).keep("samples", QUESTION, state="id 1", answer=1)
    changed = replace(QUESTION, version=2)
    assert QueryCache(tmp_path).find("samples", changed, "id 1") == (False, None)
    assert QueryCache(tmp_path).find("samples", QUESTION, "id 1") == (True, 1)


def test_a_newer_answer_takes_the_place_of_the_older_one(tmp_path):
    answers = QueryCache(tmp_path)
    for state, answer in (("id 1", 1), ("id 2", None)):
        answers.keep("samples", QUESTION, state=state, answer=answer)
    assert answers.find("samples", QUESTION, "id 1") == (False, None)
    assert answers.find("samples", QUESTION, "id 2") == (True, None)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"state": "id 1"}', "\\x00"])
def test_a_damaged_file_is_no_answer(tmp_path, content):
    QueryCache(tmp_path).keep("samples", QUESTION, state="id 1", answer=1)
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    assert QueryCache(tmp_path).find("samples", QUESTION, "id 1") == (False, None)


def test_a_folder_that_cannot_be_written_costs_the_answer_only(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    answers = QueryCache(tmp_path / "file" / "answers")
    answers.keep("samples", QUESTION, state="id 1", answer=1)
    assert answers.find("samples", QUESTION, "id 1") == (True, 1)
    assert QueryCache(tmp_path / "file" / "answers").find("samples", QUESTION, "id 1") == (False, None)
