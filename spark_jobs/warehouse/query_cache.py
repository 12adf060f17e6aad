"""Answers to questions about tables, kept until the table has another version.

They only save time: a Delta table of one id and version always holds the same rows, so the same question has the
same answer. Without them (deleted, unreadable, no local warehouse) the table is asked again.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from spark_jobs.warehouse.addresses import is_local_folder
from spark_jobs.warehouse.digest import digest


@dataclass(frozen=True)
class Question:
    """What is asked of a table, with all that decides the answer beside the rows that the table holds.

    It stands beside the query that answers it, with the version of that query.

    Attributes:
        asks: What is asked.
        version: Raise it when the query is changed such that equal rows have another answer: what was kept of the
            older version is then asked anew.
        parameters: The query's parameters, JSON-able.
    """

    asks: str
    version: int
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def of(self, **parameters: Any) -> Question:
        """The question with these parameters."""
        return replace(self, parameters=parameters)


class QueryCache:
    """Answers of one warehouse: in files of a folder, where there is one, else for as long as the process lives."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: dict[str, dict[str, Any]] = {}

    def each(
        self,
        states: Mapping[str, str | None],
        questions: Mapping[str, Question],
        ask: Callable[[list[str]], Mapping[str, Any]],
    ) -> dict[str, Any]:
        """Answers to a question about each of some tables; those without one of their state are asked.

        Args:
            states: By table name, what identifies the rows that it holds; None where that is not known.
            questions: By table name.
            ask: From names of tables to their answers.
        """
        answers: dict[str, Any] = {}
        for name, state in states.items():
            is_known, answer = self.find(name, questions[name], state) if state else (False, None)
            if is_known:
                answers[name] = answer
        asked = [name for name in states if name not in answers]
        for name, answer in (ask(asked) if asked else {}).items():
            answers[name] = json.loads(json.dumps(answer))
            # Of the state before the question: what others write meanwhile makes it outdated, never wrong.
            state = states[name]
            if state is not None:
                self.keep(name, questions[name], state=state, answer=answers[name])
        return answers

    def find(self, table: str, question: Question, state: str) -> tuple[bool, Any]:
        """Whether there is an answer of this state of the table, and the answer.

        Args:
            table: The table's name.
            question: What is asked.
            state: What identifies the rows that the table holds.
        """
        name = _name(table, question)
        kept = self._known.get(name) or self._read(name)
        if kept is None or kept["state"] != state:
            return False, None
        self._known[name] = kept
        return True, kept["answer"]

    def keep(self, table: str, question: Question, *, state: str, answer: Any) -> None:
        """Keep an answer in place of that of another state."""
        name = _name(table, question)
        kept = {"table": table, "question": asdict(question), "state": state, "answer": answer}
        self._known[name] = kept
        if self._folder is None:
            return
        # A warehouse that can only be read is asked each time.
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = self._folder / f"{name}.{os.getpid()}.partial"
            partial.write_text(json.dumps(kept), encoding="utf-8")
            partial.replace(self._folder / f"{name}.json")

    def _read(self, name: str) -> dict[str, Any] | None:
        if self._folder is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
            if isinstance(kept, dict) and {"state", "answer"} <= kept.keys():
                return kept
        return None


@functools.cache
def query_cache_of(warehouse: str) -> QueryCache:
    """The answers of a warehouse, shared by the stages of a run; only a local folder keeps them for the next run."""
    is_local = is_local_folder(warehouse)
    return QueryCache(Path(warehouse).absolute() / "_answers" if is_local else None)


def _name(table: str, question: Question) -> str:
    return f"{table}-{digest(asdict(question))}"
