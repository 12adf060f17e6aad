"""Table `stat_cluster`: image types and scores by cluster and by group of clusters."""

from pyspark.sql.types import IntegerType, LongType, StringType

from schemas._table import column, statistic_table, with_interval

TABLE = statistic_table(
    "stat_cluster",
    "one cluster, or one group of clusters, of one dataset: its image types, CLIP score and CoTR",
    [
        column("level", StringType(), "cluster, or group (clusters merged)", nullable=False),
        column(
            "cluster_id",
            IntegerType(),
            "Cluster or group; -1: samples without an image vector, so that sums are the dataset's",
            nullable=False,
        ),
        column("samples", LongType(), "Samples in it (its size)", nullable=False),
        column("images", LongType(), "Of these: text spotted and caption has a word", nullable=False),
        column("images_no_text", LongType(), "Images without embedded text", nullable=False),
        column(
            "images_text_not_concurrent",
            LongType(),
            "Images with embedded text, none of it in the caption",
            nullable=False,
        ),
        column(
            "images_concurrent",
            LongType(),
            "Images with co-embedded text (parrot captions)",
            nullable=False,
        ),
        *with_interval("share_no_text", "images_no_text / images"),
        *with_interval("share_text_not_concurrent", "images_text_not_concurrent / images"),
        *with_interval("share_concurrent", "images_concurrent / images"),
        *with_interval("cotr", "Mean CoTR over images, no-text images counted 0"),
        column("scored", LongType(), "Of the images: those with a CLIP score", nullable=False),
        *with_interval("mean_clip_score", "Mean CLIP score over the scored images"),
    ],
    key=("level", "cluster_id"),
)
