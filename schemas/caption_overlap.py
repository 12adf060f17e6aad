"""Table `caption_overlap`: how much of each caption stands in its picture."""

from pyspark.sql.types import ArrayType, BooleanType, DoubleType, IntegerType, StringType, StructType

from schemas._table import column, sample_table

_WORDS = ArrayType(StringType(), containsNull=False)
# Delta knows no NOT NULL inside arrays, so nothing nested is declared so.
USED_WORD = StructType(
    [
        column("index", IntegerType(), "Index into `spotted_text.words`, from 0"),
        column("co_emb", BooleanType(), "Whether a normalised word of its text is a caption word"),
        column("area_ratio", DoubleType(), "Area of its clipped polygon over the image's area"),
    ]
)

TABLE = sample_table(
    "caption_overlap",
    "one sample's overlap of caption and spotted text",
    [
        column("caption_words", _WORDS, "Distinct normalised caption words, in order"),
        column("co_emb_words", _WORDS, "Caption words that the picture shows too (co-emb text)"),
        column("spotted_word_count", IntegerType(), "Words spotted at or above the minimum confidence"),
        column(
            "used_words",
            ArrayType(USED_WORD),
            "Words spotted at or above the minimum confidence, in reading order; null where none were read",
        ),
        column(
            "cotr",
            DoubleType(),
            "Co-embedded text rate, 0 to 1, normalised words; null without caption words",
        ),
        column("cotr_verbatim", DoubleType(), "CoTR of Algorithm 1 to the letter: str.split(), case kept"),
        column(
            "fuzzy_cotr",
            DoubleType(),
            "Mean over caption words of the best normalised Levenshtein similarity; 0 without text",
        ),
        column(
            "image_type",
            StringType(),
            "no_text, text_not_concurrent or concurrent (CoTR > 0: a parrot caption)",
        ),
    ],
)
