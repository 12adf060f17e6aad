"""Table `samples`: what the source says of each image-text pair."""

from pyspark.sql.types import DoubleType, IntegerType, StringType

from schemas._table import column, sample_table

TABLE = sample_table(
    "samples",
    "one image-text pair as its source describes it",
    [
        column("source_key", StringType(), "The source's own handle: img2dataset key, file name, row number"),
        column(
            "source_id",
            StringType(),
            "The source's own id as text (SAMPLE_ID, uid, hash), doubles as integers",
        ),
        column("url", StringType(), "Where the image came from, where the source says so"),
        column("caption", StringType(), "Alt text or caption, unchanged; null where missing"),
        column("width", IntegerType(), "Image width the source declares, px"),
        column("height", IntegerType(), "Image height the source declares, px"),
        column("similarity", DoubleType(), "CLIP cosine that the source ships, -1 to 1"),
        column("aesthetic", DoubleType(), "Aesthetic score that the source ships, about 0 to 10"),
        column("punsafe", DoubleType(), "Probability of unsafe content that the source ships, 0 to 1"),
        column("pwatermark", DoubleType(), "Probability of a watermark that the source ships, 0 to 1"),
        column("nsfw", StringType(), "Safety label that the source ships (UNLIKELY, UNSURE, NSFW)"),
    ],
)
