"""What notebooks share: settings and the cookbook's questions."""

from __future__ import annotations

import io
import math
from types import SimpleNamespace

import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from spark_jobs.errors import ConfigError
from spark_jobs.notebook import Question, cookbook, questions, show_picture, widget
from tests.cookbook import queries
from tests.notebooks import FOLDER


class Widgets:
    """Databricks' widgets, of which one has been filled in."""

    def __init__(self, **filled):
        self.filled, self.made = filled, {}

    def text(self, name, default):
        self.made[name] = default

    def get(self, name):
        return self.filled.get(name, self.made[name])


class Utilities:
    def __init__(self, **filled):
        self.widgets = Widgets(**filled)


def test_a_setting_is_the_environments_on_a_laptop(monkeypatch):
    monkeypatch.delenv("PARROT_DATASET", raising=False)
    assert widget("dataset", "demo") == "demo"
    monkeypatch.setenv("PARROT_DATASET", "laion")
    assert widget("dataset", "demo") == "laion"


def test_a_setting_is_a_widget_in_databricks(monkeypatch):
    monkeypatch.delenv("PARROT_DATASET", raising=False)
    untouched, filled = Utilities(), Utilities(dataset="cc12m")
    assert widget("dataset", "demo", untouched) == "demo"
    assert untouched.widgets.made == {"dataset": "demo"}
    assert widget("dataset", "demo", filled) == "cc12m"


def test_a_picture_is_shown_though_pandas_holds_its_place_as_floats(tmp_path):
    """Beside a null pandas turns whole numbers into floats, and the null into NaN."""
    png = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(png, "PNG")
    path = tmp_path / "images.tar"
    path.write_bytes(b"head" + png.getvalue() + b"tail")
    place = {"image_uri": str(path), "image_offset": 4.0, "image_length": float(len(png.getvalue()))}
    for nothing in (math.nan, None, pd.NA):
        _, ax = plt.subplots()
        show_picture(ax, SimpleNamespace(**place, image_row=nothing), "a picture")
        (shown,) = ax.images
        assert shown.get_array().shape == (2, 3, 3)
        assert ax.get_title() == "a picture"
    plt.close("all")


def test_a_picture_that_cannot_be_had_says_why(tmp_path):
    _, ax = plt.subplots()
    place = SimpleNamespace(image_uri=str(tmp_path / "none.png"), image_offset=None, image_length=None)
    place.image_row = None
    show_picture(ax, place, "no picture")
    assert not ax.images
    (reason,) = ax.texts
    assert reason.get_text()
    plt.close("all")


def test_questions_stand_under_their_headings():
    first = "## 1. First?\n\n```sql\nSELECT 1\n```\n\n| 1 |\n\n```sql\nSELECT 2\n```\n"
    page = f"# Title\n\n{first}\n## 2. Second?\n\n```sql\nSELECT\n  3\n```\n"
    assert questions(page) == [
        Question("1. First?", "SELECT 1"),
        Question("1. First?", "SELECT 2"),
        Question("2. Second?", "SELECT\n  3"),
    ]


def test_every_query_of_the_cookbook_is_asked(monkeypatch):
    monkeypatch.chdir(FOLDER)  # as in Databricks
    page = cookbook()
    asked = questions(page)
    assert [question.sql for question in asked] == [sql for sql, *_ in queries(page)]
    assert len({question.title for question in asked}) >= 15
    assert all(question.title[0].isdigit() for question in asked)


def test_a_cookbook_that_is_not_there_is_a_message(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"docs/cookbook.md was looked for in .* upload docs/"):
        cookbook()
