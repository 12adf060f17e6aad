"""Table `stat_cotr_histogram`: the distribution of the co-embedded text rate, in each of its readings."""

from pyspark.sql.types import DoubleType, IntegerType, LongType, StringType

from schemas._table import column, statistic_table, with_interval

TABLE = statistic_table(
    "stat_cotr_histogram",
    "one bin of one reading of the co-embedded text rate of one dataset",
    [
        column("measure", StringType(), "cotr, cotr_verbatim or fuzzy_cotr", nullable=False),
        column(
            "bin",
            IntegerType(),
            "0: a rate of exactly 0; 1 to 20: above low, up to and including high",
            nullable=False,
        ),
        column("low", DoubleType(), "Lower end of the bin, 0 to 1", nullable=False),
        column("high", DoubleType(), "Upper end of the bin, 0 to 1", nullable=False),
        column("images", LongType(), "Images: text spotted and caption has a word", nullable=False),
        column("images_with_text", LongType(), "Of these: images with embedded text", nullable=False),
        *with_interval(
            "mean_caption_words",
            "Mean number of distinct caption words of the images with text; null without one",
        ),
    ],
    key=("measure", "bin"),
)
