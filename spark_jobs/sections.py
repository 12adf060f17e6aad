"""Sections of the configuration: one validated, documented model per stage, and those that stages share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
StopWords = Literal[
    "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian",
    "portuguese", "russian", "spanish", "swedish", "turkish",
]  # fmt: skip


def cache_folder() -> Path:
    """Where parrot keeps what it can fetch or make again."""
    return Path.home() / ".cache" / "parrot"


class Section(BaseModel):
    """A part of the configuration: unknown keys are faults, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def dataset_name(name: str) -> str:
    """The name of a dataset, which becomes a partition folder and stands in SQL predicates.

    Raises:
        ValueError: If it is none.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise ValueError("a dataset name is 1 to 100 letters, digits, dots, dashes or underscores")
    return name


class DatasetConfig(Section):
    """One of several datasets of a run."""

    name: str = Field(description="Name of the dataset in the tables")
    source: str | None = Field(
        None, description="Folder or URI of its image-text pairs; null: the one it has been ingested from"
    )

    @field_validator("name")
    @classmethod
    def _is_a_folder_name(cls, name: str) -> str:
        return dataset_name(name)


class IngestConfig(Section):
    """Stage `ingest`: how the source is read."""

    kind: str = Field(
        "auto",
        description="Kind of source: auto, webdataset, img2dataset-parquet, img2dataset-files, folder, "
        "metadata-parquet, cc-tsv or mmc4",
    )
    shard_size: int = Field(1000, ge=1, description="Samples per shard where the source has no shards")
    image_column: str | None = Field(
        None, description="Captions-file column naming the image; null: recognised"
    )
    caption_column: str | None = Field(
        None, description="Column with the caption, of captions files and metadata tables; null: recognised"
    )
    swap_sizes: Literal["auto", "yes", "no"] = Field(
        "auto",
        description="Exchange WIDTH and HEIGHT of metadata tables (laion2B-en has them swapped); "
        "auto: per file, by the sizes that URLs state",
    )
    tsv_order: Literal["auto", "url-caption", "caption-url"] = Field(
        "auto", description="Columns of Conceptual Captions files; auto: by which column holds URLs"
    )

    @field_validator("swap_sizes", mode="before")
    @classmethod
    def _yaml_reads_yes_as_true(cls, value: Any) -> Any:
        return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value


class ImageConfig(Section):
    """What one image may cost, and how many are read at once. Used by every stage that decodes images."""

    max_pixels: int = Field(64_000_000, ge=1, description="Largest width x height that is decoded")
    max_bytes: int = Field(100_000_000, ge=1, description="Largest file that is read, bytes")
    decode_seconds: float = Field(20, gt=0, description="Longest decode of a suspicious file, s")
    decode_memory_mb: int = Field(
        2048, ge=256, description="Largest memory for the decode of a suspicious file, MB"
    )
    decode_threads: int = Field(2, ge=1, description="Decoding threads per Python worker")


class DownloadConfig(Section):
    """Stage `download`: how images of samples with only a URL are fetched (by img2dataset) and stored."""

    output: str | None = Field(
        None, description="Folder or URI of the tars; null: downloads in the warehouse (a catalog needs one)"
    )
    image_size: int = Field(1024, ge=16, description="Size that resize_mode aims at, px")
    resize_mode: Literal["no", "border", "keep_ratio", "keep_ratio_largest", "center_crop"] = Field(
        "keep_ratio_largest", description="img2dataset's resize mode; keep_ratio_largest: the longer side"
    )
    resize_only_if_bigger: bool = Field(True, description="Whether smaller images keep their size")
    encode_format: Literal["jpg", "png", "webp"] = Field("jpg", description="Format of stored images")
    encode_quality: int = Field(95, ge=0, le=100, description="Quality; for png the compression, 0 to 9")
    skip_reencode: bool = Field(
        True, description="Whether an image of that format that needs no change keeps its bytes"
    )
    tar_size: int = Field(
        10_000, ge=1, description="Most samples per tar and Spark task; a shard has its own"
    )
    threads: int = Field(32, ge=1, description="Downloads at a time per Spark task")
    timeout_seconds: float = Field(10, gt=0, description="Longest silence of a server, s")
    total_seconds: float = Field(60, gt=0, description="Longest download, redirects included, s")
    max_redirects: int = Field(10, ge=0, description="Redirects that are followed")
    retries: int = Field(0, ge=0, description="Further attempts per URL in the same run")
    disallowed_directives: tuple[str, ...] = Field(
        ("noai", "noimageai", "noindex", "noimageindex"),
        description="X-Robots-Tag directives that forbid a download; []: none are respected",
    )
    user_agent_token: str | None = Field(
        None, description="Name of this downloader, sent to servers and matched in X-Robots-Tag"
    )
    max_failed_share: Share = Field(
        0.95, description="A chunk with a larger share of failed downloads stops the stage (no network)"
    )

    @model_validator(mode="after")
    def _png_has_levels(self) -> DownloadConfig:
        if self.encode_format == "png" and self.encode_quality > 9:
            raise ValueError(f"encode_quality of png is 0 to 9, found {self.encode_quality}")
        return self


class TrainedConfig(Section):
    """How a checkpoint file was trained, where neither open_clip nor a file beside it says so."""

    quick_gelu: bool = Field(description="Whether the activation is QuickGELU (OpenAI's models), not GELU")
    mean: tuple[float, float, float] = Field(description="Mean of each colour that pixels lose, of 0 to 1")
    std: tuple[float, float, float] = Field(
        description="Standard deviation that they are divided by, of 0 to 1"
    )
    resize_mode: Literal["shortest", "longest", "squash"] = Field(
        description="How images are brought to the model's size, in open_clip's words"
    )
    interpolation: Literal["bicubic", "bilinear"] = Field(
        "bicubic", description="Interpolation of the resize"
    )


class EmbedConfig(Section):
    """Stage `embed`: the CLIP model."""

    model: str = Field("parrot-tiny", description="open_clip architecture (ViT-B-32, RN50, ...)")
    pretrained: str | None = Field(
        None,
        description="open_clip tag (laion2b_s34b_b79k), a checkpoint file, or null: seeded random weights",
    )
    trained: TrainedConfig | None = Field(
        None,
        description="How a checkpoint file was trained (quick_gelu, mean, std, resize_mode); null: as the tag whose "
        "file it is, or as FILE.json or open_clip_config.json beside it says",
    )
    seed: int = Field(0, description="Seed of the random weights")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="Arithmetic of the forward pass")
    batch_size: int = Field(32, ge=1, description="Images per forward pass")
    cache_dir: Path | None = Field(None, description="Folder of weights; null: ~/.cache/parrot")

    @property
    def weights_folder(self) -> Path:
        """Where weights are looked for and kept."""
        return self.cache_dir or cache_folder()


class DeduplicateConfig(Section):
    """Stage `deduplicate`: near-duplicates inside clusters, by SemDeDup's rule."""

    epsilon: float = Field(
        0.03,
        gt=0,
        le=1,
        description="Images of a cluster whose cosine is above 1 - epsilon are duplicates; SemDeDup on "
        "LAION-440M: 0.00095 removes 30 %, 0.03 removes 50 %",
    )
    keep: Literal["hard", "easy"] = Field(
        "hard",
        description="Member kept of duplicates: hard: the farthest from the centroid; easy: the nearest",
    )
    memory_mb: int = Field(
        1024,
        ge=1,
        description="Memory per worker for the vectors of one cluster, MB (512 dimensions: 2 kB each); the "
        "vectors beyond it are in a temporary file",
    )


