"""Run a notebook as Python does, in this process, and keep what it prints and draws."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"


@dataclass
class Seen:
    """What a notebook has shown: its text, how many pictures, and the titles and tick labels of each figure's axes."""

    text: str = ""
    pictures: int = 0
    figures: list[list[str]] = field(default_factory=list)


def run_notebook(name: str, warehouse: object, **settings: str) -> Seen:
    """Run a notebook of the folder on a warehouse; what it raises is raised here."""
    from matplotlib import pyplot as plt

    seen = Seen()
    values = {"PARROT_WAREHOUSE": str(warehouse), "PARROT_DATASET": ""}
    values |= {f"PARROT_{key.upper()}": value for key, value in settings.items()}

    def show() -> None:
        for number in plt.get_fignums():
            figure = plt.figure(number)
            figure.canvas.draw()
            labels = [label.get_text() for ax in figure.axes for label in ax.get_yticklabels()]
            seen.pictures += sum(len(ax.images) for ax in figure.axes)
            seen.figures.append([*(ax.get_title() for ax in figure.axes), *labels])
        plt.close("all")

    shown = io.StringIO()
    plt.switch_backend("agg")
    with (
        mock.patch.dict(os.environ, values),
        mock.patch.object(plt, "show", show),
        contextlib.redirect_stdout(shown),
    ):
        runpy.run_path(str(FOLDER / name))
    assert not plt.get_fignums(), "a figure was drawn and not shown"
    seen.text = shown.getvalue()
    return seen
