"""Table `stat_caption_words`: caption words against co-emb words (paper Fig. 4a)."""

from pyspark.sql.types import IntegerType, LongType

from schemas._table import column, statistic_table

TABLE = statistic_table(
    "stat_caption_words",
    "the images of one dataset with one number of caption words and one number of co-emb words",
    [
        column(
            "caption_words",
            IntegerType(),
            "Distinct normalised words of the caption, 1 to 50; 50 stands for 50 and more",
            nullable=False,
        ),
        column(
            "co_emb_words",
            IntegerType(),
            "How many of them the image shows, 0 to 50; 50 stands for 50 and more",
            nullable=False,
        ),
        column("images", LongType(), "Images: text spotted and caption has a word", nullable=False),
        column("images_with_text", LongType(), "Of these: images with embedded text", nullable=False),
        column(
            "images_fully_parroted",
            LongType(),
            "Of these: images that show every word of their caption (CoTR 1)",
            nullable=False,
        ),
    ],
    key=("caption_words", "co_emb_words"),
)