class AestheticConfig(Section):
    """Stage `aesthetic`: LAION's aesthetic heads on CLIP image vectors."""

    head: Path | None = Field(
        None,
        description="File of the head: LAION's linear one for OpenAI's ViT-B-32 or ViT-L-14, or the improved "
        "predictor for ViT-L-14 (sac+logos+ava1-l14-linearMSE.pth)",
    )
    model: str | None = Field(
        None,
        description="CLIP model whose vectors are scored, NAME/TAG as clip_embeddings shows it; null: the one that the "
        "head was made for, where it has embedded the dataset, else the one that embedded last",
    )


class SpotTextConfig(Section):
    """Stage `spot_text`: the text spotter."""

    spotter: str = Field(
        "easyocr",
        description="Text spotter: easyocr (reads as readtext does), easyocr-fast (the same weights in int8 or half "
        "precision) or rapidocr (PP-OCR; extra rapidocr)",
    )
    languages: tuple[str, ...] = Field(
        ("en",),
        description="EasyOCR language codes; ch_sim, ch_tra, ja and th are cut into words (extra segment)",
    )
    rotations: tuple[Literal[90, 180, 270], ...] = Field(
        (),
        description="Degrees by which each box is read too, the surest reading is kept; costs as many readings",
    )
    detector_precision: Literal["fp32", "bf16", "fp16", "int8"] | None = Field(
        None,
        description="Arithmetic of EasyOCR's detector; null: fp32 for easyocr; for easyocr-fast fp16 where the "
        "driver has a GPU, else int8",
    )
    canvas_size: int = Field(
        2560,
        ge=32,
        description="Longest side the detector sees, px (EasyOCR's default); a square image of it takes a "
        "worker to 4 to 5.5 GB, of 1280 px to 2 GB",
    )
    mag_ratio: float = Field(1.0, gt=0, description="Magnification before detection (EasyOCR's default)")
    model_directory: Path | None = Field(
        None, description="Folder with EasyOCR weights; null: packaged English ones"
    )
    batch_size: int = Field(4, ge=1, description="Images read and decoded ahead of the spotter")


class OverlapConfig(Section):
    """Stage `overlap`: caption words against spotted words."""

    min_confidence: Share = Field(
        0.3, description="Spotted words below this confidence do not count for CoTR"
    )
    detection_confidence: Share = Field(
        0.0,
        description="A reading with a letter or digit from this confidence on means that the image has text",
    )

    @model_validator(mode="after")
    def _what_counts_is_detected(self) -> OverlapConfig:
        if self.detection_confidence > self.min_confidence:
            raise ValueError(
                f"detection_confidence ({self.detection_confidence}) must be at most min_confidence "
                f"({self.min_confidence})"
            )
        return self


