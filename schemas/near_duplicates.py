"""Table `near_duplicates`: which samples repeat another image of their cluster (SemDeDup's rule)."""

from pyspark.sql.types import BooleanType, DoubleType, IntegerType, StringType

from schemas._table import column, sample_table

TABLE = sample_table(
    "near_duplicates",
    "one sample and the image of its cluster that it repeats, if any",
    [
        column("cluster", IntegerType(), "Cluster it was compared in, as cluster_assignments names it"),
        column(
            "is_duplicate",
            BooleanType(),
            "Whether similarity is above the threshold (1 - deduplicate.epsilon); null where not compared",
        ),
        column(
            "duplicate_of",
            StringType(),
            "sample_id of the earlier member that it is most similar to (may itself be a duplicate); else null",
        ),
        column(
            "similarity",
            DoubleType(),
            "Largest cosine of image vectors to any earlier member of the cluster, -1 to 1, to six decimals, "
            "also below the threshold; null for the first member",
        ),
    ],
)
