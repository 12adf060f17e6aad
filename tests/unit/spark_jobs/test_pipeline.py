from __future__ import annotations

import pytest

from spark_jobs.errors import ConfigError
from spark_jobs.pipeline import STAGES, STATISTICS, maker_of, makers_of, select
from spark_jobs.runner.pending import sample_shards
from spark_jobs.stages import statistics
from spark_jobs.warehouse.digest import digest


def test_every_table_read_is_written_by_an_earlier_stage():
    written = set()
    for stage in STAGES:
        assert set(stage.reads) <= written, stage.name
        written |= set(stage.writes)


def test_no_table_has_two_makers_but_images():
    makers = {table: makers_of(table) for stage in STAGES for table in stage.writes}
    assert {table: names for table, names in makers.items() if len(names) > 1} == {
        "images": ["ingest", "download"]
    }


def test_every_statistic_of_the_registry_has_its_sql_and_nothing_else_is_read():
    computed = statistics.statistics_of(("the",))
    assert [statistic.output.name for statistic in computed] == list(STATISTICS)
    read = {
        spec.name
        for statistic in computed
        for spec in (*statistic.reads.values(), *statistic.reads_if_made.values())
    }
    (stage,) = select(["statistics"])
    assert read == set(stage.reads)
    (report,) = select(["report"])
    assert set(STATISTICS) <= set(report.reads)


def test_stages_are_selected_in_pipeline_order():
    assert [stage.name for stage in select(["overlap", "ingest"])] == ["ingest", "overlap"]


def test_without_names_those_that_profile_are_selected():
    assert select([]) == [stage for stage in STAGES if stage.profiles]


def test_an_unknown_stage_names_the_valid_ones():
    with pytest.raises(ConfigError, match=r"unknown stage spot_txt. Did you mean spot_text\? Stages: ingest"):
        select(["spot_txt"])


def test_makers():
    assert maker_of("caption_overlap") == "overlap"


def test_digests_do_not_depend_on_order_but_on_every_value():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert len({digest(value) for value in ({"a": 1}, {"a": 2}, {"a": "1"}, ["a", 1], None)}) == 5


def test_a_sample_of_shards_is_fixed_and_grows():
    shards = {f"{n:05d}": n for n in range(50)}
    three, five = sample_shards(shards, 3), sample_shards(shards, 5)
    assert three == sample_shards(dict(reversed(shards.items())), 3)
    assert set(three) < set(five)
    assert sample_shards(shards, None) == sample_shards(shards, 99) == sorted(shards)
    assert three != sorted(shards)[:3]
