"""The recipe for a stage in docs/architecture.md, followed to the letter."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
from pydantic import Field

import schemas
import spark_jobs.stages
from spark_jobs import pipeline, sections
from spark_jobs.commands.run import check, run_stages
from spark_jobs.config import RunConfig
from spark_jobs.pipeline import Stage
from spark_jobs.runner.stage import Situation
from spark_jobs.stages import load_stage
from spark_jobs.warehouse.tables import Tables
from spark_jobs.warehouse.views import current_run_keys
from tests.measured import put_measures, synthetic

PAGE = Path(__file__).parents[2] / "docs/architecture.md"
NAME = "caption_lengths"


@pytest.fixture
def recipe() -> dict[str, str]:
    """The page's blocks of Python by the file that they belong to."""
    blocks = re.findall(r"^```python\n# (\S+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    assert [path for path, _ in blocks] == [
        f"schemas/{NAME}.py",
        "spark_jobs/sections.py",
        "spark_jobs/pipeline.py",
        f"spark_jobs/stages/{NAME}.py",
    ]
    return dict(blocks)


@pytest.fixture
def stage(recipe, tmp_path, monkeypatch) -> Stage:
    """The stage in its four places, until the test ends."""
    for package in (schemas, spark_jobs.stages):
        place = tmp_path / package.__name__
        place.mkdir()
        path = f"{package.__name__.replace('.', '/')}/{NAME}.py"
        (place / f"{NAME}.py").write_text(recipe[path], encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(place)])
        monkeypatch.delattr(package, NAME, raising=False)
    table = importlib.import_module(f"schemas.{NAME}").TABLE
    monkeypatch.setitem(schemas.TABLES, NAME, table)
    added = eval(recipe["spark_jobs/pipeline.py"], {"Stage": Stage})
    monkeypatch.setattr(pipeline, "STAGES", (*pipeline.STAGES, added))
    yield added
    for package in (schemas, spark_jobs.stages):
        sys.modules.pop(f"{package.__name__}.{NAME}")
        delattr(package, NAME)


@pytest.fixture
def configured(recipe, config) -> RunConfig:
    """A configuration with the stage's section."""
    names = {"Section": sections.Section, "Field": Field}
    exec(recipe["spark_jobs/sections.py"], names)
    section = names["CaptionLengthsConfig"]

    class WithLengths(RunConfig):
        caption_lengths: section = Field(default_factory=section)

    return WithLengths.model_validate(config.model_dump())


def test_a_stage_by_the_recipe_keeps_the_contract(spark, stage, configured):
    samples = synthetic(40)
    put_measures(spark, configured.warehouse, samples, tables={"samples": "ingest"})
    tables = Tables(spark, configured.warehouse)
    check(configured, [stage])
    situation = Situation(tables, configured, current_run_keys(tables))
    plan = load_stage(NAME).plan(situation)
    assert sum(plan.pending.values()) == len(samples)

    (report,) = run_stages(spark, configured, [stage])
    assert (report.rows, report.failed) == (len(samples), 0)
    rows = tables.read(schemas.TABLES[NAME]).collect()
    expected = {
        row.sample_id: None if row.caption is None else len(row.caption.strip(" "))
        for row in samples.itertuples()
    }
    assert {row["sample_id"]: row["characters"] for row in rows} == expected
    assert {row["run_key"] for row in rows} == {report.run_keys[NAME]} == set(plan.run_keys.values())

    (again,) = run_stages(spark, configured, [stage])
    assert again.did_nothing
