"""Table `stat_text_removal`: the paper's Table 2, CLIP scores with and without the visible text."""

from pyspark.sql.types import DoubleType, LongType, StringType

from schemas._table import column, statistic_table, with_interval

REMOVAL_IMAGE_TYPES = (
    "raw_without_text",
    "raw_with_text",
    "random_all_removed",
    "all_removed",
    "raw_concurrent",
    "random_co_removed",
    "co_removed",
)
"""The six image types of the text removal (paper section 5.1), in the order of the paper's Table 2, and
`raw_concurrent`: the images of the Co-Emb. rows, unchanged."""

TABLE = statistic_table(
    "stat_text_removal",
    "one of the image types of the text removal under one CLIP model: its CLIP scores (paper's Table 2)",
    [
        column("model", StringType(), "open_clip model and weights", nullable=False),
        column("image_type", StringType(), ", ".join(REMOVAL_IMAGE_TYPES), nullable=False),
        column("images", LongType(), "Images of this type with a score", nullable=False),
        *with_interval("mean", "Mean CLIP score over the images; null without one"),
        column("std", DoubleType(), "Sample standard deviation over the images; null below two"),
        column(
            "groups",
            LongType(),
            "Groups of clusters that hold such an image; null without clusters or images",
        ),
        *with_interval(
            "mean_over_groups",
            "Unweighted mean of the groups' means; samples without a group are left out; null without groups",
        ),
        column(
            "spread_over_groups",
            DoubleType(),
            "Sample standard deviation of the groups' means (the paper's +/-); null below two groups",
        ),
        column(
            "images_hit",
            LongType(),
            "Of random removals: images whose own All-Emb. text they hit all the same; null for other types",
        ),
        column(
            "mean_hit_share",
            DoubleType(),
            "Of random removals: mean share of the own text's pixels that they fill in; null for other types",
        ),
    ],
    key=("model", "image_type"),
)
