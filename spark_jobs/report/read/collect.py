"""Read what a report shows from the tables: the current run keys of each dataset."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_jobs.clip_models import model_notes
from spark_jobs.report.content import (
    FIGURE_TABLES,
    IMAGE_TYPES,
    ClusterContent,
    DatasetContent,
    FrequentError,
    Generation,
    RemovalContent,
    RemovalSample,
    ReportContent,
    StageAccount,
    largest_groups,
)
from spark_jobs.report.read.gallery_choice import (
    SCORE_COLUMNS,
    Drawn,
    drawn_by_group,
    drawn_by_type,
    most_changed,
)
from spark_jobs.report.read.pictures import GALLERY_PIXELS, Pictures, shrunk
from spark_jobs.report.read.settings import settings
from spark_jobs.report.read.snapshot import READ, Snapshot, collect_together
from spark_jobs.report.read.text_removal import fill_of, gallery_model, removed_text, without_text
from spark_jobs.version import parrot_version
from udfs.inpainting import InpaintParams

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_ACCOUNTED = {
    "ingest": "images",
    "embed": "clip_embeddings",
    "spot_text": "spotted_text",
    "overlap": "caption_overlap",
}
_FREQUENT_ERRORS = 10


@dataclass(frozen=True)
class _Read:
    """What has been read of all datasets.

    Attributes:
        used: Models (`clip_embeddings`) and spotters (`spotted_text`), in order.
        accounts: Rows by status, by dataset.
        errors: Most frequent errors by dataset.
        removal_models: Model whose scores choose the samples of the text removal, by dataset.
        drawn: Samples by dataset and what they stand for: an image type, a group, drops, rises.
        pictures: Their rows and pictures.
        settings: Parameters of the current tables, by dataset and table.
    """

    used: Mapping[tuple[str, str], tuple[str, ...]]
    accounts: Mapping[str, tuple[StageAccount, ...]]
    errors: Mapping[str, tuple[FrequentError, ...]]
    removal_models: Mapping[str, str]
    drawn: Drawn
    pictures: Pictures
    settings: Mapping[str, Mapping[str, Mapping[str, Any]]]


def collect(snapshot: Snapshot, *, input_key: str) -> ReportContent:
    """Read the content of a report.

    Args:
        snapshot: What it is read from.
        input_key: Hash written into the page.
    """
    read = _read(snapshot)
    used = {
        f"{dataset}: {name}": run_key
        for (dataset, name), run_key in sorted(snapshot.run_keys.items())
        if dataset in snapshot.datasets and name in READ
    }
    return ReportContent(
        title="Parrot captions: " + ", ".join(snapshot.datasets),
        input_key=input_key,
        generation=Generation(
            parrot_version=parrot_version(),
            warehouse=snapshot.tables.warehouse,
            spotters=_all_used(read, "spotted_text"),
            models=_all_used(read, "clip_embeddings"),
            run_keys=used,
        ),
        datasets=tuple(_dataset(snapshot, dataset, read) for dataset in snapshot.datasets),
        notes=snapshot.notes(),
    )


def _read(snapshot: Snapshot) -> _Read:
    used = _used(snapshot)
    accounts = _accounts(snapshot)
    has_failed = any(account.failed for own in accounts.values() for account in own)
    removal_models = _removal_models(snapshot, used)
    drawn = {
        **drawn_by_type(snapshot),
        **drawn_by_group(snapshot, _groups_to_draw(snapshot)),
        **most_changed(snapshot, removal_models),
    }
    return _Read(
        used=used,
        accounts=accounts,
        errors=_errors(snapshot) if has_failed else {},
        removal_models=removal_models,
        drawn=drawn,
        settings=settings(snapshot),
        pictures=Pictures(snapshot, (sample for samples in drawn.values() for sample in samples)),
    )


def _used(snapshot: Snapshot) -> dict[tuple[str, str], tuple[str, ...]]:
    from pyspark.sql import functions as F

    frames = {
        table: frame.select("dataset", F.col(column).alias("value")).distinct()
        for table, column in (("clip_embeddings", "model"), ("spotted_text", "spotter"))
        if (frame := snapshot.rows(table)) is not None
    }
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for table, rows in collect_together(frames).items():
        for dataset, value in sorted((row["dataset"], row["value"]) for row in rows):
            found[dataset, table] = (*found.get((dataset, table), ()), value)
    return found


def _all_used(read: _Read, table: str) -> tuple[str, ...]:
    return tuple(
        sorted({value for (_, name), values in read.used.items() if name == table for value in values})
    )


def _accounted(snapshot: Snapshot, *columns: str) -> DataFrame | None:
    """Rows of the stages that are accounted for, with their stage, as one frame; None where none has run."""
    from pyspark.sql import functions as F

    parts = [
        frame.select("dataset", F.lit(stage).alias("stage"), "status", *columns)
        for stage, table in _ACCOUNTED.items()
        if (frame := snapshot.rows(table)) is not None
    ]
    return functools.reduce(lambda one, other: one.unionByName(other), parts) if parts else None


def _accounts(snapshot: Snapshot) -> dict[str, tuple[StageAccount, ...]]:
    counts: dict[tuple[str, str], dict[str, int]] = {}
    frame = _accounted(snapshot)
    for row in [] if frame is None else frame.groupBy("dataset", "stage", "status").count().collect():
        counts.setdefault((row["dataset"], row["stage"]), {})[row["status"]] = row["count"]
    return {
        dataset: tuple(
            StageAccount(stage)
            if (dataset, table) not in snapshot.run_keys
            else StageAccount(
                stage,
                *(counts.get((dataset, stage), {}).get(status, 0) for status in ("ok", "failed", "skipped")),
            )
            for stage, table in _ACCOUNTED.items()
        )
        for dataset in snapshot.datasets
    }


def _errors(snapshot: Snapshot) -> dict[str, tuple[FrequentError, ...]]:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    frame = _accounted(snapshot, "error")
    if frame is None:
        return {}
    counts = frame.where("status = 'failed'").groupBy("dataset", "stage", "error").count()
    order = Window.partitionBy("dataset").orderBy(F.desc("count"), "stage", "error")
    top = counts.withColumn("place", F.row_number().over(order)).where(F.col("place") <= _FREQUENT_ERRORS)
    found: dict[str, tuple[FrequentError, ...]] = {}
    for row in sorted(top.collect(), key=lambda row: (row["dataset"], row["place"])):
        error = FrequentError(row["stage"], row["error"] or "", row["count"])
        found[row["dataset"]] = (*found.get(row["dataset"], ()), error)
    return found


def _removal_models(snapshot: Snapshot, used: Mapping[tuple[str, str], tuple[str, ...]]) -> dict[str, str]:
    models = {}
    for dataset in snapshot.datasets:
        scored = sorted({row["model"] for row in snapshot.statistics.get((dataset, "stat_text_removal"), ())})
        model = gallery_model(scored, used.get((dataset, "clip_embeddings"), ()))
        if model is not None:
            models[dataset] = model
    return models


def _has_other_clusters(snapshot: Snapshot, dataset: str) -> bool:
    """Whether samples were clustered anew since `stat_cluster` was made: its groups are others then."""
    return "cluster_assignments" in snapshot.outdated[dataset].get("stat_cluster", ())


def _groups_to_draw(snapshot: Snapshot) -> dict[str, Sequence[int]]:
    return {
        dataset: largest_groups(
            snapshot.statistics.get((dataset, "stat_cluster"), ()), snapshot.config.cluster_groups
        )
        for dataset in snapshot.datasets
        if not _has_other_clusters(snapshot, dataset)
    }


def _dataset(snapshot: Snapshot, dataset: str, read: _Read) -> DatasetContent:
    def rows(table: str) -> tuple[dict[str, Any], ...]:
        return tuple(snapshot.statistics.get((dataset, table), ()))

    overall = rows("stat_overall")
    models = read.used.get((dataset, "clip_embeddings"), ())
    return DatasetContent(
        name=dataset,
        overall=overall[0] if overall else None,
        clip_scores=tuple(sorted(rows("stat_clip_score"), key=lambda row: (row["model"], row["image_type"]))),
        accounts=read.accounts[dataset],
        errors=read.errors.get(dataset, ()),
        notes=tuple(note for model in models for note in model_notes(model)),
        gallery=tuple(
            read.pictures.sample(sample)
            for kind in IMAGE_TYPES
            for sample in read.drawn.get((dataset, kind.name), ())
        ),
        clusters=_clusters(snapshot, dataset, read),
        synthetic_text=rows("stat_synthetic_text"),
        figures={name: rows(name) for name in FIGURE_TABLES},
        text_removal=_text_removal(snapshot, dataset, read),
        subsets=snapshot.subsets[dataset],
        trained=snapshot.trained[dataset],
        settings=read.settings[dataset],
    )


def _clusters(snapshot: Snapshot, dataset: str, read: _Read) -> ClusterContent | None:
    rows = tuple(snapshot.statistics.get((dataset, "stat_cluster"), ()))
    if not rows:
        return None
    groups = {int(row["cluster_id"]) for row in rows}
    return ClusterContent(
        rows=rows,
        groups_shown=snapshot.config.cluster_groups,
        galleries={
            group: tuple(map(read.pictures.sample, samples))
            for group in sorted(groups)
            if (samples := read.drawn.get((dataset, str(group))))
        },
        is_outdated=_has_other_clusters(snapshot, dataset),
    )


def _text_removal(snapshot: Snapshot, dataset: str, read: _Read) -> RemovalContent | None:
    image_types = tuple(snapshot.statistics.get((dataset, "stat_text_removal"), ()))
    if not image_types:
        return None
    drops, rises = (read.drawn.get((dataset, name), []) for name in ("drops", "rises"))
    scores = snapshot.run_keys.get((dataset, "text_removal_scores"))
    fill = fill_of(snapshot.tables, dataset, scores) if scores and (drops or rises) else None
    return RemovalContent(
        image_types=image_types,
        clusters=tuple(snapshot.statistics.get((dataset, "stat_text_removal_cluster"), ())),
        relative_scores=tuple(snapshot.statistics.get((dataset, "stat_relative_score"), ())),
        gallery_model=read.removal_models.get(dataset),
        drops=_removal_samples(read, drops, fill),
        rises=_removal_samples(read, rises, fill),
    )


def _removal_samples(
    read: _Read, samples: Sequence[Mapping[str, Any]], fill: InpaintParams | None
) -> tuple[RemovalSample, ...]:
    found = []
    for sample in samples:
        words, readings = removed_text(read.pictures.row(sample))
        data = read.pictures.data(sample)
        after = None if fill is None else without_text(data, readings, fill, limits=GALLERY_PIXELS)
        score_raw, score_removed, rsa = (sample[name] for name in SCORE_COLUMNS)
        found.append(
            RemovalSample(
                before=read.pictures.sample(sample, words=words, lines=readings),
                after=None if after is None else shrunk(after),
                score_raw=score_raw,
                score_removed=score_removed,
                rsa=rsa,
            )
        )
    return tuple(found)
