"""Table `stat_clip_score`: CLIP score by image type."""

from pyspark.sql.types import DoubleType, LongType, StringType

from schemas._table import column, statistic_table, with_interval

TABLE = statistic_table(
    "stat_clip_score",
    "one image type of one dataset under one CLIP model: the distribution of its CLIP scores",
    [
        column("model", StringType(), "open_clip model and weights", nullable=False),
        column("image_type", StringType(), "no_text, text_not_concurrent or concurrent", nullable=False),
        column("images", LongType(), "Images with a caption word and a score", nullable=False),
        *with_interval("mean", "Mean CLIP score"),
        column("std", DoubleType(), "Sample standard deviation; null for a single image"),
        column("p05", DoubleType(), "5th percentile of the scores, rounded to 4 digits before"),
        column("p25", DoubleType(), "25th percentile"),
        column("p50", DoubleType(), "Median"),
        column("p75", DoubleType(), "75th percentile"),
        column("p95", DoubleType(), "95th percentile"),
    ],
    key=("image_type",),
)
