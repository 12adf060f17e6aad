"""Table `spotted_text`: the text that a spotter reads in each image."""

from pyspark.sql.types import (
    ArrayType,
    DoubleType,
    FloatType,
    IntegerType,
    StringType,
    StructField,
    StructType,
)

from schemas._table import column, sample_table

# Delta knows no NOT NULL inside arrays, so nothing nested is declared so.
POINT = StructType([StructField("x", FloatType()), StructField("y", FloatType())])
POLYGON = ArrayType(POINT)
LINE = StructType(
    [
        column("text", StringType(), "The raw reading"),
        column("confidence", FloatType(), "Spotter's confidence, 0 to 1, rounded to 4 digits"),
        column("polygon", POLYGON, "Corners in px of the EXIF-upright image, clipped to it"),
    ]
)
WORD = StructType(
    [
        *LINE.fields,
        column("line", IntegerType(), "Index into `lines` of the reading the word stands in"),
    ]
)

TABLE = sample_table(
    "spotted_text",
    "one sample's visible text (embedded text) as one spotter reads it",
    [
        column("spotter", StringType(), "Text spotter and its languages", nullable=False),
        column("words", ArrayType(WORD), "Whitespace words of the lines, in reading order"),
        column("lines", ArrayType(LINE), "Raw readings with text, in the spotter's order"),
        column(
            "text_area_ratio",
            DoubleType(),
            "Sum of the clipped line polygons' areas over the image's area; 0 without text",
        ),
        column("image_width", IntegerType(), "Width of the decoded image that polygons refer to, px"),
        column("image_height", IntegerType(), "Height of the decoded image that polygons refer to, px"),
    ],
)
