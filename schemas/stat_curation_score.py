"""Table `stat_curation_score`: mean CLIP score of the paper's subsets (its Avg.S)."""

from pyspark.sql.types import LongType, StringType

from schemas._table import column, statistic_table, with_interval

TABLE = statistic_table(
    "stat_curation_score",
    "one of the paper's subsets (Curation I to III) of one dataset under one CLIP model: its mean raw score",
    [
        column("model", StringType(), "open_clip model and weights", nullable=False),
        column(
            "study",
            StringType(),
            "I: with and without text; II: by CoTR; III: by RSA and RSC (paper 6.1)",
            nullable=False,
        ),
        column("subset_id", StringType(), "Id of the built-in subset that it is", nullable=False),
        column(
            "images",
            LongType(),
            "Images that belong to it, with a caption word and a score; a training set is drawn of these",
            nullable=False,
        ),
        *with_interval("mean_clip_score", "Mean CLIP score of the unchanged images; null without one"),
    ],
    key=("model", "study", "subset_id"),
)
