from __future__ import annotations

import pytest

from schemas import TABLES, near_duplicates, samples, stage_runs
from spark_jobs.report.paper import PROFILES
from spark_jobs.views import VIEWS, views_named_in
from spark_jobs.views.published import paper_rows
from spark_jobs.views.view import Relations


def test_a_missing_table_is_an_empty_relation_with_its_columns():
    empty = Relations({}).current(near_duplicates.TABLE)
    assert empty.endswith("WHERE false)")
    assert all(f" AS {name}" in empty for name in near_duplicates.TABLE.columns)


def test_columns_that_an_older_version_did_not_know_are_null():
    older = [name for name in stage_runs.TABLE.columns if name != "results"]
    assert Relations({"stage_runs": older}).current(stage_runs.TABLE) == (
        "(SELECT *, CAST(NULL AS map<string,double>) AS results FROM stage_runs)"
    )


def test_names_in_a_catalog():
    relations = Relations({"samples": samples.TABLE.columns}, "main.parrot.")
    assert relations.current(samples.TABLE) == "main.parrot.samples"
    assert relations.every(samples.TABLE) == "main.parrot.samples_all"
    assert relations.view("sample_profile") == "main.parrot.sample_profile"


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_column_of_a_view_is_described_once(view):
    names = [field.name for field in view.columns]
    assert len(set(names)) == len(names) > 3
    assert all(field.metadata["comment"] for field in view.columns)


def test_no_view_has_the_name_of_a_table():
    assert {view.name for view in VIEWS}.isdisjoint({*TABLES, *(f"{name}_all" for name in TABLES)})


def test_only_views_that_a_query_names_are_made_and_those_that_they_read():
    def named(query):
        return [view.name for view in views_named_in(query)]

    assert named("SELECT count(*) FROM samples") == []
    assert named("select * from JOB_RUNS") == ["job_runs"]
    assert named("SELECT url FROM parrot_captions") == ["sample_profile", "parrot_captions"]


def test_the_papers_values_are_those_of_the_report():
    rows = {(subject, number): value for _, subject, _, number, value in paper_rows()}
    assert {profile.name for profile in PROFILES} <= {subject for subject, _ in rows}
    assert rows["LAION-2B", "cotr_in_total"] == 0.1542
    assert rows["CC12M", "cotr_with_text"] == 0.1675, "printed under another heading"
    assert rows["rsa_ge_0.3", "mean_clip_score"] == 0.376
    columns = {name: set(TABLES[name].columns) for _, _, name, _, _ in paper_rows()}
    assert all(number in columns[table] for _, _, table, number, _ in paper_rows())
