"""Table `stat_text_removal_cluster`: text removal by cluster and by group of clusters (paper's Fig. 5, left)."""

from pyspark.sql.types import IntegerType, LongType, StringType

from schemas._table import column, statistic_table, with_interval
from schemas.stat_text_removal import REMOVAL_IMAGE_TYPES

TABLE = statistic_table(
    "stat_text_removal_cluster",
    "one image type of the text removal in one cluster, or one group of clusters, under one CLIP model",
    [
        column("level", StringType(), "cluster, or group (clusters merged)", nullable=False),
        column(
            "cluster_id",
            IntegerType(),
            "Cluster or group; -1: samples without an image vector, so that sums are the dataset's",
            nullable=False,
        ),
        column("model", StringType(), "open_clip model and weights of the scores", nullable=False),
        column("image_type", StringType(), ", ".join(REMOVAL_IMAGE_TYPES), nullable=False),
        column("images", LongType(), "Images of this type with a score", nullable=False),
        *with_interval("mean", "Mean CLIP score over the images; null without one"),
    ],
    key=("level", "cluster_id", "model", "image_type"),
)
