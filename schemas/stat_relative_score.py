"""Table `stat_relative_score`: distributions of RSA, RSC and the other paired differences (paper's Fig. 5, right)."""

from pyspark.sql.types import ArrayType, DoubleType, LongType, StringType, StructType

from schemas._table import column, statistic_table, with_interval
from schemas.text_removal_scores import DIFFERENCES

RELATIVE_SCORES = tuple(DIFFERENCES)
"""The relative scores, as columns of `text_removal_scores` name them."""
BIN_WIDTH = 0.02
"""Width of a histogram's bin, in CLIP score; 0 is a boundary, so that no bin mixes rises with drops."""

BIN = StructType(
    [
        column("low", DoubleType(), f"Lower end, included; the bin ends before low + {BIN_WIDTH}"),
        column("images", LongType(), "Images in the bin"),
    ]
)
TABLE = statistic_table(
    "stat_relative_score",
    "one relative score of the text removal under one CLIP model: its distribution over the images that have it",
    [
        column("model", StringType(), "open_clip model and weights", nullable=False),
        column(
            "relative_score",
            StringType(),
            "rsa: raw minus All-Emb. removed; rsc: raw minus Co-Emb. removed; the others: the paired difference "
            "that their name says, of raw, random_all and random_co (random removals), all and co (removed)",
            nullable=False,
        ),
        column("images", LongType(), "Images with this relative score", nullable=False),
        *with_interval("mean", "Mean; null without an image"),
        column("std", DoubleType(), "Sample standard deviation; null below two images"),
        column("p05", DoubleType(), "5th percentile of the values, rounded to 4 digits before"),
        column("p25", DoubleType(), "25th percentile"),
        column("p50", DoubleType(), "Median"),
        column("p75", DoubleType(), "75th percentile"),
        column("p95", DoubleType(), "95th percentile"),
        column(
            "images_below_zero",
            LongType(),
            "Images below 0; of rsa and rsc: the CLIP score rises when the text is removed",
            nullable=False,
        ),
        *with_interval("share_below_zero", "images_below_zero / images"),
        column("histogram", ArrayType(BIN), "Bins that hold an image, from low to high", nullable=False),
    ],
    key=("model", "relative_score"),
)
