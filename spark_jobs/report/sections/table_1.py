"""The rows of the report's tables: which column of `stat_overall`, and what it means to a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spark_jobs.report import formatting


@dataclass(frozen=True)
class Quantity:
    """One row of Table 1.

    Attributes:
        column: Column of `stat_overall`.
        label: What a reader sees.
        meaning: What it means, under the label.
        is_share: Whether it is a rate, printed as a percentage.
        share_column: Column printed under a count.
    """

    column: str
    label: str
    meaning: str
    is_share: bool = False
    share_column: str | None = None

    def cell(self, row: Mapping[str, Any] | None) -> dict[str, str | None]:
        """The quantity of one dataset as printed: text, the share under it and the interval, where there are any."""
        value = formatting.number(row, self.column)
        share = formatting.number(row, self.share_column) if self.share_column else None
        return {
            "text": formatting.percent(value) if self.is_share else formatting.count(value),
            "share": None if share is None else formatting.percent(share),
            "interval": formatting.percent_interval(row, self.share_column or self.column),
        }


TABLE_1: tuple[tuple[str, tuple[Quantity, ...]], ...] = (
    (
        "Samples",
        (
            Quantity("samples", "Samples", "Image-text pairs in the dataset."),
            Quantity("not_spotted", "Not read", "No text-spotting result: the image failed or was skipped."),
            Quantity(
                "without_caption_words", "Caption without a word", "Read, but with no word to look for."
            ),
            Quantity(
                "captions_not_cut",
                "Of those, in a script without spaces",
                "Words of Chinese, Japanese or Thai cannot be told unless spot_text.languages names the language.",
            ),
            Quantity("images", "Total images", "What all rates below refer to: read, with a caption word."),
        ),
    ),
    (
        "Images",
        (
            Quantity(
                "images_with_text",
                "Images with embedded text",
                "The spotter reads a letter or digit in the image. Below the count: share of total images.",
                share_column="share_with_text",
            ),
            Quantity(
                "images_with_unsure_text",
                "Of those, with unsure text only",
                "What is read is below the minimum confidence: it does not count for CoTR, nor is the image without "
                "text. Below the count: share of total images.",
                share_column="share_unsure_text",
            ),
            Quantity(
                "images_with_co_emb_text",
                "Images with co-emb text",
                "The image shows a caption word: parrot captions. Below the count: share of total images.",
                share_column="share_co_emb",
            ),
            Quantity(
                "share_co_emb_of_text",
                "Parrot captions among images with text",
                "Images with co-emb text over images with embedded text.",
                is_share=True,
            ),
            Quantity(
                "share_verbatim_of_text",
                "Verbatim parrots among images with text",
                "The same where case and punctuation must match too (Algorithm 1 to the letter).",
                is_share=True,
            ),
        ),
    ),
    (
        "Co-embedded text rate (CoTR)",
        (
            Quantity(
                "cotr_in_total",
                "CoTR in total",
                "Mean share of a caption's words that stand in its image; images without text count 0.",
                is_share=True,
            ),
            Quantity(
                "cotr_with_text",
                "CoTR in images with text",
                "The same mean over images with text.",
                is_share=True,
            ),
            Quantity(
                "fuzzy_cotr_in_total",
                "Fuzzy CoTR in total",
                "As CoTR, but a word that is almost matched counts by its similarity.",
                is_share=True,
            ),
            Quantity(
                "fuzzy_cotr_with_text",
                "Fuzzy CoTR in images with text",
                "The same mean over images with text.",
                is_share=True,
            ),
            Quantity(
                "cotr_verbatim_in_total",
                "Verbatim CoTR in total",
                "As CoTR, but case and punctuation must match too (Algorithm 1 to the letter).",
                is_share=True,
            ),
            Quantity(
                "cotr_verbatim_with_text",
                "Verbatim CoTR in images with text",
                "The same mean over images with text.",
                is_share=True,
            ),
        ),
    ),
)
