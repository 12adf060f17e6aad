"""One `parrot run` over a list of datasets, as a nightly job gives it."""

from __future__ import annotations

import pytest

from tests.builders import sound_pairs, write_shard
from tests.e2e.cli import parrot_here, succeeding


@pytest.fixture
def job(tmp_path):
    """A configuration of three datasets, of which the second has no source; and the folder where that would be."""
    for name, count in {"first": 2, "third": 3}.items():
        write_shard(tmp_path / name, sound_pairs(count))
    listed = "".join(
        f"- {{name: {name}, source: {tmp_path / name}}}\n" for name in ("first", "second", "third")
    )
    file = tmp_path / "job.yaml"
    file.write_text(
        f"warehouse: {tmp_path / 'warehouse'}\ndatasets:\n{listed}tracking: {{enabled: false}}\n",
        encoding="utf-8",
    )
    return file


def test_a_missing_source_is_told_and_the_others_are_run(job):
    begun = parrot_here("run", "ingest", "report", "--config", job)
    assert begun.returncode == 1
    assert f"error: dataset second: no files at {job.parent / 'second'}" in begun.stderr
    assert "error: 1 of 3 datasets failed: second (why is said above)" in begun.stderr.splitlines()[-1]
    assert samples(job) == ["first,2", "third,3"]
    report = (job.parent / "warehouse/report.html").read_text(encoding="utf-8")
    assert all(f"<bdi>{name}</bdi>" in report for name in ("first", "third"))

    write_shard(job.parent / "second", sound_pairs(1))
    again = succeeding("run", "ingest", "--config", job, run=parrot_here)
    assert again.stderr.count("up to date") == 2
    assert samples(job) == ["first,2", "second,1", "third,3"]


def samples(job):
    """How many samples each dataset has."""
    query = "SELECT dataset, count(*) FROM samples GROUP BY dataset ORDER BY dataset"
    warehouse = job.parent / "warehouse"
    found = succeeding("sql", "--warehouse", warehouse, "--format", "csv", query, run=parrot_here)
    return found.stdout.splitlines()[1:]
