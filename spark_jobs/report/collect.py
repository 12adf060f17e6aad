"""Read what a report shows from the tables: the current run keys of each dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from schemas import (
    TABLES,
    caption_overlap,
    clip_embeddings,
    cluster_assignments,
    images,
    spotted_text,
    stat_clip_score,
    stat_cluster,
    stat_overall,
    stat_relative_score,
    stat_synthetic_text,
    stat_text_removal,
    stat_text_removal_cluster,
    text_removal_scores,
)
from spark_jobs.pipeline import STAGES
from spark_jobs.report.cluster_reading import clusters_key, drawn_by_group, largest_groups
from spark_jobs.report.content import (
    IMAGE_TYPES,
    ClusterContent,
    DatasetContent,
    FrequentError,
    GallerySample,
    Generation,
    Reading,
    RemovalContent,
    RemovalSample,
    ReportContent,
    StageAccount,
)
from spark_jobs.report.figure_views import FIGURE_TABLES
from spark_jobs.report.subsets import subset_rows, subsets_key
from spark_jobs.report.text_removal_reading import (
    SCORE_COLUMNS,
    fill_of,
    gallery_model,
    most_changed,
    removed_text,
    without_text,
)
from spark_jobs.runner.run_log import parrot_version
from spark_jobs.runner.statistics import content_key
from udfs.guarded_decode import decode
from udfs.image_codec import DecodeLimits, ImageFault
from udfs.image_refs import ImageRef, UnreadableImage, read_images

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

    from spark_jobs.sections import ReportConfig
    from spark_jobs.tables import Tables

_ACCOUNTED = {
    "ingest": images,
    "embed": clip_embeddings,
    "spot_text": spotted_text,
    "overlap": caption_overlap,
}
# Tables with one current run key; subsets have one each and are read by themselves.
_READ = tuple(
    name
    for name in next(stage.reads for stage in STAGES if stage.name == "report")
    if TABLES[name].has_run_key
)
_FREQUENT_ERRORS = 10
_OVERLAP_COLUMNS = ("image_type", "co_emb_words", "cotr", "fuzzy_cotr")
_GALLERY_SIDE = 512
_GALLERY_PIXELS = DecodeLimits(max_pixels=64_000_000)
# What LAION and the sets after its example write for images that are safe; every other label is not.
_SAFE_LABELS = frozenset(("", "unlikely", "safe", "sfw", "false", "none", "neutral"))
_UNSAFE_PROBABILITY = 0.5  # of `punsafe`, which is LAION's own limit

RunKeys = dict[tuple[str, str], str]


def report_key(
    tables: Tables, datasets: list[str], config: ReportConfig, run_keys: RunKeys
) -> dict[str, Any]:
    """Hash of everything the report shows, by dataset, with what it is configured to show."""
    keys: dict[str, Any] = {}
    for dataset in datasets:
        present = {name: run_keys[dataset, name] for name in _READ if (dataset, name) in run_keys}
        keys[dataset] = content_key(tables, dataset, present)
        keys[f"{dataset}: subsets"] = subsets_key(tables, dataset)
    keys["config"] = config.model_dump_json(exclude={"output"})
    keys["version"] = parrot_version()
    return keys


def collect(
    tables: Tables,
    datasets: list[str],
    config: ReportConfig,
    run_keys: RunKeys,
    *,
    input_key: str,
    notes: dict[str, list[str]],
) -> ReportContent:
    """Read the content of a report.

    Args:
        tables: The warehouse.
        datasets: Datasets to show, in order.
        config: What to show.
        run_keys: Current run keys.
        input_key: Hash written into the page.
        notes: What readers of a dataset's numbers must know.
    """
    contents = tuple(
        _Collector(tables, dataset, config, run_keys).content(tuple(notes.get(dataset, ())))
        for dataset in datasets
    )
    used = {
        f"{dataset}: {name}": run_key
        for (dataset, name), run_key in sorted(run_keys.items())
        if dataset in datasets and name in _READ
    }
    return ReportContent(
        title="Parrot captions: " + ", ".join(datasets),
        input_key=input_key,
        generation=Generation(
            parrot_version=parrot_version(),
            warehouse=tables.warehouse,
            spotters=_distinct(tables, "spotted_text", "spotter", datasets, run_keys),
            models=_distinct(tables, "clip_embeddings", "model", datasets, run_keys),
            run_keys=used,
        ),
        datasets=contents,
    )


def _distinct(
    tables: Tables, table: str, column: str, datasets: list[str], run_keys: RunKeys
) -> tuple[str, ...]:
    found: set[str] = set()
    for dataset in datasets:
        if (dataset, table) in run_keys:
            frame = tables.read(TABLES[table], dataset=dataset, run_key=run_keys[dataset, table])
            found |= {row[column] for row in frame.select(column).distinct().collect()}
    return tuple(sorted(found))


class _Collector:
    """Reads one dataset."""

    def __init__(self, tables: Tables, dataset: str, config: ReportConfig, run_keys: RunKeys) -> None:
        self._tables = tables
        self._dataset = dataset
        self._config = config
        self._run_keys = run_keys

    def content(self, notes: tuple[str, ...]) -> DatasetContent:
        """Everything the report says of the dataset."""
        overall = self._rows(stat_overall.TABLE.name)
        scores = self._rows(stat_clip_score.TABLE.name)
        return DatasetContent(
            name=self._dataset,
            overall=overall[0] if overall else None,
            clip_scores=tuple(sorted(scores, key=lambda row: (row["model"], row["image_type"]))),
            accounts=tuple(self._accounts()),
            errors=tuple(self._errors()),
            notes=notes,
            gallery=tuple(self._gallery()),
            clusters=self._clusters(),
            synthetic_text=tuple(self._rows(stat_synthetic_text.TABLE.name)),
            figures={name: tuple(self._rows(name)) for name in FIGURE_TABLES},
            text_removal=self._text_removal(),
            subsets=subset_rows(self._tables, self._dataset),
        )

    def _current(self, name: str) -> DataFrame | None:
        run_key = self._run_keys.get((self._dataset, name))
        if run_key is None:
            return None
        return self._tables.read(TABLES[name], dataset=self._dataset, run_key=run_key)

    def _rows(self, name: str) -> list[dict[str, Any]]:
        frame = self._current(name)
        return [] if frame is None else [row.asDict() for row in frame.collect()]

    def _accounts(self) -> Iterator[StageAccount]:
        for stage, module in _ACCOUNTED.items():
            frame = self._current(module.TABLE.name)
            if frame is None:
                yield StageAccount(stage)
                continue
            counts = {row["status"]: row["count"] for row in frame.groupBy("status").count().collect()}
            yield StageAccount(stage, counts.get("ok", 0), counts.get("failed", 0), counts.get("skipped", 0))

    def _errors(self) -> list[FrequentError]:
        from pyspark.sql import functions as F

        errors: list[FrequentError] = []
        for stage, module in _ACCOUNTED.items():
            frame = self._current(module.TABLE.name)
            if frame is None:
                continue
            failed = frame.where("status = 'failed'").groupBy("error").count()
            top = failed.orderBy(F.desc("count"), "error").limit(_FREQUENT_ERRORS).collect()
            errors += [FrequentError(stage, row["error"] or "", row["count"]) for row in top]
        return sorted(errors, key=lambda error: (-error.rows, error.stage, error.error))[:_FREQUENT_ERRORS]

    def _gallery(self) -> list[GallerySample]:
        overlap = self._current(caption_overlap.TABLE.name)
        if overlap is None or not self._config.samples_per_type:
            return []
        return self._pictured([row for kind in IMAGE_TYPES for row in self._drawn(overlap, kind.name)])

    def _pictured(self, rows: list[dict[str, Any]]) -> list[GallerySample]:
        """The samples of rows of `_described`, with their pictures."""
        return [
            _gallery_sample(row, item, is_blurred=self._config.blur_unsafe)
            for row, item in zip(rows, self._data(rows), strict=True)
        ]

    @staticmethod
    def _data(rows: list[dict[str, Any]]) -> list[bytes | UnreadableImage]:
        refs = [
            ImageRef(row["image_uri"], row["image_offset"], row["image_length"], row["image_row"])
            for row in rows
        ]
        return read_images(refs, max_bytes=_GALLERY_PIXELS.max_bytes)

    def _clusters(self) -> ClusterContent | None:
        rows = self._rows(stat_cluster.TABLE.name)
        if not rows:
            return None
        shown = largest_groups(rows, self._config.cluster_groups)
        is_outdated = clusters_key(self._dataset, self._run_keys) != rows[0]["run_key"]
        overlap = self._current(caption_overlap.TABLE.name)
        assignments = self._current(cluster_assignments.TABLE.name)
        galleries: dict[int, list[GallerySample]] = {}
        if not is_outdated and overlap is not None and assignments is not None and shown:
            drawn = drawn_by_group(overlap, assignments, shown, config=self._config)
            described = self._described(
                drawn.select("shard_id", "sample_id", *_OVERLAP_COLUMNS, "cluster_group")
            )
            for row, sample in zip(described, self._pictured(described), strict=True):
                galleries.setdefault(row["cluster_group"], []).append(sample)
        return ClusterContent(
            rows=tuple(rows),
            groups_shown=self._config.cluster_groups,
            galleries={group: tuple(samples) for group, samples in galleries.items()},
            is_outdated=is_outdated,
        )

    def _text_removal(self) -> RemovalContent | None:
        image_types = self._rows(stat_text_removal.TABLE.name)
        if not image_types:
            return None
        models = sorted({row["model"] for row in image_types})
        embedded = _distinct(
            self._tables, clip_embeddings.TABLE.name, "model", [self._dataset], self._run_keys
        )
        model = gallery_model(models, embedded)
        return RemovalContent(
            image_types=tuple(image_types),
            clusters=tuple(self._rows(stat_text_removal_cluster.TABLE.name)),
            relative_scores=tuple(self._rows(stat_relative_score.TABLE.name)),
            gallery_model=model,
            drops=self._most_changed(model, rises=False),
            rises=self._most_changed(model, rises=True),
        )

    def _most_changed(self, model: str | None, *, rises: bool) -> tuple[RemovalSample, ...]:
        from pyspark.sql import functions as F

        name = text_removal_scores.TABLE.name
        scores, overlap = self._current(name), self._current(caption_overlap.TABLE.name)
        count = self._config.removal_samples
        if scores is None or overlap is None or model is None or not count:
            return ()
        fill = fill_of(self._tables, self._dataset, self._run_keys[self._dataset, name])
        scores = scores.where(F.col("model") == model)
        found = most_changed(overlap, scores, rises=rises, count=count)
        columns = (*_OVERLAP_COLUMNS, "used_words", *SCORE_COLUMNS)
        rows = self._described(found.select("shard_id", "sample_id", *columns))
        for row in rows:
            row["words"], row["lines"] = removed_text(row)
        samples = []
        for row, data in zip(rows, self._data(rows), strict=True):
            after = None if fill is None else without_text(data, row["lines"], fill, limits=_GALLERY_PIXELS)
            samples.append(
                RemovalSample(
                    before=_gallery_sample(row, data, is_blurred=self._config.blur_unsafe),
                    after=None if after is None else _shrunk(after),
                    score_raw=row["score_raw"],
                    score_removed=row["score_all_removed"],
                    rsa=row["rsa"],
                )
            )
        return tuple(samples)

    def _drawn(self, overlap: DataFrame, image_type: str) -> list[dict[str, Any]]:
        """A fixed random sample of one image type."""
        from pyspark.sql import functions as F

        keys = ["shard_id", "sample_id"]
        drawn = (
            overlap.where(F.col("image_type") == image_type)
            .orderBy(F.xxhash64("sample_id", F.lit(self._config.seed)), "sample_id")
            .limit(self._config.samples_per_type)
            .select(*keys, *_OVERLAP_COLUMNS)
        )
        return self._described(drawn)

    def _described(self, drawn: DataFrame) -> list[dict[str, Any]]:
        """A few rows of `caption_overlap`, in order, joined with all that the gallery shows of them."""
        from pyspark.sql import functions as F

        keys = ["shard_id", "sample_id"]
        places = drawn.select(*keys).collect()
        ids = [row["sample_id"] for row in places]
        shards = sorted({row["shard_id"] for row in places})  # files are skipped by shard
        for name, columns in (
            ("samples", ["caption", "source_key", "nsfw", "punsafe"]),
            ("images", ["image_uri", "image_offset", "image_length", "image_row"]),
            ("spotted_text", ["words", "lines", "image_width", "image_height"]),
            ("clip_embeddings", ["clip_score"]),
        ):
            frame = self._current(name)
            if frame is None:
                drawn = drawn.select("*", *(F.lit(None).alias(column) for column in columns))
            else:
                frame = frame.where(F.col("shard_id").isin(shards) & F.col("sample_id").isin(ids)).select(
                    *keys, *columns
                )
                drawn = drawn.join(frame, keys, "left")
        rows = {row["sample_id"]: row.asDict(recursive=True) for row in drawn.collect()}
        return [rows[sample_id] for sample_id in ids]


def _gallery_sample(row: dict[str, Any], data: bytes | UnreadableImage, *, is_blurred: bool) -> GallerySample:
    pixels, error, width, height = None, None, None, None
    if isinstance(data, UnreadableImage):
        error = str(data)
    else:
        try:
            pixels = decode(data, _GALLERY_PIXELS).pixels
            height, width = pixels.shape[:2]
            pixels = _shrunk(pixels)
        except ImageFault as fault:
            error = str(fault)
    return GallerySample(
        sample_key=f"{row['shard_id']}/{row['source_key']}",
        image_type=row["image_type"],
        caption=row["caption"],
        co_emb_words=tuple(row["co_emb_words"] or ()),
        cotr=row["cotr"],
        fuzzy_cotr=row["fuzzy_cotr"],
        clip_score=row["clip_score"],
        words=tuple(Reading.from_row(word) for word in row["words"] or ()),
        lines=tuple(Reading.from_row(line) for line in row["lines"] or ()),
        pixels=pixels,
        image_width=row["image_width"] or width,
        image_height=row["image_height"] or height,
        error=error,
        unsafe=is_blurred and is_unsafe(row["nsfw"], row["punsafe"]),
    )


def _shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image at a size that a gallery of hundreds can hold in memory; polygons keep their own frame."""
    image = Image.fromarray(pixels)
    image.thumbnail((_GALLERY_SIDE, _GALLERY_SIDE))
    return np.asarray(image)


def is_unsafe(nsfw: str | None, punsafe: float | None) -> bool:
    """Whether a source marks an image as unsafe.

    Args:
        nsfw: Its safety label, or a probability as text; a label that is not known as safe counts as unsafe.
        punsafe: Its probability of unsafe content, 0 to 1.
    """
    label = (nsfw or "").strip().lower()
    try:
        is_labelled = float(label) >= _UNSAFE_PROBABILITY
    except ValueError:
        is_labelled = label not in _SAFE_LABELS
    return is_labelled or (punsafe is not None and punsafe >= _UNSAFE_PROBABILITY)
