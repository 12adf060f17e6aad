"""Table `stat_chance`: parroting as observed, and as it would be by chance."""

from pyspark.sql.types import DoubleType, LongType, StringType

from schemas._table import column, interval, statistic_table, with_interval

TABLE = statistic_table(
    "stat_chance",
    "one statistic of parroting of one dataset, with own captions and with captions exchanged among its images",
    [
        column(
            "words",
            StringType(),
            "Caption words that count: all, or content (no stop words, no words of one character)",
            nullable=False,
        ),
        column("measure", StringType(), "Name of the statistic, as a column of stat_overall", nullable=False),
        column(
            "images",
            LongType(),
            "Images that it is over: read, of a caption with such a word, with text where the statistic says so",
            nullable=False,
        ),
        *with_interval("observed", "The statistic with each image's own caption"),
        *with_interval(
            "by_chance",
            "The same with the caption of another image, by a seeded exchange in which none keeps its own",
        ),
        column("difference", DoubleType(), "observed - by_chance, on the same images"),
        *interval("difference"),
    ],
    key=("words", "measure"),
)
