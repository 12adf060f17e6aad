"""Table `stat_text_area_score`: images by area of co-emb text and CLIP score (the density of the paper's Fig. 4b)."""

from pyspark.sql.types import DoubleType, IntegerType, LongType, StringType

from schemas._table import column, statistic_table

TABLE = statistic_table(
    "stat_text_area_score",
    "one area of co-emb words and one CLIP score, both binned, of one dataset under one model: its images",
    [
        column("model", StringType(), "open_clip model and weights", nullable=False),
        column(
            "area_bin",
            IntegerType(),
            "Bin of the area ratio as `bin` of stat_text_area, from 0 in ascending order",
            nullable=False,
        ),
        column(
            "area_low",
            DoubleType(),
            "Lower end, included: sum of a sample's co-emb words' clipped polygon areas over the image's area",
            nullable=False,
        ),
        column("area_high", DoubleType(), "Upper end, not included; null: no upper end"),
        column(
            "score_bin",
            IntegerType(),
            "Scores from score_bin / 100, up to but without (score_bin + 1) / 100",
            nullable=False,
        ),
        column("score_low", DoubleType(), "Lower end of the score's bin", nullable=False),
        column("score_high", DoubleType(), "Upper end of the score's bin", nullable=False),
        column(
            "images",
            LongType(),
            "Images with co-emb text, a caption word and a score; pairs of bins without images have no row",
            nullable=False,
        ),
    ],
    key=("model", "area_bin", "score_bin"),
)
