"""Table `text_removal_scores`: what becomes of each sample's CLIP score when its visible text is removed."""

from pyspark.sql.types import DoubleType, FloatType, StringType, StructField

from schemas._table import column, sample_table

VARIANTS = ("all_removed", "co_removed", "random_all_removed", "random_co_removed")
"""The text-removal images (paper section 5.1), as columns name them."""

_WHAT = {
    "all_removed": "all readings that hold a word that counts (All-Emb. text) filled in; null without text",
    "co_removed": "the words that the caption holds too (Co-Emb. text) filled in; null without such words",
    "random_all_removed": "the donor's All-Emb. polygons filled in; null without text or donor",
    "random_co_removed": "the donor's Co-Emb. polygons filled in; null without text, donor, or such words of its",
}


def _score(variant: str) -> StructField:
    return column(f"score_{variant}", FloatType(), f"CLIP score with {_WHAT[variant]}, or without a caption")


def _share(variant: str) -> StructField:
    return column(f"mask_share_{variant}", DoubleType(), f"Share of the image's pixels: {_WHAT[variant]}")


TABLE = sample_table(
    "text_removal_scores",
    "one sample's CLIP scores under one model, with and without its visible text",
    [
        column(
            "model", StringType(), "open_clip model and weights, as NAME/TAG or NAME/FILE", nullable=False
        ),
        column("fill", StringType(), "How removed text is filled in: telea, mean_color", nullable=False),
        column(
            "donor_id",
            StringType(),
            "Sample whose polygons make the random removals: the next one with text by seeded hash in the "
            "shard; null without text, or where no other sample of the shard has any",
        ),
        column(
            "score_raw",
            FloatType(),
            "CLIP score of the unchanged image, -1 to 1, also without text; null without a caption",
        ),
        *map(_score, VARIANTS),
        column("rsa", FloatType(), "score_raw - score_all_removed; null where either is"),
        column("rsc", FloatType(), "score_raw - score_co_removed; null where either is"),
        column("co_minus_all", FloatType(), "score_co_removed - score_all_removed; null where either is"),
        *map(_share, VARIANTS),
    ],
    key=("model",),
)
