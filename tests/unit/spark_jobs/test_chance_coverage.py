"""The intervals of the chance level hold the truth in 93 to 97 of a hundred resamples of a known population."""

from __future__ import annotations

import numpy as np
import pytest

from tests.chance_oracle import chance_row

RESAMPLES, IMAGES, WORDS = 1000, 250, 60


@pytest.fixture(scope="module")
def population():
    """Captions and visible words of 3,000 samples in four topics; some captions repeat what the image shows."""
    draw = np.random.default_rng(1)
    weights = 1 / np.arange(1, WORDS + 1) ** 0.8
    captions, shown = np.zeros((3000, WORDS), bool), np.zeros((3000, WORDS), bool)
    for n in range(len(captions)):
        of_topic = np.roll(weights / weights.sum(), 7 * draw.integers(0, 4))
        words = draw.choice(WORDS, draw.integers(1, 9), p=of_topic, replace=False)
        captions[n, words] = True
        if draw.random() < 0.55:
            shown[n, draw.choice(WORDS, draw.integers(1, 12), p=of_topic, replace=False)] = True
            if draw.random() < 0.3:
                shown[n, draw.choice(words, draw.integers(1, len(words) + 1), replace=False)] = True
    return captions, shown


@pytest.mark.parametrize("is_share", [True, False], ids=["share", "mean"])
@pytest.mark.parametrize("of_text", [False, True], ids=["all images", "images with text"])
def test_intervals_hold_observed_chance_and_difference(population, is_share, of_text):
    captions, shown = population
    rates = (captions.astype(float) @ shown.T.astype(float)) / captions.sum(axis=1, keepdims=True)
    rates = (rates > 0).astype(float) if is_share else rates
    has_text = shown.any(axis=1) | (not of_text)
    own = np.diag(rates).copy()
    others = rates.copy()
    np.fill_diagonal(others, np.nan)
    truth = {"observed": own[has_text].mean(), "by_chance": np.nanmean(others[:, has_text])}
    truth["difference"] = truth["observed"] - truth["by_chance"]
    assert truth["by_chance"] > 0.05
    draw = np.random.default_rng(2)
    following = np.roll(np.arange(IMAGES), -1)
    held = dict.fromkeys(truth, 0)
    for _ in range(RESAMPLES):
        drawn = draw.choice(len(own), IMAGES, replace=False)
        exchanged = rates[drawn[following], drawn]
        found = chance_row(own[drawn], exchanged, has_text[drawn], following, is_share=is_share)
        for name, (_, low, high) in found.items():
            held[name] += low <= truth[name] <= high
    assert {name: count for name, count in held.items() if not 930 <= count <= 970} == {}
