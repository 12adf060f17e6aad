"""Section `evaluate_clip` of the configuration."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from spark_jobs.sections import Section


class EvaluateClipConfig(Section):
    """Stage `evaluate_clip`: what CLIP models see, and what they spot."""

    models: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="CLIP models, each NAME/TAG or NAME/FILE; null: every model in table training_runs",
    )
    tasks: Path | None = Field(
        None,
        description="Folder with a folder per task, as clip_benchmark's wds data sets are; null: no tasks",
    )
    wanted: tuple[str, ...] | None = Field(
        None, min_length=1, description="Tasks that must be there, by folder name; null: those that are there"
    )
    words: Path | None = Field(
        None,
        description="File with a word per line for Sync score and word retrieval; null: the dataset's most "
        "frequent caption words (stage ngrams)",
    )
    word_count: int = Field(1000, ge=2, description="Words at most, the first of the list")
    attack: bool = Field(
        True, description="Whether wrong class names are written on the images of each classification"
    )
    relative_scores: bool = Field(
        True,
        description="Whether stage remove_text scores the dataset under the models: RSA, RSC, the paper's Fig. 9",
    )
    seed: int = Field(0, ge=0, description="Seed of wrong names and of where they are written")
    batch_size: int = Field(64, ge=1, description="Images per forward pass")
