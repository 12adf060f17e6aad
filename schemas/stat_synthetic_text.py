"""Table `stat_synthetic_text`: Sync scores by model, vocabulary and style; by frequency; by text length."""

from pyspark.sql.types import DoubleType, LongType, StringType

from schemas._table import column, statistic_table, with_interval

TABLE = statistic_table(
    "stat_synthetic_text",
    "the Sync score of one vocabulary under one CLIP model and style: of all grams, or of a band of them",
    [
        column("model", StringType(), "open_clip model and weights", nullable=False),
        column("vocabulary", StringType(), "caption_1gram, caption_2gram or co_emb_1gram", nullable=False),
        column(
            "style",
            StringType(),
            "Colours as TEXT-BACKGROUND (black-white, ...), or all: every style counted alike",
            nullable=False,
        ),
        column(
            "grouping",
            StringType(),
            "all; frequency: bands of the gram's count (decades); length: bands of its number of characters "
            "(a 2-gram's blank counted); tokens: its number of CLIP's BPE tokens",
            nullable=False,
        ),
        column(
            "band_from",
            LongType(),
            "Lowest count, length or number of tokens of the band; 0 for grouping all",
            nullable=False,
        ),
        column(
            "band_to", LongType(), "Highest count, length or number of tokens of the band; null: no upper end"
        ),
        column("grams", LongType(), "Grams with a score", nullable=False),
        column("images", LongType(), "Rendered images with a score: grams times styles", nullable=False),
        column("grams_overflowing", LongType(), "Of the grams: wider than the canvas", nullable=False),
        *with_interval("mean", "Sync score: mean cosine of rendered gram and gram, over the images"),
        column("std", DoubleType(), "Sample standard deviation over the images; null for a single one"),
    ],
    key=("model", "vocabulary", "style", "grouping", "band_from"),
)
