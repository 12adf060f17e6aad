"""The one list of stages. Command line, documentation and job definitions are derived from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spark_jobs.errors import ConfigError
from udfs.names import did_you_mean


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    Attributes:
        name: Its name on the command line; also the name of its file in `spark_jobs/stages` and of its
            section of the configuration.
        meaning: What it does, one line.
        reads: Tables it reads.
        writes: Tables it writes.
        uses_model: Whether it runs a model in Python workers (and gains from GPUs).
        profiles: Whether `parrot run` without stage names includes it.
        chooses_model: Whether it chooses which CLIP model's vectors it reads, where several stand side by side.
        needs_dataset: Whether it works on one dataset, which must be named where the warehouse holds several.
    """

    name: str
    meaning: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    uses_model: bool = False
    profiles: bool = True
    chooses_model: bool = False
    needs_dataset: bool = True


# Tables of published numbers: `statistics` writes them all, the report shows them all.
STATISTICS = (
    "stat_overall",
    "stat_chance",
    "stat_clip_score",
    "stat_score_filter",
    "stat_curation_score",
    "stat_cluster",
    "stat_cluster_top",
    "stat_synthetic_text",
    "stat_cotr_histogram",
    "stat_clip_score_histogram",
    "stat_caption_words",
    "stat_text_area",
    "stat_text_area_score",
    "stat_word_area",
    "stat_text_removal",
    "stat_text_removal_cluster",
    "stat_relative_score",
)
STAGES: tuple[Stage, ...] = (
    Stage("ingest", "List the source's samples and where their images lie", (), ("samples", "images")),
    Stage(
        "download",
        "Fetch the images of samples that have only a URL (img2dataset); runs when it is named",
        ("samples", "images"),
        ("images",),
        profiles=False,
    ),
    Stage(
        "embed",
        "CLIP vectors of image and caption, and their cosine",
        ("samples", "images"),
        ("clip_embeddings",),
        uses_model=True,
    ),
    Stage(
        "cluster",
        "Clusters of the image vectors (PCA, k-means), merged into groups",
        ("clip_embeddings",),
        ("cluster_models", "cluster_assignments"),
    ),
    Stage(
        "deduplicate",
        "Near-duplicate images inside clusters, by SemDeDup's rule",
        ("clip_embeddings", "cluster_assignments"),
        ("near_duplicates",),
        profiles=False,
    ),
    Stage(
        "aesthetic",
        "Aesthetic scores of the image vectors, by one of LAION's heads",
        ("clip_embeddings",),
        ("aesthetic_scores",),
        profiles=False,
        chooses_model=True,
    ),
    Stage(
        "spot_text",
        "Read the text that is visible in each image",
        ("samples", "images"),
        ("spotted_text",),
        uses_model=True,
    ),
    Stage(
        "overlap",
        "Compare caption words with spotted words: CoTR, fuzzy CoTR, image type",
        ("samples", "spotted_text"),
        ("caption_overlap",),
    ),
    Stage(
        "remove_text",
        "CLIP scores with the visible text filled in, beside the raw ones: RSA, RSC",
        ("samples", "images", "spotted_text", "caption_overlap"),
        ("text_removal_scores",),
        uses_model=True,
    ),
    Stage(
        "ngrams",
        "The most frequent words and word pairs of captions, and words of co-emb text",
        ("samples", "caption_overlap"),
        ("ngram_vocabulary",),
    ),
    Stage(
        "render_text",
        "CLIP scores of rendered n-grams against themselves: synthetic text",
        ("ngram_vocabulary",),
        ("synthetic_text_scores",),
        uses_model=True,
        profiles=False,
    ),
    Stage(
        "statistics",
        "The paper's tables and figures: image types, CoTR, CLIP scores, clusters, text removal, Sync scores",
        (
            "caption_overlap",
            "clip_embeddings",
            "cluster_assignments",
            "text_removal_scores",
            "ngram_vocabulary",
            "synthetic_text_scores",
        ),
        STATISTICS,
    ),
    Stage(
        "curate",
        "Build named subsets: predicates over the measures, exact draws by hash, attrition",
        (
            "samples",
            "images",
            "clip_embeddings",
            "cluster_assignments",
            "spotted_text",
            "caption_overlap",
            "text_removal_scores",
            "aesthetic_scores",
            "near_duplicates",
        ),
        ("subsets", "subset_members"),
        profiles=False,
    ),
    Stage(
        "train_clip",
        "Train a CLIP model on an export; runs when it is named",
        (),
        ("training_runs",),
        profiles=False,
        needs_dataset=False,
    ),
    Stage(
        "evaluate_clip",
        "What CLIP models see and what they spot: zero-shot, retrieval, words, typographic attack, RSA",
        ("training_runs", "ngram_vocabulary", "text_removal_scores", "caption_overlap"),
        ("evaluation_results",),
        profiles=False,
    ),
    Stage(
        "report",
        "One HTML file with the numbers, plots and galleries",
        (
            "samples",
            "images",
            "clip_embeddings",
            "spotted_text",
            "caption_overlap",
            "cluster_assignments",
            "text_removal_scores",
            *STATISTICS,
            "subsets",
            "training_runs",
            "evaluation_results",
        ),
        (),
        needs_dataset=False,
    ),
)
_BY_NAME = {stage.name: stage for stage in STAGES}


def select(names: Sequence[str]) -> list[Stage]:
    """The named stages in pipeline order; those that profile where none is named.

    Raises:
        ConfigError: If a name is unknown; names the valid ones.
    """
    unknown = [name for name in names if name not in _BY_NAME]
    if unknown:
        hint = did_you_mean(unknown[0], _BY_NAME)
        raise ConfigError(f"unknown stage {', '.join(unknown)}.{hint} Stages: {', '.join(_BY_NAME)}")
    return [stage for stage in STAGES if (stage.name in names if names else stage.profiles)]


def maker_of(table: str) -> str:
    """The stage that writes a table; the first where there are several (`images`)."""
    return next(iter(makers_of(table)), "the stage that makes it")


def run_first(table: str) -> str:
    """What to do about a table that is not there, for the end of a sentence."""
    return f"run `parrot run {maker_of(table)}` first"


def makers_of(table: str) -> list[str]:
    """All stages that write a table, in order."""
    return [stage.name for stage in STAGES if table in stage.writes]


def is_profiled(table: str) -> bool:
    """Whether `parrot run` without stage names makes a table."""
    return any(stage.profiles for stage in STAGES if table in stage.writes)
