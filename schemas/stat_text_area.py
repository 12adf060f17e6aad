"""Table `stat_text_area`: area of co-emb text against CLIP score (paper Fig. 4b)."""

from pyspark.sql.types import DoubleType, IntegerType, LongType, StringType

from schemas._table import column, statistic_table, with_interval

TABLE = statistic_table(
    "stat_text_area",
    "one bin of the area that co-emb words cover in one dataset's images: CLIP scores under one model",
    [
        column("model", StringType(), "open_clip model and weights", nullable=False),
        column("bin", IntegerType(), "Bin of the area ratio, from 0 in ascending order", nullable=False),
        column(
            "low",
            DoubleType(),
            "Lower end, included: sum of a sample's co-emb words' clipped polygon areas over the image's area",
            nullable=False,
        ),
        column("high", DoubleType(), "Upper end, not included; null: no upper end"),
        column(
            "images",
            LongType(),
            "Images with co-emb text, a caption word and a score",
            nullable=False,
        ),
        *with_interval("mean", "Mean CLIP score"),
        column("p05", DoubleType(), "5th percentile of the scores, rounded to 4 digits before"),
        column("p25", DoubleType(), "25th percentile"),
        column("p50", DoubleType(), "Median"),
        column("p75", DoubleType(), "75th percentile"),
        column("p95", DoubleType(), "95th percentile"),
    ],
    key=("model", "bin"),
)
