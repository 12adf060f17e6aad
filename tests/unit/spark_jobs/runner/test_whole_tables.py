"""Work on whole tables, on a warehouse of dictionaries: what is compared when, what is logged, what is left alone."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest

from schemas import stage_runs, stat_overall, stat_text_area
from spark_jobs.errors import StageError
from spark_jobs.runner.row_counts import RowCounts, too_many_failed
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.runner.table_content import content_key
from spark_jobs.runner.whole_tables import TableWork, run_whole
from spark_jobs.sections import RunnerConfig

OVERALL, AREA = stat_overall.TABLE, stat_text_area.TABLE
READS = {"caption_overlap": "read"}


class FakeTables:
    """Input keys by (table, run key), and what happened in order."""

    def __init__(self):
        self.held = {("caption_overlap", "read"): [["shard", "first", "ok", 3]]}
        self.log = []
        self.events = []

    @contextlib.contextmanager
    def writing(self, spec, *, dataset, run_key):
        self.events.append(f"lock {spec.name} {run_key}")
        yield
        self.events.append(f"unlock {spec.name}")

    def exists(self, spec):
        return bool(self.log) if spec is stage_runs.TABLE else any(name == spec.name for name, _ in self.held)

    def answer(self, spec, question, ask):
        assert question.asks == "tables of the log with the run keys that finished last"
        ended = [row for row in self.log if row["event"] == "finished"]
        return [[row["dataset"], row["table_name"], row["run_key"]] for row in ended]

    def answer_each(self, specs, questions, ask):
        asked = {questions[spec.name].asks for spec in specs}
        if asked == {"content"}:
            self.events.append("compare")
            return {
                spec.name: self.held.get((spec.name, questions[spec.name].parameters["run_key"]), [])
                for spec in specs
            }
        assert asked <= {"run keys by dataset"}
        return {spec.name: {} for spec in specs}

    def create(self, spec):
        pass

    def rows(self, spec, rows):
        return rows

    def replace_where(self, spec, rows, *, where):
        self.events.append(f"write {spec.name}")
        self.held[spec.name, where["run_key"]] = [[row["input_key"], 1] for row in rows]
        return 7

    def append(self, spec, rows):
        assert spec is stage_runs.TABLE
        self.log += rows

    def version(self, spec):
        return 3

    def empty_input_key(self, spec, *, dataset, run_key):
        return None


def write(making):
    for spec in making.work.outputs:
        where = {"dataset": making.dataset, "run_key": making.run_key}
        making.note(spec, [{"input_key": making.input_key}], where=where)


def fail(making):
    raise StageError("no")


def work(compute=write, **changes):
    plain = TableWork("statistics", (OVERALL,), reads=READS, params={"a": 1}, compute=compute)
    return replace(plain, **changes)


def run(tables, *works):
    report = StageReport(stage="statistics", dataset="d")
    return run_whole(tables, RunnerConfig(), works, report=report), report


def events_of(tables):
    return [(row["event"], row["table_name"]) for row in tables.log]


def test_what_is_done_and_current_is_left_alone():
    tables = FakeTables()
    done, report = run(tables, work())
    assert (done, report.did_nothing, report.versions_written) == ([True], False, {"stat_overall": 7})
    assert report.versions_read == {"caption_overlap": 3}
    assert events_of(tables) == [("finished", "stat_overall")]
    done, report = run(tables, work(compute=fail))
    assert (done, report.did_nothing) == ([False], True)
    assert len(tables.log) == 1


def test_what_it_reads_decides_and_its_parameters_do():
    tables = FakeTables()
    run(tables, work())
    tables.held["caption_overlap", "read"] = [["shard", "first", "ok", 2], ["shard", "first", "failed", 1]]
    assert run(tables, work())[0] == [True]
    assert run(tables, work())[0] == [False]
    assert run(tables, work(params={"a": 2}))[0] == [True]
    assert work().run_key != work(params={"a": 2}).run_key


def test_keys_are_compared_inside_the_lock():
    tables = FakeTables()
    first = work()
    run(tables, first)
    assert tables.events == [
        f"lock stat_overall {first.run_key}",
        "compare",
        "write stat_overall",
        "unlock stat_overall",
    ]
    tables.events.clear()
    run(tables, work(lock="a subset"))
    assert tables.events[0] == "lock stat_overall a subset"


def test_all_works_are_compared_at_once_and_only_those_that_changed_are_done():
    tables = FakeTables()
    run(tables, work())
    tables.events.clear()
    done, _ = run(tables, work(compute=fail), work(outputs=(AREA,)))
    assert done == [False, True]
    assert tables.events.count("compare") == 1


def test_a_run_that_was_killed_before_its_log_entry_is_only_logged():
    tables = FakeTables()
    run(tables, work())
    tables.log.clear()
    done, report = run(tables, work(compute=fail))
    assert (done, report.did_nothing) == ([False], True)
    assert events_of(tables) == [("finished", "stat_overall")]


def test_a_failure_is_logged_and_told():
    tables = FakeTables()
    with pytest.raises(StageError, match="no"):
        run(tables, work(compute=fail))
    assert events_of(tables) == [("failed", "stat_overall")]
    assert run(tables, work())[0] == [True]


def test_works_before_a_failure_stay_finished():
    tables = FakeTables()
    with pytest.raises(StageError):
        run(tables, work(), work(outputs=(AREA,), compute=fail))
    assert events_of(tables) == [("finished", "stat_overall"), ("failed", "stat_text_area")]


def test_several_outputs_are_each_locked_logged_and_looked_for():
    tables = FakeTables()
    both = work(outputs=(OVERALL, AREA))
    assert run(tables, both)[0] == [True]
    assert sorted(events_of(tables)) == [("finished", "stat_overall"), ("finished", "stat_text_area")]
    assert run(tables, both)[0] == [False]
    del tables.held["stat_text_area", both.run_key]
    assert run(tables, both)[0] == [True]


def test_what_writes_nothing_is_not_finished():
    tables = FakeTables()
    assert run(tables, work(compute=lambda making: None))[0] == [True]
    assert tables.log == []


def test_work_without_outputs_says_itself_whether_it_is_done():
    tables, made = FakeTables(), []

    def compute(making):
        made.append((making.run_key, making.input_key))

    files = work(outputs=(), compute=compute, is_done=lambda *keys: keys in made)
    assert [run(tables, files)[0] for _ in range(2)] == [[True], [False]]
    assert tables.log == []
    tables.held["caption_overlap", "read"] = []
    assert run(tables, files)[0] == [True]


def test_what_lies_in_no_table_decides_too():
    tables = FakeTables()
    run(tables, work(also={"export": "abc"}))
    assert run(tables, work(also={"export": "abc"}))[0] == [False]
    assert run(tables, work(also={"export": "def"}))[0] == [True]
    assert work(also=1).run_key == work(also=2).run_key


def test_the_input_key_is_the_content_of_what_is_read():
    tables, seen = FakeTables(), []
    run(tables, work(compute=lambda making: seen.append(making.input_key)))
    run(tables, work(compute=lambda making: seen.append(making.input_key), input_key="own"))
    assert seen == [content_key(tables, "d", READS), "own"]


def test_the_log_keeps_what_was_read():
    tables = FakeTables()
    run(tables, work())
    run(tables, work(outputs=(AREA,), logged={"reads": {"x": "y"}}))
    kept = [json.loads(row["params"]) for row in tables.log]
    assert kept == [{"params": {"a": 1}, "reads": READS}, {"reads": {"x": "y"}}]


@pytest.mark.parametrize(
    ("failed", "ok", "expected"),
    [(9, 0, False), (10, 0, True), (10, 10, False), (11, 10, True), (0, 0, False)],
)
def test_a_share_of_failed_rows_is_judged_from_some_rows_on(failed, ok, expected):
    counts = RowCounts(rows=failed + ok + 1000, ok=ok, failed=failed, skipped=1000)
    assert too_many_failed(counts, fewest=10, most=0.5) is expected
