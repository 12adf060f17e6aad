"""What a report is made from: plain data, filled from the tables by `read`, shown by `page.render`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Point = tuple[float, float]


@dataclass(frozen=True)
class ImageType:
    """One of the paper's three kinds of image.

    Attributes:
        name: Value of `caption_overlap.image_type`.
        label: What a reader sees.
        meaning: One sentence for the reader.
    """

    name: str
    label: str
    meaning: str


IMAGE_TYPES = (
    ImageType("no_text", "no text", "The spotter read no text in the image."),
    ImageType(
        "text_not_concurrent",
        "text, not concurrent",
        "The image shows text, but no word of the caption is part of it.",
    ),
    ImageType(
        "concurrent",
        "concurrent",
        "At least one word of the caption stands in the image: a parrot caption.",
    ),
)
NO_CLUSTER = -1
"""Value of `stat_cluster.cluster_id` for samples without an image vector."""

FIGURE_TABLES = (
    "stat_cotr_histogram",
    "stat_clip_score_histogram",
    "stat_caption_words",
    "stat_text_area",
    "stat_text_area_score",
    "stat_word_area",
    "stat_chance",
    "stat_score_filter",
    "stat_curation_score",
    "stat_cluster_top",
)
"""Tables that the paper's figures are drawn from."""


@dataclass(frozen=True)
class Reading:
    """One spotted word or line.

    Attributes:
        text: The raw reading.
        polygon: Corners (x, y) in px of the EXIF-upright, full-size image.
        confidence: Spotter's confidence, 0 to 1.
    """

    text: str
    polygon: tuple[Point, ...] = ()
    confidence: float | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Reading:
        """Make a reading of an element of `spotted_text.words` or `.lines` (nested dicts or Spark rows)."""
        corners = tuple((float(point["x"]), float(point["y"])) for point in row["polygon"] or ())
        return cls(text=row["text"], polygon=corners, confidence=row["confidence"])


@dataclass(frozen=True)
class GallerySample:
    """One sample of the gallery.

    Attributes:
        sample_key: Handle by which the sample is found again, e.g. `shard/sample_id`.
        image_type: Value of `caption_overlap.image_type`; None where it was not measured.
        caption: Caption as the source gives it; None where missing.
        co_emb_words: Normalised caption words that the image shows too.
        cotr: Co-embedded text rate, 0 to 1.
        fuzzy_cotr: Fuzzy CoTR, 0 to 1.
        clip_score: Cosine of image and caption vector.
        words: Spotted words; their polygons are drawn.
        lines: Spotted lines; drawn instead where there are no words.
        pixels: Decoded image, (height, width, 3) RGB uint8, EXIF-upright, of any scale; None where it
            could not be decoded.
        image_width: Width in px of the image that polygons refer to; None: that of `pixels`.
        image_height: Height in px of the image that polygons refer to; None: that of `pixels`.
        error: Why there are no pixels or no measurements.
        unsafe: Whether the source marks the image as unsafe: the picture is shown blurred.
    """

    sample_key: str
    image_type: str | None
    caption: str | None
    co_emb_words: tuple[str, ...] = ()
    cotr: float | None = None
    fuzzy_cotr: float | None = None
    clip_score: float | None = None
    words: tuple[Reading, ...] = ()
    lines: tuple[Reading, ...] = ()
    pixels: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    image_width: int | None = None
    image_height: int | None = None
    error: str | None = None
    unsafe: bool = False


@dataclass(frozen=True)
class StageAccount:
    """Rows of one stage by status; None where the stage has not run.

    Attributes:
        stage: Stage name.
        ok: Rows with a result.
        failed: Rows that the stage could not do.
        skipped: Rows whose upstream failed or to which the stage does not apply.
    """

    stage: str
    ok: int | None = None
    failed: int | None = None
    skipped: int | None = None


@dataclass(frozen=True)
class FrequentError:
    """One error message and how many rows carry it."""

    stage: str
    error: str
    rows: int


@dataclass(frozen=True)
class ClusterContent:
    """What a report says of one dataset's clusters.

    Attributes:
        rows: Rows of `stat_cluster`, of both levels.
        groups_shown: How many groups are shown, the largest first.
        galleries: Samples to show, by group.
        is_outdated: Whether samples were clustered anew, or otherwise, after the rows were made; there are
            no galleries then, since their groups would not be those of the rows.
    """

    rows: tuple[Mapping[str, Any], ...]
    groups_shown: int
    galleries: Mapping[int, tuple[GallerySample, ...]] = field(default_factory=dict)
    is_outdated: bool = False


