"""Table `aesthetic_scores`: how pleasing each image is, by one of LAION's predictor heads."""

from pyspark.sql.types import FloatType, StringType

from schemas._table import column, sample_table

TABLE = sample_table(
    "aesthetic_scores",
    "one sample's aesthetic score under one head",
    [
        column("head", StringType(), "File name of the head that scored it", nullable=False),
        column(
            "aesthetic_score",
            FloatType(),
            "Predicted human rating, about 1 to 10 (not clipped); the source's own is samples.aesthetic",
        ),
    ],
)
