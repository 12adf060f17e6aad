"""Table `stat_score_filter`: how many parrot captions a filter on CLIP score leaves."""

from pyspark.sql.types import DoubleType, LongType, StringType

from schemas._table import column, statistic_table, with_interval

TABLE = statistic_table(
    "stat_score_filter",
    "one threshold of a filter on the CLIP score of one dataset: what it keeps",
    [
        column("model", StringType(), "open_clip model and weights", nullable=False),
        column(
            "threshold",
            DoubleType(),
            "Scores from here on are kept: 0 to 0.5 in steps of 0.01 (LAION-2B used 0.28), and -1 for no filter",
            nullable=False,
        ),
        column("images", LongType(), "Images kept, of those with a caption word and a score", nullable=False),
        column("images_with_text", LongType(), "Of these: images with embedded text", nullable=False),
        column(
            "images_concurrent",
            LongType(),
            "Of these: images with co-emb text (parrot captions)",
            nullable=False,
        ),
        *with_interval("share_kept", "images over the images before the filter"),
        *with_interval("share_with_text", "images_with_text / images"),
        *with_interval("share_concurrent", "images_concurrent / images"),
    ],
    key=("model", "threshold"),
)
