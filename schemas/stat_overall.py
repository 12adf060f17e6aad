"""Table `stat_overall`: the paper's Table 1 for each dataset."""

from pyspark.sql.types import LongType

from schemas._table import column, statistic_table, with_interval

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
        column(
            "images_with_verbatim_co_emb_text",
            LongType(),
            "Images with text that hold a caption word as Algorithm 1 reads it: str.split(), case kept",
        ),
        *with_interval("share_with_text", "images_with_text / images"),
        *with_interval("share_unsure_text", "images_with_unsure_text / images"),
        *with_interval("share_co_emb", "images_with_co_emb_text / images"),
        *with_interval("share_co_emb_of_text", "images_with_co_emb_text / images_with_text"),
        *with_interval("share_verbatim_of_text", "images_with_verbatim_co_emb_text / images_with_text"),
        *with_interval("cotr_in_total", "Mean CoTR over images, no-text images counted 0"),
        *with_interval("cotr_with_text", "Mean CoTR over images with text"),
        *with_interval("fuzzy_cotr_in_total", "Mean fuzzy CoTR over images, no-text images counted 0"),
        *with_interval("fuzzy_cotr_with_text", "Mean fuzzy CoTR over images with text"),
        *with_interval("cotr_verbatim_in_total", "Mean verbatim CoTR (Algorithm 1) over images"),
        *with_interval("cotr_verbatim_with_text", "Mean verbatim CoTR (Algorithm 1) over images with text"),
    ],
)
