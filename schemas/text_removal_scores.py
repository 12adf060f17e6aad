"""Table `text_removal_scores`: what becomes of each sample's CLIP score when its visible text is removed."""

from pyspark.sql.types import BooleanType, DoubleType, FloatType, StringType, StructField

from schemas._table import column, sample_table

VARIANTS = ("all_removed", "co_removed", "random_all_removed", "random_co_removed")
"""The text-removal images (paper section 5.1), as columns name them."""

RANDOM_VARIANTS = ("random_all_removed", "random_co_removed")
"""Those that fill in what is no text of the image: what filling in alone costs."""
DIFFERENCES = {
    "rsa": ("score_raw", "score_all_removed"),
    "rsc": ("score_raw", "score_co_removed"),
    "co_minus_all": ("score_co_removed", "score_all_removed"),
    "raw_minus_random_all": ("score_raw", "score_random_all_removed"),
    "raw_minus_random_co": ("score_raw", "score_random_co_removed"),
    "random_minus_all": ("score_random_all_removed", "score_all_removed"),
    "random_minus_co": ("score_random_co_removed", "score_co_removed"),
}
"""Paired differences of a sample's scores, by column: what is subtracted from what."""

_WHAT = {
    "all_removed": "all readings that hold a word that counts (All-Emb. text) filled in; null without text",
    "co_removed": "the words that the caption holds too (Co-Emb. text) filled in; null without such words",
    "random_all_removed": "the donor's All-Emb. polygons filled in, off the image's own text where they fit; null "
    "without text or donor",
    "random_co_removed": "the Co-Emb. donor's Co-Emb. polygons filled in, off the image's own text where they fit; "
    "null without co-emb text or donor",
}


def _score(variant: str) -> StructField:
    return column(f"score_{variant}", FloatType(), f"CLIP score with {_WHAT[variant]}, or without a caption")


def _share(variant: str) -> StructField:
    return column(f"mask_share_{variant}", DoubleType(), f"Share of the image's pixels: {_WHAT[variant]}")


def _hit(variant: str) -> StructField:
    meaning = "Share of the pixels of the image's own All-Emb. text that it fills in all the same"
    return column(f"hit_share_{variant}", DoubleType(), f"{meaning}: {_WHAT[variant]}")


def _difference(name: str) -> StructField:
    first, second = DIFFERENCES[name]
    return column(name, FloatType(), f"{first} - {second}; null where either is")


TABLE = sample_table(
    "text_removal_scores",
    "one sample's CLIP scores under one model, with and without its visible text",
    [
        column(
            "model", StringType(), "open_clip model and weights, as NAME/TAG or NAME/FILE", nullable=False
        ),
        column("fill", StringType(), "How removed text is filled in: telea, mean_color", nullable=False),
        column("has_text", BooleanType(), "Whether text was detected in the image, as overlap says"),
        column(
            "donor_id",
            StringType(),
            "Sample whose polygons make the random All-Emb. removal: the next one with text by seeded hash in the "
            "shard; null without text, or where no other sample of the shard has any",
        ),
        column(
            "co_donor_id",
            StringType(),
            "The same for the random Co-Emb. removal: the next one with co-emb text; null without co-emb text, or "
            "where no other sample of the shard has any",
        ),
        column(
            "score_raw",
            FloatType(),
            "CLIP score of the unchanged image, -1 to 1, also without text; null without a caption",
        ),
        *map(_score, VARIANTS),
        *map(_difference, DIFFERENCES),
        *map(_share, VARIANTS),
        *map(_hit, RANDOM_VARIANTS),
    ],
    key=("model",),
)
