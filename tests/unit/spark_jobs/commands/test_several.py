"""Which datasets a run works on, in which order, and what becomes of those behind one that fails."""

from __future__ import annotations

import pytest

from spark_jobs import log
from spark_jobs.commands.several import per_dataset, run_each
from spark_jobs.config import load_config
from spark_jobs.errors import ConfigError, SourceError, StageError
from spark_jobs.pipeline import select

LISTED = "datasets=[{name: a, source: one}, {name: b, source: two}, {name: c}]"


def pairs(*overrides, **options):
    """Dataset and source of each configuration."""
    return [
        (one.dataset, one.source) for one in per_dataset(load_config(overrides=overrides, options=options))
    ]


def test_the_named_dataset_goes_before_the_listed_ones():
    assert pairs() == [(None, None)]
    assert pairs(dataset="x", source="here") == [("x", "here")]
    assert pairs(LISTED) == [("a", "one"), ("b", "two"), ("c", None)]
    assert pairs(LISTED, dataset="b") == [("b", "two")]
    assert pairs(LISTED, dataset="b", source="moved") == [("b", "moved")]
    assert pairs(LISTED, dataset="d", source="new") == [("d", "new")]


def test_a_source_of_no_dataset_is_refused():
    with pytest.raises(ConfigError, match="lists a, b, c: say whose it is"):
        pairs(LISTED, source="here")


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ("[{name: a}, {name: a}]", "a is named more than once"),
        ("[{name: a/b}]", r"datasets\.0\.name: a dataset name is"),
        ("[{nam: a}]", r"datasets\.0\.nam: unknown key\. Did you mean name\?"),
        ("[a]", "datasets.0"),
    ],
)
def test_a_wrong_list_is_refused(listed, told):
    with pytest.raises(ConfigError, match=told):
        load_config(overrides=(f"datasets={listed}",))


def test_tasks_of_one_job_share_a_run_for_each_dataset():
    configs = per_dataset(load_config(overrides=(LISTED, "tracking.job=night-7")))
    assert [one.tracking.job for one in configs] == ["night-7 a", "night-7 b", "night-7 c"]
    assert {one.tracking.job for one in per_dataset(load_config(overrides=(LISTED,)))} == {None}


class Ran:
    """Takes down what is run; the datasets that are named fail."""

    def __init__(self, **failing: Exception) -> None:
        self.failing = failing
        self.runs: list[tuple[str | None, list[str]]] = []

    def __call__(self, config, stages) -> None:
        assert config.datasets == ()
        self.runs.append((config.dataset, [stage.name for stage in stages]))
        if error := self.failing.get(config.dataset or ""):
            raise error


STAGES = select(["ingest", "overlap", "report"])


def test_each_dataset_is_run_and_the_report_once_at_the_end():
    ran = Ran()
    run_each(load_config(overrides=(LISTED,)), STAGES, ran)
    own = ["ingest", "overlap"]
    assert ran.runs == [("a", own), ("b", own), ("c", own), (None, ["report"])]


def test_one_dataset_is_run_as_ever():
    ran = Ran()
    run_each(load_config(options={"dataset": "x"}), STAGES, ran)
    assert ran.runs == [("x", ["ingest", "overlap", "report"])]
    with pytest.raises(SourceError, match="nothing there"):
        run_each(load_config(options={"dataset": "x"}), STAGES, Ran(x=SourceError("nothing there")))


def test_the_report_alone_is_written_once():
    ran = Ran()
    run_each(load_config(overrides=(LISTED,)), select(["report"]), ran)
    assert ran.runs == [(None, ["report"])]


def test_a_dataset_that_fails_does_not_keep_the_others_from_being_run(capsys):
    ran = Ran(a=SourceError("no files at one"), b=RuntimeError("surprise"))
    with pytest.raises(StageError, match="2 of 3 datasets failed: a, b") as told:
        run_each(load_config(overrides=(LISTED,)), STAGES, ran)
    assert [dataset for dataset, _ in ran.runs] == ["a", "b", "c", None]
    assert told.value.__cause__.exceptions == tuple(ran.failing.values())
    said = capsys.readouterr().err
    assert "error: dataset a: no files at one\n" in said
    assert "error: dataset b: RuntimeError: surprise\n" in said


def test_where_all_fail_there_is_no_new_report():
    fault = SourceError("gone")
    ran = Ran(a=fault, b=fault, c=fault)
    with pytest.raises(StageError, match="3 of 3 datasets failed"):
        run_each(load_config(overrides=(LISTED,)), STAGES, ran)
    assert [dataset for dataset, _ in ran.runs] == ["a", "b", "c"]


def test_a_stop_by_hand_stops_all():
    ran = Ran(a=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run_each(load_config(overrides=(LISTED,)), STAGES, ran)
    assert len(ran.runs) == 1


def test_programs_get_the_faults_as_json(capsys, monkeypatch):
    monkeypatch.setattr(log, "_is_json", True)
    with pytest.raises(StageError):
        run_each(load_config(overrides=(LISTED,)), STAGES, Ran(b=SourceError("no files")))
    assert '"level": "error", "message": "no files", "dataset": "b"' in capsys.readouterr().err
