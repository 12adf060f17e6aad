from __future__ import annotations

import datetime
import json
import logging
import os
import sys

import pytest
from typer.testing import CliRunner

from spark_jobs import cli, log
from spark_jobs.commands import describe
from spark_jobs.commands.run import say
from spark_jobs.config import load_config
from spark_jobs.errors import sentence
from spark_jobs.runner.stage_report import StageReport
from spark_jobs.tracking import without_password

WORKER = """An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "/x/udfs/adapter.py", line 9, in predict_all
    raise RuntimeError(
RuntimeError: out of memory on a single image (sample 12): CUDA out of memory

During handling of the above exception, another exception occurred:
"""
JAVA = """An error occurred while calling o55.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Python worker exited unexpectedly (crashed)
\tat org.apache.spark.Some.method(Some.scala:1)
"""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError(WORKER), "RuntimeError: out of memory on a single image (sample 12): CUDA out of memory"),
        (
            ValueError(JAVA),
            "Python worker exited unexpectedly (crashed) at each attempt: the machine may lack memory",
        ),
        (KeyError("plain"), "KeyError: 'plain'"),
        (ValueError(), "ValueError"),
    ],
)
def test_an_unexpected_error_is_told_in_its_own_words(error, told):
    assert told in sentence(error)
    assert "\n" not in sentence(error)


def test_addresses_are_shown_without_passwords():
    assert without_password("https://me:secret@host/path") == "https://***@host/path"
    assert without_password("sqlite:///folder/mlflow.db") == "sqlite:///folder/mlflow.db"


def exit_code(monkeypatch, *arguments):
    """What the shell sees: `main` returns after success, as Databricks wants it."""
    monkeypatch.setattr(sys, "argv", ["parrot", *arguments])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--version",), 0, "parrot "),
        (("describe", "overlap"), 0, "overlap"),
        (("describe", "nothing"), 1, "no stage, table or view nothing"),
        (("describe",), 2, "Missing argument"),
        (("describe", "overlap", "--fast"), 2, "No such option"),
        (("compare-spotters", "easyocr"), 2, "Missing argument"),
        (
            ("compare-spotters", "rapidocr", "rapidocr", "--json"),
            1,
            "expected two spotters, found rapidocr twice",
        ),
        (("compare-spotters", "a", "b", "--warehouse", "nowhere"), 1, "no warehouse at nowhere"),
    ],
)
def test_exit_codes(arguments, code, told, monkeypatch, capsys):
    assert exit_code(monkeypatch, *arguments) == code
    assert told in "".join(capsys.readouterr())


def test_an_interrupted_command_ends_with_130(monkeypatch, capsys):
    def interrupted(name, *, as_json):
        raise KeyboardInterrupt

    monkeypatch.setattr(describe, "print_description", interrupted)
    assert exit_code(monkeypatch, "describe", "overlap") == 130
    assert "the same command continues" in capsys.readouterr().err


def test_the_environment_names_a_warehouse_that_files_and_options_go_before(tmp_path, monkeypatch):
    monkeypatch.setenv("PARROT_WAREHOUSE", "from_environment")
    file = tmp_path / "run.yaml"
    file.write_text("warehouse: from_file\n")
    assert load_config().warehouse == "from_environment"
    assert load_config(str(file)).warehouse == "from_file"
    assert load_config(str(file), options={"warehouse": "from_option"}).warehouse == "from_option"
    monkeypatch.delenv("PARROT_WAREHOUSE")
    assert load_config().warehouse == "warehouse"


@pytest.mark.parametrize(
    ("words", "completed"),
    [("parrot comp", ["compare-models", "compare-spotters"]), ("parrot run sta", ["statistics"])],
)
def test_the_shell_completes_commands_and_stages(words, completed):
    environment = {
        **os.environ,
        "_PARROT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = CliRunner().invoke(cli.app, [], env=environment, prog_name="parrot")
    assert result.stdout.split() == completed


def test_errors_are_json_lines_where_that_is_wanted(monkeypatch, capsys):
    try:
        assert exit_code(monkeypatch, "--log-format", "json", "describe", "nothing") == 1
        (line,) = capsys.readouterr().err.splitlines()
        told = json.loads(line)
        assert (told["level"], told["exit_code"]) == ("error", 1)
        assert told["message"].startswith("no stage, table or view nothing")
        assert datetime.datetime.fromisoformat(told["time"]).tzinfo is not None
        monkeypatch.setenv("PARROT_LOG_FORMAT", "json")
        assert exit_code(monkeypatch, "describe", "nothing") == 1
        assert json.loads(capsys.readouterr().err)["level"] == "error"
    finally:
        log.use_json(False)


def test_what_is_said_and_what_libraries_warn_of_are_json_lines_too(capsys):
    log.use_json(True)
    try:
        stream = log.JsonLines()
        stream.write("half of a ")
        stream.write("line\n\nanother\nbegun")
        logging.getLogger("library").warning("careful")
        say(StageReport("overlap", "cc12m", rows=3, seconds=1.5, shards_done=1, notes=["a note"]))
    finally:
        log.use_json(False)
    logging.getLogger("library").handle(logging.makeLogRecord({"msg": "said as text", "levelno": 10}))
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [one["message"] for one in told[:3]] == ["half of a line", "another", "careful"]
    assert (told[2]["level"], told[2]["logger"]) == ("warning", "library")
    assert (told[3]["stage"], told[3]["dataset"], told[3]["rows"], told[3]["seconds"]) == (
        "overlap",
        "cc12m",
        3,
        1.5,
    )
    assert told[4]["message"] == "a note"
    assert len(told) == 5