class NgramsConfig(Section):
    """Stage `ngrams`: the n-gram vocabularies."""

    top: int = Field(400_000, ge=1, description="Grams kept per vocabulary, the most frequent ones")


class RemoveTextConfig(Section):
    """Stage `remove_text`: how visible text is filled in, and the CLIP models that score the result."""

    models: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="CLIP models side by side, each NAME/TAG, NAME/FILE or NAME/random-SEED, with the precision "
        "of embed; null: the model of embed",
    )
    fill: Literal["telea", "mean_color"] = Field(
        "telea",
        description="telea (the paper's), or mean_color: each piece in its surroundings' mean (T-MARS)",
    )
    radius: int = Field(3, ge=1, le=100, description="Radius of telea, px (the paper gives none)")
    dilation: int = Field(
        0, ge=0, le=200, description="Polygons are widened by this on all sides, px (the paper gives none)"
    )
    seed: int = Field(0, description="Seed of the order that gives each sample its donor of random polygons")
    batch_size: int = Field(16, ge=1, description="Samples per batch (up to five images each)")


class RenderTextConfig(Section):
    """Stage `render_text`: n-grams as pictures, scored against themselves."""

    models: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="CLIP models side by side, named as for remove_text; null: the model of embed",
    )
    font: Path | None = Field(None, description="TrueType or OpenType file; null: DejaVu Sans")
    limit_per_vocabulary: int | None = Field(
        None,
        ge=1,
        description="Render only this many grams per vocabulary, the most frequent ones; null: all",
    )
    batch_size: int = Field(8, ge=1, description="Grams per forward pass, each in its four styles")


class StatisticsConfig(Section):
    """Stage `statistics`: the published quantities."""

    stop_words: tuple[StopWords, ...] = Field(
        ("english",),
        description="Languages whose stop words (Spark's lists) are left out where content words are compared",
    )


class ReportConfig(Section):
    """Stage `report`: the HTML file."""

    output: str | None = Field(
        None, description="File or URI of the report; null: report.html in the warehouse"
    )
    samples_per_type: int = Field(8, ge=0, description="Gallery samples per image type")
    cluster_groups: int = Field(
        12, ge=0, description="Groups of clusters shown per dataset, the largest first"
    )
    samples_per_group: int = Field(4, ge=0, description="Gallery samples per group of clusters")
    seed: int = Field(0, description="Seed of the gallery's sample")
    removal_samples: int = Field(
        6,
        ge=0,
        description="Gallery samples whose score falls most, and rises most, when their text is removed",
    )
    blur_unsafe: bool = Field(
        True, description="Whether images that the source marks as unsafe are blurred in the gallery"
    )


class RunnerConfig(Section):
    """How sample-level stages are cut into chunks and when they give up."""

    chunk_seconds: float = Field(120, gt=0, description="Aim for this long between two commits")
    first_chunk: int | None = Field(
        None, ge=1, description="Samples of the first chunk; null: 256 with a model, else 200,000"
    )
    chunks_in_flight: int = Field(
        2,
        ge=1,
        description="Chunks computed at once: while one ends and is committed, the next keeps the cores busy; a "
        "killed run loses those that are not committed",
    )
    slice_batches: int = Field(
        4,
        ge=1,
        description="Model batches per Spark task; fewer where that gives a core less than twenty tasks",
    )
    max_failed_share: Share = Field(
        0.5, description="A chunk with a larger share of failed rows stops the stage"
    )
    min_failed_rows: int = Field(10, ge=1, description="...if at least this many rows failed")


class SessionConfig(Section):
    """The Spark session, where parrot starts it itself. A cluster's own session is taken as it is."""

    master: str = Field(
        "local[*,2]",
        description="Spark master of a local session; after the comma: attempts per task, the second of which "
        "outlives images that kill the model's process",
    )
    driver_memory: str = Field("2g", description="Memory of the local JVM")
    shuffle_partitions: int = Field(4, ge=1, description="Shuffle partitions of a local session")
    gpus_per_task: float = Field(
        0, ge=0, description="GPUs a model task asks for; 0: none (Spark 4 on a cluster)"
    )
    spark: dict[str, str] = Field(default_factory=dict, description="Further Spark settings")


class TrackingConfig(Section):
    """MLflow."""

    enabled: bool = Field(True, description="Whether runs are tracked")
    uri: str | None = Field(
        None,
        description="Tracking URI; null: MLFLOW_TRACKING_URI, else Databricks' own, else SQLite in the warehouse",
    )
    experiment: str = Field("parrot", description="Experiment name (a workspace path on Databricks)")
    job: str | None = Field(
        None,
        pattern=r"^[^'`\"]{1,100}$",
        description="Id of the job run that this is a task of: all tasks of one id share one MLflow run",
    )
