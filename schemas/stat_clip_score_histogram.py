"""Table `stat_clip_score_histogram`: the distribution of CLIP scores by image type."""

from pyspark.sql.types import DoubleType, IntegerType, LongType, StringType

from schemas._table import column, statistic_table

TABLE = statistic_table(
    "stat_clip_score_histogram",
    "one bin of the CLIP scores of one image type of one dataset under one CLIP model",
    [
        column("model", StringType(), "open_clip model and weights", nullable=False),
        column("image_type", StringType(), "no_text, text_not_concurrent or concurrent", nullable=False),
        column(
            "bin",
            IntegerType(),
            "Scores from bin / 100, up to but without (bin + 1) / 100; bins without images have no row",
            nullable=False,
        ),
        column("low", DoubleType(), "Lower end of the bin", nullable=False),
        column("high", DoubleType(), "Upper end of the bin", nullable=False),
        column("images", LongType(), "Images with a caption word and a score in it", nullable=False),
    ],
    key=("model", "image_type", "bin"),
)
