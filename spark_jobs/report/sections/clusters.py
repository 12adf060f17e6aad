"""The section on clusters: figure, table and galleries of the largest groups, as the template shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_jobs.clip_models import is_random
from spark_jobs.report import formatting
from spark_jobs.report.content import IMAGE_TYPES, NO_CLUSTER, ClusterContent, DatasetContent, largest_groups
from spark_jobs.report.figures.clusters import GroupBar, cluster_bars
from spark_jobs.report.sections.gallery import card

Row = Mapping[str, Any]
_COUNTS = ("samples", "images", "scored", *(f"images_{kind.name}" for kind in IMAGE_TYPES))
_MEANS = {"cotr": "images", "mean_clip_score": "scored"}  # by what each is the mean over


def cluster_view(dataset: DatasetContent, key: str) -> dict[str, Any] | None:
    """What the template shows of one dataset's clusters.

    Args:
        dataset: The dataset.
        key: Distinguishes the figure's ids from those of the page's other drawings.

    Returns:
        Values of the template; None where the dataset has no group.
    """
    content = dataset.clusters
    groups = [] if content is None else _groups(content.rows)
    if content is None or not groups:
        return None
    shown, rest = groups[: content.groups_shown], groups[content.groups_shown :]
    labelled = [(_name(row), row) for row in shown]
    if rest:
        labelled.append((f"{len(rest):,} more group{'s' if len(rest) > 1 else ''}", combined(rest)))
    without = [row for row in content.rows if row["level"] == "group" and row["cluster_id"] == NO_CLUSTER]
    return {
        "sentences": [
            _extent(content.rows, groups),
            *_extremes(groups),
            *_best_scored(dataset, groups),
            *_caution(dataset),
        ],
        "figure": cluster_bars([_bar(label, row) for label, row in labelled], key),
        "rows": [_table_row(label, row) for label, row in labelled]
        + [_table_row("without a vector", row) for row in without],
        "rest": f"{len(rest):,}" if rest else None,
        "galleries": [_gallery(row, content) for row in shown if content.galleries.get(row["cluster_id"])],
        "is_outdated": content.is_outdated,
    }


def combined(rows: Sequence[Row]) -> dict[str, Any]:
    """Several rows of `stat_cluster` as one: counts added up, means weighted by what they are over.

    Shares have Wilson's interval; the means have none, because the rows do not say how images spread.
    """
    total: dict[str, Any] = {name: sum(row[name] for row in rows) for name in _COUNTS}
    for mean, over in _MEANS.items():
        weighted = [row[mean] * row[over] for row in rows if row[mean] is not None and row[over]]
        total[mean] = formatting.ratio(sum(weighted), total[over]) if weighted else None
    for kind in IMAGE_TYPES:
        part, share = total[f"images_{kind.name}"], f"share_{kind.name}"
        total[share] = formatting.ratio(part, total["images"])
        total[f"{share}_low"], total[f"{share}_high"] = _wilson(part, total["images"])
    return total


def _wilson(part: int, whole: int) -> tuple[float | None, float | None]:
    from scipy.stats import binomtest

    if not whole:
        return None, None
    found = binomtest(part, whole).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def _groups(rows: Sequence[Row]) -> list[Row]:
    by_id = {row["cluster_id"]: row for row in rows if row["level"] == "group"}
    return [by_id[group] for group in largest_groups(rows, len(by_id))]


def _name(row: Row) -> str:
    return f"group {row['cluster_id']}"


def _extent(rows: Sequence[Row], groups: Sequence[Row]) -> str:
    clusters = sum(row["level"] == "cluster" and row["cluster_id"] != NO_CLUSTER for row in rows)
    largest, smallest = (formatting.count(group["samples"]) for group in (groups[0], groups[-1]))
    size = f"{largest} samples" if len(groups) == 1 else f"{smallest} to {largest} samples each"
    return f"{clusters:,} clusters in {len(groups):,} group{'s' if len(groups) > 1 else ''} of {size}."


def _extremes(groups: Sequence[Row]) -> list[str]:
    known = [group for group in groups if formatting.number(group, "share_concurrent") is not None]
    if len(known) < 2:
        return []
    ordered = sorted(known, key=lambda row: (-row["share_concurrent"], row["cluster_id"]))
    most, least = (_with_extent(row) for row in (ordered[0], ordered[-1]))
    return [f"Parrot captions are most frequent in {most} and least in {least}."]


def _with_extent(group: Row) -> str:
    share, images = formatting.percent(group["share_concurrent"]), formatting.count(group["images"])
    interval = formatting.percent_interval(group, "share_concurrent")
    sure = "" if interval is None else f", 95 %: {interval}"
    return f"{_name(group)} ({share} of its {images} images{sure})"


def _best_scored(dataset: DatasetContent, groups: Sequence[Row]) -> list[str]:
    """Parrot captions among the best-scored samples of the groups (Fig. 3b), against all of their images."""
    best = dataset.figures.get("stat_cluster_top", ())
    images = sum(group["images"] for group in groups)
    if not best or not images:
        return []
    parrots = sum(row["image_type"] == "concurrent" for row in best)
    of_all = formatting.ratio(sum(group["images_concurrent"] for group in groups), images)
    return [
        f"Among the ten samples of each group with the highest CLIP scores (Fig. 3b), {parrots:,} of {len(best):,} "
        f"are parrot captions ({formatting.percent(parrots / len(best))}), against {formatting.percent(of_all)} of "
        "all images."
    ]


def _caution(dataset: DatasetContent) -> list[str]:
    random = sorted({str(row["model"]) for row in dataset.clip_scores if is_random(str(row["model"]))})
    told = f"{', '.join(random)} has random weights: images of a group share colours and layout at best."
    return [told] if random else []


def _bar(label: str, row: Row) -> GroupBar:
    shares = {kind.name: formatting.number(row, f"share_{kind.name}") for kind in IMAGE_TYPES}
    known = {name: share for name, share in shares.items() if share is not None}
    return GroupBar(label, row["images"], known if len(known) == len(IMAGE_TYPES) else None)


def _table_row(label: str, row: Row) -> dict[str, Any]:
    return {
        "label": label,
        "samples": formatting.count(row["samples"]),
        "images": formatting.count(row["images"]),
        "is_small": 0 < row["images"] < formatting.FEW,
        "types": [
            {
                "images": formatting.count(row[f"images_{kind.name}"]),
                "share": formatting.percent(formatting.number(row, f"share_{kind.name}")),
                "interval": formatting.percent_interval(row, f"share_{kind.name}"),
            }
            for kind in IMAGE_TYPES
        ],
        "means": [
            {
                "text": formatting.percent(formatting.number(row, "cotr")),
                "interval": formatting.percent_interval(row, "cotr"),
            },
            {
                "text": formatting.score(formatting.number(row, "mean_clip_score")),
                "interval": formatting.score_interval(row, "mean_clip_score"),
            },
        ],
    }


def _gallery(row: Row, content: ClusterContent) -> dict[str, Any]:
    share = formatting.percent(formatting.number(row, "share_concurrent"))
    samples = content.galleries[row["cluster_id"]]
    return {
        "label": _name(row),
        "meaning": f"{len(samples)} of {formatting.count(row['samples'])} samples, drawn at random; "
        f"{share} of its images have a parrot caption.",
        "cards": [card(sample) for sample in samples],
    }
