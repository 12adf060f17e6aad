"""Table `synthetic_text_scores`: how well a CLIP model matches a picture of a text with that text."""

from pyspark.sql.types import BooleanType, FloatType, IntegerType, StringType, StructType

from schemas._table import PROVENANCE, SAMPLE_KEY, STATUS, TableSpec, column

TABLE = TableSpec(
    name="synthetic_text_scores",
    meaning="one gram, rendered in one style, under one CLIP model",
    schema=StructType(
        [
            SAMPLE_KEY[0],
            column(
                "shard_id", StringType(), "The gram's block, as ngram_vocabulary names it", nullable=False
            ),
            column("sample_id", StringType(), "The gram, as ngram_vocabulary names it", nullable=False),
            column(
                "vocabulary", StringType(), "caption_1gram, caption_2gram or co_emb_1gram", nullable=False
            ),
            column("gram", StringType(), "The text that is rendered, and scored against", nullable=False),
            column(
                "style",
                StringType(),
                "Colours as the paper names them, TEXT-BACKGROUND: black-white, white-black, white-grey, "
                "black-grey",
                nullable=False,
            ),
            column(
                "model", StringType(), "open_clip model and weights, as NAME/TAG or NAME/FILE", nullable=False
            ),
            column(
                "score", FloatType(), "Cosine of the rendered gram and the gram itself (no prompt), -1 to 1"
            ),
            column("text_width_px", IntegerType(), "Width of the text's box, px of the 224 px canvas"),
            column(
                "overflows",
                BooleanType(),
                "Whether the text is wider than the canvas, so that its ends are cut",
            ),
            *STATUS,
            *PROVENANCE,
        ]
    ),
    key=("dataset", "sample_id", "style", "model", "run_key"),
)