@dataclass(frozen=True)
class RemovalSample:
    """One sample before and after its text was filled in.

    Attributes:
        before: The sample as it is; its polygons are what was filled in.
        after: The image with all its text filled in, (height, width, 3) RGB uint8, of the scale of
            `before.pixels`; None where it could not be made.
        score_raw: CLIP score before.
        score_removed: CLIP score after.
        rsa: The first minus the second.
    """

    before: GallerySample
    after: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    score_raw: float | None = None
    score_removed: float | None = None
    rsa: float | None = None


@dataclass(frozen=True)
class RemovalContent:
    """What a report says of one dataset's text removal.

    Attributes:
        image_types: Rows of `stat_text_removal`, of one or several models.
        clusters: Rows of `stat_text_removal_cluster`; empty without clusters.
        relative_scores: Rows of `stat_relative_score`.
        gallery_model: Model whose scores choose the samples; None where there are none.
        drops: Samples whose score falls most when their text is removed.
        rises: Samples whose score rises most.
    """

    image_types: tuple[Mapping[str, Any], ...] = ()
    clusters: tuple[Mapping[str, Any], ...] = ()
    relative_scores: tuple[Mapping[str, Any], ...] = ()
    gallery_model: str | None = None
    drops: tuple[RemovalSample, ...] = ()
    rises: tuple[RemovalSample, ...] = ()


@dataclass(frozen=True)
class DatasetContent:
    """Everything the report says of one dataset.

    Attributes:
        name: Dataset name.
        overall: Row of `stat_overall`; None where it does not exist.
        clip_scores: Rows of `stat_clip_score`, of one or several models.
        accounts: Rows by status, one entry per stage, in the order of the pipeline.
        errors: Most frequent errors, most frequent first.
        notes: What a reader of this dataset's numbers must know.
        gallery: Samples to show, in order; grouped by image type on the page.
        clusters: Its clusters; None where there are none.
        synthetic_text: Rows of `stat_synthetic_text`, of one or several models.
        figures: Rows of the tables that figures are drawn from, by table.
        text_removal: What removing its text does to the scores; None where none was removed.
        subsets: Rows of `subsets`, by id.
        trained: Rows of `evaluation_results` of models trained on it, with subset, seed and recipe.
        settings: Parameters that its current tables were made with, by table.
    """

    name: str
    overall: Mapping[str, Any] | None = None
    clip_scores: tuple[Mapping[str, Any], ...] = ()
    accounts: tuple[StageAccount, ...] = ()
    errors: tuple[FrequentError, ...] = ()
    notes: tuple[str, ...] = ()
    gallery: tuple[GallerySample, ...] = ()
    clusters: ClusterContent | None = None
    synthetic_text: tuple[Mapping[str, Any], ...] = ()
    figures: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    text_removal: RemovalContent | None = None
    subsets: tuple[Mapping[str, Any], ...] = ()
    trained: tuple[Mapping[str, Any], ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Generation:
    """How the report's numbers were made.

    Attributes:
        parrot_version: Version of the code.
        warehouse: Path or catalog and schema that was read.
        spotters: Text spotters used.
        models: CLIP models used.
        run_keys: Run key of each table that was read, by table name (or `dataset: table`).
        generated_at: When the page was made, as text; None to leave it out (equal input, equal page).
    """

    parrot_version: str
    warehouse: str
    spotters: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    run_keys: Mapping[str, str] = field(default_factory=dict)
    generated_at: str | None = None


@dataclass(frozen=True)
class ReportContent:
    """Everything one report says.

    Attributes:
        title: Title of the page.
        input_key: Hash of what the report was made from; written into the page's head.
        generation: How the numbers were made.
        datasets: One entry per dataset, in the order of the page.
        notes: What a reader must know before the first number.
    """

    title: str
    input_key: str
    generation: Generation
    datasets: tuple[DatasetContent, ...] = ()
    notes: tuple[str, ...] = ()


def largest_groups(rows: Iterable[Mapping[str, Any]], limit: int) -> list[int]:
    """The groups with most samples, largest first.

    Args:
        rows: Rows of `stat_cluster`.
        limit: How many at most.
    """
    groups = [row for row in rows if row["level"] == "group" and row["cluster_id"] != NO_CLUSTER]
    ordered = sorted(groups, key=lambda row: (-row["samples"], row["cluster_id"]))
    return [row["cluster_id"] for row in ordered[:limit]]
