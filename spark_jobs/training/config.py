"""Section `train_clip` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from spark_jobs.sections import Section

FEEDS = ("parquet", "webdataset", "petastorm")


class TrainClipConfig(Section):
    """Stage `train_clip`: CLIP models trained on an export. What is null follows the preset.

    `paper-3m` and `paper-12m` are the paper's: batches of 4,096 and 8,192, AdamW with betas .9 and .98, cosine decay
    after a linear warm-up. The paper gives no epochs, learning rate, warm-up or weight decay for them: 32 epochs
    (of its 100M model), and DataComp's 5e-4, 500 steps and 0.2 stand in. `small` is for a CPU.
    `parrot-small` made the model of that name in the drawn world.
    """

    export: str | None = Field(
        None,
        description="Folder of the export: Parquet with images, or webdataset; local, or as an executor sees it",
    )
    output: Path | None = Field(
        None, description="Folder of checkpoints, seen by all processes; null: training in the warehouse"
    )
    preset: Literal["small", "parrot-small", "paper-3m", "paper-12m"] = Field(
        "small", description="Recipe that fills what is null"
    )
    model: str | None = Field(None, description="open_clip architecture; small: parrot-tiny, paper: RN50")
    init: Path | None = Field(
        None,
        description="Checkpoint to start from (safetensors, or a .pt of tensors); null: random by the seed",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of weights, order and crops")
    feed: Literal["auto", "parquet", "webdataset", "petastorm"] = Field(
        "auto",
        description="What reads the export; auto: by its format. parquet gives the same batches whatever the number "
        "of processes; petastorm wants an environment of its own (make train-env)",
    )
    samples_seen: int | None = Field(None, ge=1, description="Samples in all; small: 100,000")
    batch_size: int | None = Field(None, ge=2, description="Pairs per step, over all processes; small: 256")
    lr: float | None = Field(None, gt=0, description="Highest learning rate; small: 1e-3")
    warmup_steps: int | None = Field(None, ge=0, description="Steps of linear warm-up; small: 50")
    weight_decay: float | None = Field(None, ge=0, description="AdamW's, not on gains and biases; small: 0.1")
    beta1: float = Field(0.9, gt=0, lt=1, description="AdamW's first beta")
    beta2: float = Field(0.98, gt=0, lt=1, description="AdamW's second beta")
    eps: float = Field(1e-6, gt=0, description="AdamW's epsilon")
    clip_norm: float | None = Field(
        None, gt=0, description="Gradients are scaled down to this norm; null: never"
    )
    smallest_crop: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Smallest share of an image's area that a crop shows; 1: whole images, never cropped",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="Arithmetic; auto: fp32 on a CPU, else bf16, or fp16 where a GPU lacks it"
    )
    accumulate: int = Field(
        1, ge=1, description="Parts that a process's share of a batch is computed in, to save memory"
    )
    checkpoint_activations: bool = Field(
        False, description="Compute activations again in place of keeping them"
    )
    checkpoint_steps: int = Field(500, ge=1, description="Steps between checkpoints to resume from")
    processes: int = Field(1, ge=1, description="Processes; on GPUs one per GPU")
    threads: int | None = Field(
        None, ge=1, description="Threads per process; null: cores by processes of this machine"
    )
    decode_threads: int = Field(2, ge=1, description="Threads per process that decode images")
    shuffle_buffer: int = Field(
        5_000, ge=1, description="Samples that are shuffled together; petastorm holds them decoded"
    )
    python: Path | None = Field(
        None,
        description="Interpreter of the training processes (.venv-train/bin/python); null: this one, by Spark",
    )
    register_as: str | None = Field(
        None,
        description="Name under which MLflow registers it (Unity Catalog: catalog.schema.name); null: it does not",
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> TrainClipConfig:
        parts = self.processes * self.accumulate
        if self.batch_size is not None and self.batch_size % parts:
            raise ValueError(
                f"batch_size ({self.batch_size}) must be a multiple of processes x accumulate ({parts})"
            )
        return self
