"""The study's plot: a panel per number, a point per subset with its spread over seeds, a dashed line at chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spark_jobs.study.comparison import Compared, measures_of

_COLUMNS = 3
_PANEL_INCHES = (4.2, 2.4)


def draw(compared: Sequence[Compared], path: Path, *, subsets: Sequence[str], title: str) -> None:
    """Draw means, spreads and chance to an SVG file."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    panels = measures_of(compared)
    models = list(dict.fromkeys(one.model for one in compared))
    rows = -(-len(panels) // _COLUMNS)
    size = (_PANEL_INCHES[0] * _COLUMNS, _PANEL_INCHES[1] * rows + 0.6)
    figure, axes = plt.subplots(rows, _COLUMNS, figsize=size, squeeze=False, layout="constrained")
    for axis, ((metric, task), chance) in zip(axes.flat, panels.items(), strict=False):
        for number, model in enumerate(models):
            shown = [one for one in compared if (one.metric, one.task, one.model) == (metric, task, model)]
            axis.errorbar(
                [one.mean for one in shown],
                [subsets.index(one.subset) + 0.15 * number for one in shown],
                xerr=[one.spread or 0.0 for one in shown],
                fmt="o",
                capsize=3,
                label=model,
            )
        if chance is not None:
            axis.axvline(chance, color="grey", linestyle="--", linewidth=0.8)
        axis.set_yticks(range(len(subsets)), subsets)
        axis.set_ylim(len(subsets) - 0.5, -0.5)
        axis.set_title(f"{metric}, {task}", fontsize=9)
        axis.grid(axis="x", alpha=0.3)
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_visible(False)
    if len(models) > 1:
        axes[0, 0].legend(fontsize=8)
    figure.suptitle(f"{title}: mean and standard deviation over seeds; dashed: chance", fontsize=11)
    with matplotlib.rc_context({"svg.hashsalt": "parrot"}):
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
