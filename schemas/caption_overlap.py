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
        column(
            "caption_words",
            _WORDS,
            "Distinct normalised caption words, in order; none where they cannot be told apart",
        ),
        column("co_emb_words", _WORDS, "Caption words that the picture shows too (co-emb text)"),
        column(
            "spotted_words",
            _WORDS,
            "Distinct normalised words of the spotted words that count, in reading order",
        ),
        column(
            "text_detected",
            BooleanType(),
            "Whether the spotter read a letter or digit, at or above the detection confidence",
        ),
        column(
            "spotted_word_count",
            IntegerType(),
            "Words that count: with a letter or digit, spotted at or above the minimum confidence",
        ),
        column(
            "mean_confidence",
            DoubleType(),
            "Mean confidence of the words that count, 0 to 1, to six decimals; null without such words",
        ),
        column(
            "used_words",
            ArrayType(USED_WORD),
            "Words that count, in reading order; null where text was not spotted",
        ),
        column(
            "cotr",
            DoubleType(),
            "Co-embedded text rate, 0 to 1, normalised words; null where cotr_reason says why",
        ),
        column("cotr_verbatim", DoubleType(), "CoTR of Algorithm 1 to the letter: str.split(), case kept"),
        column(
            "fuzzy_cotr",
            DoubleType(),
            "Mean over caption words of the best normalised Levenshtein similarity; 0 without text",
        ),
        column(
            "cotr_reason",
            StringType(),
            "Why there is no CoTR: no_words (in the caption), or script_without_spaces (its words cannot be told "
            "apart: name its language in spot_text.languages); null where there is one",
        ),
        column(
            "image_type",
            StringType(),
            "no_text (none detected), text_not_concurrent, or concurrent (CoTR > 0: a parrot caption)",
        ),
    ],
)
