"""Table `stat_cluster_top`: the best-scored samples of each group of clusters (paper's Fig. 3b)."""

from pyspark.sql.types import DoubleType, FloatType, IntegerType, StringType

from schemas._table import column, statistic_table

TABLE = statistic_table(
    "stat_cluster_top",
    "one of the ten samples of a group of clusters with the highest CLIP scores",
    [
        column("cluster_group", IntegerType(), "Group of clusters", nullable=False),
        column("place", IntegerType(), "1: the highest score of the group", nullable=False),
        column("sample_id", StringType(), "The sample", nullable=False),
        column("model", StringType(), "open_clip model and weights of the score", nullable=False),
        column("clip_score", FloatType(), "CLIP score, -1 to 1", nullable=False),
        column("image_type", StringType(), "no_text, text_not_concurrent or concurrent", nullable=False),
        column("cotr", DoubleType(), "Co-embedded text rate"),
    ],
    key=("cluster_group", "place"),
)
