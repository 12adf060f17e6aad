"""Which samples a report shows: fixed random ones by image type and by group, those most changed by text removal."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schemas._table import KEY_NAMES
from spark_jobs.report.content import IMAGE_TYPES
from spark_jobs.report.read.snapshot import Snapshot

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SCORE_COLUMNS = ("score_raw", "score_all_removed", "rsa")
Drawn = dict[tuple[str, str], list[Mapping[str, Any]]]
"""Keys of samples (and what they were chosen by) in order, by dataset and what they stand for."""


def drawn_by_type(snapshot: Snapshot) -> Drawn:
    """A fixed random sample of each image type of each dataset, by hash."""
    from pyspark.sql import functions as F

    overlap = snapshot.rows("caption_overlap")
    if overlap is None:
        return {}
    known = overlap.where(F.col("image_type").isin([kind.name for kind in IMAGE_TYPES]))
    return _first(known, F.col("image_type"), _by_hash(snapshot), count=snapshot.config.samples_per_type)


def drawn_by_group(snapshot: Snapshot, groups: Mapping[str, Sequence[int]]) -> Drawn:
    """A fixed random sample of each of some groups of clusters, by hash, of images that were profiled.

    Args:
        snapshot: Where from.
        groups: Groups to draw from, by dataset.
    """
    from pyspark.sql import functions as F

    overlap, assignments = snapshot.rows("caption_overlap"), snapshot.rows("cluster_assignments")
    if overlap is None or assignments is None or not any(groups.values()):
        return {}
    wanted = _any(
        (F.col("dataset") == dataset) & F.col("cluster_group").isin(list(own))
        for dataset, own in groups.items()
        if own
    )
    profiled = overlap.where("image_type IS NOT NULL").select(*KEY_NAMES)
    joined = assignments.where(wanted).select(*KEY_NAMES, "cluster_group").join(profiled, list(KEY_NAMES))
    return _first(joined, F.col("cluster_group"), _by_hash(snapshot), count=snapshot.config.samples_per_group)


def most_changed(snapshot: Snapshot, models: Mapping[str, str]) -> Drawn:
    """The samples whose score falls most (`drops`) and rises most (`rises`) when all text is removed.

    Args:
        snapshot: Where from.
        models: Model whose scores decide, by dataset.

    Returns:
        The largest change first.
    """
    from pyspark.sql import functions as F

    scores = snapshot.rows("text_removal_scores")
    if scores is None or not models:
        return {}
    wanted = _any(
        (F.col("dataset") == dataset) & (F.col("model") == model) for dataset, model in models.items()
    )
    direction = F.when(F.col("rsa") > 0, "drops").otherwise("rises")
    order = [F.desc(F.abs("rsa")), F.col("sample_id")]
    changed = scores.where(wanted & (F.col("rsa") != 0))
    return _first(changed, direction, order, count=snapshot.config.removal_samples, columns=SCORE_COLUMNS)


def _by_hash(snapshot: Snapshot) -> list[Column]:
    from pyspark.sql import functions as F

    return [F.xxhash64("sample_id", F.lit(snapshot.config.seed)), F.col("sample_id")]


def _any(conditions: Iterable[Column]) -> Column:
    return functools.reduce(lambda one, other: one | other, conditions)


def _first(
    frame: DataFrame, kind: Column, order: Sequence[Column], *, count: int, columns: Sequence[str] = ()
) -> Drawn:
    """The first samples of each kind of each dataset: their keys and some columns."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    found: Drawn = {}
    if not count:
        return found
    # Spark keeps only the first of each kind before it moves rows.
    place = F.row_number().over(Window.partitionBy("dataset", "kind").orderBy(*order)).alias("place")
    ranked = frame.withColumn("kind", kind.cast("string")).select("*", place)
    rows = ranked.where(F.col("place") <= count).select("kind", "place", *KEY_NAMES, *columns).collect()
    for row in sorted(rows, key=lambda row: (row["dataset"], row["kind"], row["place"])):
        found.setdefault((row["dataset"], row["kind"]), []).append(row.asDict())
    return found
