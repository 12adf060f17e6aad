"""Table `clip_embeddings`: CLIP vectors and score of each sample under one model."""

from pyspark.sql.types import ArrayType, FloatType, StringType

from schemas._table import column, sample_table

TABLE = sample_table(
    "clip_embeddings",
    "one sample under one CLIP model",
    [
        column(
            "model", StringType(), "open_clip model and weights, as NAME/TAG or NAME/FILE", nullable=False
        ),
        column("image_vector", ArrayType(FloatType(), containsNull=False), "Image embedding, L2-normalised"),
        column(
            "caption_vector",
            ArrayType(FloatType(), containsNull=False),
            "Caption embedding, L2-normalised; null where there is no caption",
        ),
        column(
            "clip_score", FloatType(), "Cosine of image and caption vector, -1 to 1; null without a caption"
        ),
    ],
)
