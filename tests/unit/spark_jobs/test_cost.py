"""Costs from a log: rates by chunks where there are any, plain arithmetic after that."""

from __future__ import annotations

import pytest

from spark_jobs.cost import Logged, Plan, StageRate, parse_samples, stage_rates
from spark_jobs.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "count"),
    [("250,000", 250_000), ("100M", 10**8), ("2.3b", 2_300_000_000), ("7k", 7000), ("1_000", 1000)],
)
def test_numbers_of_samples_are_read_as_people_write_them(text, count):
    assert parse_samples(text) == count


@pytest.mark.parametrize("text", ["many", "", "-5", "0", "0.2", "10T", "1.2.3M"])
def test_what_is_no_number_of_samples_is_refused(text):
    with pytest.raises(ConfigError, match="--samples: expected a number"):
        parse_samples(text)


def test_rates_come_from_chunks_and_from_the_longest_run_of_what_has_none():
    runs = [
        Logged("overlap", "chunk", 10.0, 6000),
        Logged("overlap", "chunk", 20.0, 6000),
        Logged("overlap", "finished", 500.0, 12_000),  # with everything between the chunks
        Logged("statistics", "finished", 30.0, 50),
        Logged("statistics", "finished", 3.0, 2),  # a run that made a part of it again
        Logged("report", "finished", 9.0, 1),
        Logged("ngrams", "finished", 1.0, 0),  # wrote nothing
    ]
    rates = stage_rates(runs, samples=12_000, cores=4, order=["overlap", "ngrams", "statistics"])
    assert [(rate.stage, rate.samples) for rate in rates] == [("overlap", 12_000), ("statistics", 12_000)]
    assert [rate.core_seconds for rate in rates] == [4 * 30 / 12_000, 4 * 30 / 12_000]
    assert not any(rate.is_rough for rate in rates)
    assert stage_rates(runs[:1], samples=0, cores=1, order=["overlap"])[0].is_rough


def test_costs_are_core_seconds_times_samples():
    rate = StageRate("spot_text", samples=20_000, core_seconds=0.36)
    cost = Plan(10**8, cores=400, chunk_seconds=120, price=0.05).cost(rate)
    assert cost.core_hours == pytest.approx(10_000)
    assert cost.hours == pytest.approx(25)
    assert cost.commits == 25 * 30
    assert cost.price == pytest.approx(500)
    assert Plan(1, cores=400, chunk_seconds=120).cost(rate).commits == 1
    assert Plan(1, cores=1, chunk_seconds=120).cost(rate).price is None
