"""Imports go one way: no circle, and the report's rooms keep to themselves."""

from __future__ import annotations

from tests.import_graph import circles, import_graph
from tests.unit.test_layout import all_imports, modules


def test_no_import_goes_in_a_circle():
    graph = import_graph()
    assert len(graph) > 150
    assert "spark_jobs.warehouse.tables" in graph["spark_jobs.stages.curate"]
    assert circles(graph) == []


def test_a_circle_would_be_found(tmp_path):
    texts = {
        "__init__": "",
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.b import B",
        "b": "def f():\n    from p import c",
        "c": "import p.a",
        "d": "from p import a",
    }
    (tmp_path / "p").mkdir()
    for name, text in texts.items():
        (tmp_path / "p" / f"{name}.py").write_text(text)
    assert circles(import_graph(tmp_path, ("p",))) == [["p.a", "p.b", "p.c"]]


def test_rooms_of_the_report_keep_to_themselves():
    asking = ("pyspark", "spark_jobs.warehouse", "spark_jobs.runner", "schemas.stage_runs")
    rooms = {
        "read": ("spark_jobs.report.figures", "spark_jobs.report.sections", "spark_jobs.report.page"),
        "figures": ("spark_jobs.report.read", "spark_jobs.report.sections", *asking),
        "sections": ("spark_jobs.report.read", "matplotlib", "PIL", *asking),
    }
    for room, others in rooms.items():
        for path, tree in modules(f"spark_jobs/report/{room}").items():
            found = {name for name in all_imports(tree) if name.startswith(others)}
            assert not found, f"{path} imports {found}"
