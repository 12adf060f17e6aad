"""What decides the rows of a SQL step."""

from spark_jobs.sql.steps import PythonColumn, Step


def column():
    raise AssertionError("a key needs no session")


def test_sql_decides_and_the_version_of_what_python_adds():
    assert Step("one", "SELECT 1").decides() == Step("other name", "SELECT 1").decides() == "SELECT 1"
    keys = [
        Step("one", "SELECT 1", python={name: PythonColumn(version, column)}).decides()
        for name, version in (("a", 1), ("a", 2), ("b", 1))
    ]
    assert keys == [["SELECT 1", {"a": 1}], ["SELECT 1", {"a": 2}], ["SELECT 1", {"b": 1}]]
