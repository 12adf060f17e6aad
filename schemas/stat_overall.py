"""Table `stat_overall`: the paper's Table 1 for each dataset."""

from pyspark.sql.types import DoubleType, LongType

from schemas._table import column, statistic_table

TABLE = statistic_table(
    "stat_overall",
    "one dataset's profile: every quantity of the paper's Table 1",
    [
        column("samples", LongType(), "Samples of the dataset", nullable=False),
        column(
            "images", LongType(), "Total images profiled: text spotted and caption has a word", nullable=False
        ),
        column(
            "not_spotted",
            LongType(),
            "Samples without a text-spotting result (failed or skipped)",
            nullable=False,
        ),
        column(
            "without_caption_words",
            LongType(),
            "Spotted samples whose caption has no word that can be told",
            nullable=False,
        ),
        column(
            "captions_not_cut",
            LongType(),
            "Of those: captions in a script without spaces whose language is not configured",
            nullable=False,
        ),
        column(
            "images_with_text", LongType(), "Images with embedded text: some was detected", nullable=False
        ),
        column(
            "images_with_unsure_text",
            LongType(),
            "Of those: images of whose text no word counts (all below the minimum confidence)",
            nullable=False,
        ),
        column(
            "images_with_co_emb_text",
            LongType(),
            "Images with co-embedded text (parrot captions)",
            nullable=False,
        ),
        column("share_with_text", DoubleType(), "images_with_text / images"),
        column("share_unsure_text", DoubleType(), "images_with_unsure_text / images"),
        column("share_co_emb", DoubleType(), "images_with_co_emb_text / images"),
        column("share_co_emb_of_text", DoubleType(), "images_with_co_emb_text / images_with_text"),
        column("cotr_in_total", DoubleType(), "Mean CoTR over images, no-text images counted 0"),
        column("cotr_with_text", DoubleType(), "Mean CoTR over images with text"),
        column("fuzzy_cotr_in_total", DoubleType(), "Mean fuzzy CoTR over images, no-text images counted 0"),
        column("fuzzy_cotr_with_text", DoubleType(), "Mean fuzzy CoTR over images with text"),
        column("cotr_verbatim_in_total", DoubleType(), "Mean verbatim CoTR (Algorithm 1) over images"),
        column(
            "cotr_verbatim_with_text", DoubleType(), "Mean verbatim CoTR (Algorithm 1) over images with text"
        ),
    ],
)
