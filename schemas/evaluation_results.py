"""Table `evaluation_results`: what CLIP models see and spot, a number a row."""

from pyspark.sql.types import DoubleType, LongType, StringType, StructType

from schemas._table import PROVENANCE, SAMPLE_KEY, TableSpec, column

TABLE = TableSpec(
    name="evaluation_results",
    meaning="one number about one CLIP model: task, metric, value, interval, chance",
    schema=StructType(
        [
            SAMPLE_KEY[0],
            column(
                "evaluation",
                StringType(),
                "Id of the evaluation: hash of the model's weights, the tasks and words, and the settings",
                nullable=False,
            ),
            column("model", StringType(), "CLIP model as NAME/TAG or NAME/FILE", nullable=False),
            column("weights", StringType(), "SHA-256 of its weights", nullable=False),
            column("training", StringType(), "Its row of training_runs; null for other models"),
            column("task", StringType(), "Task folder, synthetic_text, datacomp, or dataset", nullable=False),
            column("metric", StringType(), "acc1, word_retrieval@1, rsa, ...", nullable=False),
            column("value", DoubleType(), "The number"),
            column("samples", LongType(), "What it is a mean over"),
            column("low", DoubleType(), "Lower end of the 95 % interval; null where there is none"),
            column("high", DoubleType(), "Upper end"),
            column("chance", DoubleType(), "What a model that knows nothing gives; null where not known"),
            *PROVENANCE,
        ]
    ),
    key=("dataset", "evaluation", "task", "metric"),
    partition_by=("dataset", "evaluation"),
)
