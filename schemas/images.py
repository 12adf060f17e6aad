"""Table `images`: where each sample's image lies in storage, and what it is."""

from pyspark.sql.types import IntegerType, LongType, StringType

from schemas._table import column, sample_table

REFERENCE_COLUMNS = ("image_uri", "image_offset", "image_length", "image_row")
"""The columns that say where an image lies, in the order of `udfs.image_refs.ImageRef`."""

TABLE = sample_table(
    "images",
    "one sample's image: a reference into storage, never a copy",
    [
        column(
            "image_uri", StringType(), "File that holds the image: the image itself, a tar or a Parquet file"
        ),
        column("image_offset", LongType(), "First byte of the image in the file; null for a whole file"),
        column("image_length", LongType(), "Length of the image in the file, bytes; null for a whole file"),
        column("image_row", LongType(), "Row of the Parquet file that holds the image, from 0; else null"),
        column("format", StringType(), "Format that the image's first bytes show (JPEG, PNG, WEBP, ...)"),
        column("width", IntegerType(), "Real width, px, EXIF-upright"),
        column("height", IntegerType(), "Real height, px, EXIF-upright"),
        column("sha256", StringType(), "SHA-256 of the stored image bytes, hex, where they were read"),
    ],
)
