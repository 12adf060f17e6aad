"""The numbers that the paper publishes (arXiv 2312.14232 v3), as data.

Tables 8 (MMC4) and 9 (CC12M) obey "in total = share with text x mean with text", which Table 1 obeys to the
last digit, only with their second and third rate exchanged. They are kept here as printed and read exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

from spark_jobs.report.formatting import ratio


@dataclass(frozen=True)
class PublishedProfile:
    """One dataset's profile as the paper publishes it.

    Attributes:
        name: Dataset.
        table: Table of the paper.
        images: Total images profiled.
        images_with_text: Images with embedded text.
        images_with_co_emb_text: Images with co-embedded text; None where it is not published.
        printed_rates: The four rates in the order printed under the headings CoTR in total, CoTR in images
            with text, fuzzy CoTR in total, fuzzy CoTR in images with text; shares, 0 to 1.
        rates_swapped: Whether the second and third printed rate stand under each other's heading.
    """

    name: str
    table: str
    images: int
    images_with_text: int
    images_with_co_emb_text: int | None
    printed_rates: tuple[float, float, float, float]
    rates_swapped: bool = False

    def row(self) -> dict[str, float | None]:
        """The profile as a row of `stat_overall`, correctly read; columns that the paper lacks are absent."""
        total, second, third, fuzzy_with_text = self.printed_rates
        with_text, fuzzy_total = (third, second) if self.rates_swapped else (second, third)
        return {
            "images": self.images,
            "images_with_text": self.images_with_text,
            "images_with_co_emb_text": self.images_with_co_emb_text,
            "share_with_text": ratio(self.images_with_text, self.images),
            "share_co_emb": ratio(self.images_with_co_emb_text, self.images),
            "share_co_emb_of_text": ratio(self.images_with_co_emb_text, self.images_with_text),
            "cotr_in_total": total,
            "cotr_with_text": with_text,
            "fuzzy_cotr_in_total": fuzzy_total,
            "fuzzy_cotr_with_text": fuzzy_with_text,
        }


LAION_2B = PublishedProfile(
    name="LAION-2B",
    table="Table 1",
    images=1_985_284_122,
    images_with_text=1_083_896_427,
    images_with_co_emb_text=663_600_432,
    printed_rates=(0.1542, 0.2824, 0.3046, 0.5579),
)
CC12M = PublishedProfile(
    name="CC12M",
    table="Table 9",
    images=9_230_079,
    images_with_text=3_421_152,
    images_with_co_emb_text=None,
    printed_rates=(0.0621, 0.1594, 0.1675, 0.4301),
    rates_swapped=True,
)
MMC4 = PublishedProfile(
    name="MMC4",
    table="Table 8",
    images=527_156_206,
    images_with_text=264_618_807,
    images_with_co_emb_text=None,
    printed_rates=(0.0288, 0.1570, 0.0575, 0.3128),
    rates_swapped=True,
)
PROFILES = (LAION_2B, CC12M, MMC4)


@dataclass(frozen=True)
class PublishedScore:
    """A CLIP score as the paper's Table 2 prints it.

    Attributes:
        mean: Mean, over 100 groups of clusters as we read it.
        spread: What stands behind the +/-, read as the spread of the groups' means.
    """

    mean: float
    spread: float


TABLE_2 = {
    "raw_without_text": PublishedScore(0.3223, 0.0078),
    "raw_with_text": PublishedScore(0.3358, 0.0094),
    "random_all_removed": PublishedScore(0.3260, 0.0057),
    "all_removed": PublishedScore(0.2974, 0.0197),
    "random_co_removed": PublishedScore(0.3341, 0.0051),
    "co_removed": PublishedScore(0.2993, 0.0146),
}
"""Scores of OpenAI's CLIP ViT-B-32 on LAION-2B, by image type of the text removal."""

AVERAGE_SCORES = {
    "rsa_lt_0": 0.319,
    "rsa_ge_0": 0.339,
    "rsa_ge_0.1": 0.351,
    "rsa_ge_0.2": 0.360,
    "rsa_ge_0.3": 0.376,
    "rsc_lt_0": 0.326,
    "rsc_ge_0": 0.345,
    "rsc_ge_0.1": 0.354,
    "rsc_ge_0.2": 0.364,
    "rsc_ge_0.3": 0.380,
}
"""Mean raw CLIP score (Avg.S) of the subsets of Tables 5 and 6 by the built-in subset's id; OpenAI's ViT-B-32."""
