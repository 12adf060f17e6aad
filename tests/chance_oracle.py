"""The chance level of parroting as numpy computes it: means of images in rings, and their intervals."""

from __future__ import annotations

import functools

import numpy as np
from scipy import stats

Z = stats.norm.ppf(0.975)


def wilson(share, size):
    """Wilson's interval of a share of a size that need not be whole."""
    a, b, c = 1 + Z**2 / size, -(2 * share + Z**2 / size), share**2
    root = max(0.0, b * b - 4 * a * c) ** 0.5
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


@functools.cache
def student(size):
    """Student's 0.975 quantile for the mean of so many values."""
    return float(stats.t.ppf(0.975, size - 1))


def error_of_mean(values, counted, following):
    """Variance of single values, and that which each counts for where neighbours depend on each other."""
    deviations = np.where(counted, values - values[counted].mean(), 0.0)
    spread = (deviations**2).sum() / counted.sum()
    lag = (deviations * deviations[following]).sum() / counted.sum()
    return spread, lag


def chance_row(own, other, counted, following, *, is_share):
    """Observed, by chance and the difference, each as (value, low, high).

    Args:
        own: Value of each image with its own caption.
        other: Value with the exchanged one.
        counted: Which images the statistic is over.
        following: Place of each image's neighbour, whose caption it got.
        is_share: Whether values are 0 or 1.
    """
    size, found, variance = int(counted.sum()), {}, {}
    for name, values in (("observed", own), ("by_chance", other), ("difference", own - other)):
        spread, lag = error_of_mean(values, counted, following)
        variance[name] = spread + max(0.0, 2 * lag if name != "observed" else 0.0)
        mean = float(values[counted].mean())
        if name == "difference":
            low = high = mean
        elif is_share:
            low, high = wilson(mean, size * (spread / variance[name] if spread > 1e-12 else 1.0))
        else:
            half = student(size) * np.sqrt(variance[name] / (size - 1))
            low, high = max(0.0, mean - half), min(1.0, mean + half)
        found[name] = (mean, max(low, -1.0), min(high, 1.0))
    both = 2 * np.sqrt(variance["observed"] * variance["by_chance"])
    shared = variance["observed"] + variance["by_chance"] - variance["difference"]
    correlation = float(np.clip(shared / both, -1, 1)) if both > 0 else 0.0
    (mean, low, high), (chance, chance_low, chance_high) = found["observed"], found["by_chance"]

    def joined(one, two):
        return np.sqrt(max(0.0, one**2 + two**2 - 2 * correlation * one * two))

    difference = mean - chance
    found["difference"] = (
        difference,
        difference - joined(mean - low, chance_high - chance),
        difference + joined(high - mean, chance - chance_low),
    )
    return found
