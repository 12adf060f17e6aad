"""Table `cluster_assignments`: the cluster of each sample's image under one cluster model."""

from pyspark.sql.types import FloatType, IntegerType, StringType

from schemas._table import column, sample_table

TABLE = sample_table(
    "cluster_assignments",
    "one sample's cluster under one cluster model",
    [
        column("model_version", StringType(), "The model, as cluster_models names it; null without one"),
        column("cluster", IntegerType(), "Nearest centroid (position in cluster_models), from 0"),
        column("cluster_group", IntegerType(), "Group that the cluster is merged into, from 0"),
        column("distance", FloatType(), "L2 distance to the centroid in PCA space"),
    ],
)
