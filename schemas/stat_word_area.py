"""Table `stat_word_area`: area of a single co-emb word against other spotted words (paper Fig. 4c)."""

from pyspark.sql.types import BooleanType, DoubleType, IntegerType, LongType

from schemas._table import column, statistic_table, with_interval

TABLE = statistic_table(
    "stat_word_area",
    "one bin of the area of single spotted words of one dataset, of co-emb words or of the others",
    [
        column("co_emb", BooleanType(), "Whether the words are in their captions", nullable=False),
        column("bin", IntegerType(), "Bin of the area ratio, from 0 in ascending order", nullable=False),
        column(
            "low",
            DoubleType(),
            "Lower end, included: area of the word's clipped polygon over the image's area",
            nullable=False,
        ),
        column("high", DoubleType(), "Upper end, not included; null: no upper end"),
        column(
            "words",
            LongType(),
            "Spotted words in it, of images whose caption has a word",
            nullable=False,
        ),
        column("share", DoubleType(), "words over all words that are co-emb text (or over all that are not)"),
        *with_interval("mean_area_ratio", "Mean area ratio of the words in it; null without words"),
    ],
    key=("co_emb", "bin"),
)
