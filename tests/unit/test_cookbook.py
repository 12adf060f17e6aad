from __future__ import annotations

from pathlib import Path

from tests.cookbook import queries, with_answers

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cookbook.md"
SMALL = "# Page\n\n```sql\nSELECT 1 AS a,\n  2 AS b\n```\n\nWords.\n\n```sql\nSELECT 3\n```\n"


def test_answers_are_written_below_their_queries_and_replaced():
    asked = []

    def first(sql):
        asked.append(sql)
        return ["a", "b"], [["x | y", None], [["p", "q"], "<b>"]]

    page = with_answers(SMALL, first)
    assert asked == ["SELECT 1 AS a,\n  2 AS b", "SELECT 3"]
    assert "| a | b |\n| --- | --- |\n| x \\| y |  |\n| p; q | &lt;b> |\n\nWords." in page
    assert [(columns, has_rows) for _, columns, has_rows in queries(page)] == [(["a", "b"], True)] * 2
    emptied = with_answers(page, lambda sql: (["c"], []))
    assert [(columns, has_rows) for _, columns, has_rows in queries(emptied)] == [(["c"], False)] * 2
    assert "x \\| y" not in emptied
    assert with_answers(emptied, lambda sql: (["c"], [])) == emptied
    assert "\n\nWords.\n\n" in emptied


def test_the_page_answers_every_question():
    page = PAGE.read_text(encoding="utf-8")
    parts = page.split("\n## ")[1:]
    assert [int(part.split(".")[0]) for part in parts] == list(range(1, 16))
    for part in parts:
        assert queries(part), part
        assert all(columns for _, columns, _ in queries(part)), part
    # Nothing has been trained in the demo.
    assert [has_rows for _, _, has_rows in queries(page)].count(False) == 1
