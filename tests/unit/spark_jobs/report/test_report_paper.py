from __future__ import annotations

import pytest

from spark_jobs.report import formatting, paper


@pytest.mark.parametrize("profile", paper.PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("rate", ["cotr", "fuzzy_cotr"])
def test_in_total_is_share_with_text_times_mean_with_text(profile: paper.PublishedProfile, rate: str) -> None:
    row = profile.row()

    # 7.5e-5: half of the last printed digit, of the total and (times a share of one half) of the mean.
    derived = row["share_with_text"] * row[f"{rate}_with_text"]

    assert row[f"{rate}_in_total"] == pytest.approx(derived, abs=7.5e-5)


@pytest.mark.parametrize("profile", [paper.CC12M, paper.MMC4], ids=lambda profile: profile.name)
def test_rates_read_as_printed_would_break_that_identity(profile: paper.PublishedProfile) -> None:
    total, with_text, _, _ = profile.printed_rates
    share = profile.images_with_text / profile.images

    assert abs(total - share * with_text) > 0.002


def test_shares_derived_from_counts_are_those_the_paper_prints() -> None:
    row = paper.LAION_2B.row()

    shares = [
        formatting.percent(row[name]) for name in ("share_with_text", "share_co_emb", "share_co_emb_of_text")
    ]

    assert shares == ["54.60%", "33.43%", "61.22%"]


def test_corrected_rates_keep_every_printed_number() -> None:
    for profile in paper.PROFILES:
        row = profile.row()
        names = ("cotr_in_total", "cotr_with_text", "fuzzy_cotr_in_total", "fuzzy_cotr_with_text")
        assert sorted(row[name] for name in names) == sorted(profile.printed_rates)
