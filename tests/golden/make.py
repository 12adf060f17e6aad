"""Make the stored warehouse: `python -m tests.golden.make`, in a checkout of the version that shall be kept.

What is stored was made by commit ba5697f. Make it anew only where tables are meant to change: users'
warehouses are then made anew too.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from spark_jobs.demo.corpus import write_corpus
from spark_jobs.session import open_session
from tests.golden.warehouse import ARCHIVE, KEYS, configuration, images_in_store, keys, packed, run_all


def main() -> None:
    """Draw a corpus, run every stage over it, store the warehouse and its keys."""
    with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as monkeypatch:
        folder = Path(made)
        corpus = write_corpus(folder / "corpus", samples=16, shards=2, size=224)
        shutil.copytree(corpus.webdataset, folder / "source")
        config = configuration(folder)
        spark = open_session(config.session)
        with images_in_store(folder, monkeypatch, spark):
            reports = run_all(spark, config)
        stages = {report.stage: report.run_keys for report in reports}
        KEYS.write_text(
            json.dumps({"stages": stages, "tables": keys(spark, config)}, indent=1) + "\n", encoding="utf-8"
        )
        ARCHIVE.write_bytes(packed(folder))
    print(f"{ARCHIVE}: {ARCHIVE.stat().st_size:,} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
