"""Table `subset_members`: the samples of each named subset; the authority on what a subset is."""

from pyspark.sql.types import StringType, StructType

from schemas._table import PROVENANCE, SAMPLE_KEY, TableSpec, column

TABLE = TableSpec(
    name="subset_members",
    meaning="one sample of one named subset",
    schema=StructType(
        [
            column("subset_id", StringType(), "The subset, as table subsets names it", nullable=False),
            *SAMPLE_KEY,
            PROVENANCE[0],
        ]
    ),
    key=("subset_id", "dataset", "sample_id"),
    partition_by=("dataset", "subset_id"),
)
