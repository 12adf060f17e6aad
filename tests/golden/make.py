"""Make the stored warehouse: `python -m tests.golden.make`, in a checkout of the version that shall be kept.

What is stored was made by commit ba5697f, and its keys are those of the present version: where tables are meant to
change, `--keys` writes down what a run over the stored warehouse gives.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from spark_jobs.demo.corpus import write_corpus
from spark_jobs.session import open_session
from tests.golden.warehouse import (
    ARCHIVE,
    KEYS,
    added,
    configuration,
    images_in_store,
    keys,
    packed,
    run_all,
    unpacked,
)


def main() -> None:
    """Draw a corpus, run every stage over it, store the warehouse and its keys; with `--keys` the keys alone."""
    with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as monkeypatch:
        folder = Path(made)
        is_stored = "--keys" in sys.argv
        if is_stored:
            unpacked(folder)
        else:
            corpus = write_corpus(folder / "corpus", samples=16, shards=2, size=224)
            shutil.copytree(corpus.webdataset, folder / "source")
        config = configuration(folder)
        spark = open_session(config.session)
        with images_in_store(folder, monkeypatch, spark):
            older = keys(spark, config)
            reports = run_all(spark, config)
        stages = {report.stage: report.run_keys for report in reports}
        tables = added(keys(spark, config), older)
        text = json.dumps({"stages": stages, "tables": tables}, indent=1)
        KEYS.write_text(f"{text}\n", encoding="utf-8")
        if not is_stored:
            ARCHIVE.write_bytes(packed(folder))
            print(f"{ARCHIVE}: {ARCHIVE.stat().st_size:,} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
