"""Table `training_runs`: CLIP models trained on subsets: what decides each, its checkpoint, how it went."""

from pyspark.sql.types import DoubleType, LongType, MapType, StringType, StructType

from schemas._table import PROVENANCE, SAMPLE_KEY, TableSpec, column

TABLE = TableSpec(
    name="training_runs",
    meaning="one trained CLIP model: subset, recipe, seed, checkpoint, how the training went",
    schema=StructType(
        [
            SAMPLE_KEY[0],
            column(
                "training",
                StringType(),
                "Id of the training: hash of recipe, seed, first weights, content of the subset and of its files",
                nullable=False,
            ),
            column("subset_id", StringType(), "Subset that it was trained on", nullable=False),
            column("content_hash", StringType(), "Hash of the subset's members", nullable=False),
            column("model", StringType(), "open_clip architecture", nullable=False),
            column("seed", LongType(), "Seed of weights, order and crops", nullable=False),
            column("recipe", StringType(), "Everything else that decides the training, JSON", nullable=False),
            column("first_weights", StringType(), "SHA-256 of the weights it started from", nullable=False),
            column("checkpoint", StringType(), "File of the trained weights, safetensors", nullable=False),
            column("checkpoint_sha256", StringType(), "Its SHA-256", nullable=False),
            column("steps", LongType(), "Optimiser steps"),
            column("samples_seen", LongType(), "Pairs seen, repeats counted"),
            column("samples_per_epoch", LongType(), "Pairs of the export that can be trained on"),
            column(
                "left_out",
                MapType(StringType(), LongType()),
                "Samples of the export that cannot be trained on, by reason",
            ),
            column("loss", DoubleType(), "Mean loss of the last twentieth of the steps"),
            column("seconds", DoubleType(), "Wall time of all steps, s"),
            column("samples_per_second", DoubleType(), "Pairs by that time"),
            column("data_wait_share", DoubleType(), "Share of that time spent waiting for pairs"),
            column("mlflow_run", StringType(), "MLflow run with its curve; null where nothing was tracked"),
            *PROVENANCE,
        ]
    ),
    key=("dataset", "training"),
    partition_by=("dataset", "training"),
)
